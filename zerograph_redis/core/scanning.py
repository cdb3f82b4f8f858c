"""Reading the stored bytes of a whole thread, while others may write to it, and staging them in a store."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from .records import missing, name_of, read_header
from .requests import NO_LOG, LogRange, Operation, Page, ScanThread, StageThread, StoredCheckpoint


class ThreadScan:
    """The pages of a thread, ready to be staged in any store: its writes, then its checkpoints, then the logs they need."""

    def __init__(self, thread: str, until: str | None = None) -> None:
        """Scan *thread*; leave out checkpoints of a later order than *until*."""
        self.thread = thread
        self.checkpoints: set[tuple[str, str]] = set()
        """Namespaces and ids that were read."""
        self.checkpoints_with_writes: set[tuple[str, str]] = set()
        """Those of the checkpoints that have pending writes."""
        self.left_out: set[tuple[str, str]] = set()
        """Checkpoints that are later than *until*; `checkpoints_with_writes` may have some of them."""
        self.log_ends: dict[str, int] = {}
        """How long each log is that was read, by its generation."""
        self.current = NO_LOG
        """The generation of the log that is written to now, zeros for none."""
        self.changed = False
        """Whether a checkpoint or a log was removed meanwhile, so that the pages do not belong together."""
        self._until = until
        self._page: Page | None = None
        self._names: dict[str, str] = {}

    def next_page(self) -> Operation[Page | None]:
        """Read the next page. None after the last page, and if the thread `changed`."""
        while self._page is None or self._page.cursor is not None:
            page = yield from ScanThread(self.thread, None if self._page is None else self._page.cursor)
            if self._page is not None and page.logs != self._page.logs:
                self.changed = True
                return None
            self._page = page
            rows = [(namespace, row) for namespace, row in page.rows if self._take(namespace, row)]
            ranges = [self._named(each) for each in page.ranges if each.generation in self._names]
            if rows or ranges:
                self.current = page.current
                return replace(page, rows=rows, ranges=ranges)
        return None

    def _take(self, namespace: str, row: StoredCheckpoint) -> bool:
        place = (namespace, row.checkpoint_id)
        name = name_of(self.thread, namespace, row.checkpoint_id)
        if row.record is None:
            if not row.writes or any(write.record is None for write in row.writes):
                raise missing(f"{name},")
            self.checkpoints_with_writes.add(place)
            return True
        header = read_header(name, row.record)
        if self._until is not None and header.order > self._until:
            self.left_out.add(place)
            return False
        self.checkpoints.add(place)
        if header.generation != NO_LOG:
            # A store names a log by either.
            self._names[header.log_id] = self._names[header.generation] = header.generation
        return True

    def _named(self, part: LogRange) -> LogRange:
        generation = self._names[part.generation]
        end = part.start + len(part.data)
        self.log_ends[generation] = max(self.log_ends.get(generation, 0), end)
        return replace(part, generation=generation)


class Staging:
    """The pages of a thread that is not published yet, in the order in which they are staged."""

    def __init__(self, thread: str) -> None:
        """Stage for *thread*."""
        self.thread = thread
        self.token = uuid4().hex
        self.pages = 0
        """How many were staged."""

    def stage(self, page: Page) -> Operation[bool]:
        """Stage the next page. False if the store no longer has those before it: then all must be staged again."""
        staged = yield from StageThread(self.thread, self.token, self.pages, page)
        self.pages += 1
        return staged
