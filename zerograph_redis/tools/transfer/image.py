"""One thread, whole, as it is stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from zerograph_redis.core.records import read_header
from zerograph_redis.core.requests import ZERO, LogRange, Page, StoredCheckpoint, StoredWrite, ThreadFacts
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.serde.packing import msgpack

IN_MEMORY = 8 * 1024 * 1024  # bytes of an image; a larger one is kept on disk
PAGE_ROWS = 50
PAGE_BYTES = 256 * 1024

Place = tuple[str, str]
"""Namespace and id of a checkpoint."""


class Life(NamedTuple):
    """The times of a thread: ``created`` and ``updated`` in µs; ``lifetime``, its ttl, and what is ``left`` of it in ms."""

    created: int
    updated: int
    lifetime: int | None
    left: int | None
    origin: str | None = None
    """What it was published from, if it was."""

    @classmethod
    def of(cls, facts: ThreadFacts) -> Life:
        """Take what a store says."""
        return cls(facts.created, facts.updated, facts.lifetime, facts.ttl, facts.origin)


@dataclass(slots=True)
class _Log:
    """Where the bytes of a log are in the file."""

    starts: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    end: int = 0


class Image:
    """One thread, whole, as it is stored: its rows and logs, in a temporary file. Only ids are in memory.

    It is filled page by page, as `ThreadScan` reads them, and gives pages that can be staged anywhere.
    """

    def __init__(self, thread: str, life: Life) -> None:
        """Make an empty image of *thread*."""
        self.thread = thread
        self.life = life
        self.current = ZERO
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self._end = 0
        self._rows: dict[str, dict[Place, tuple[int, int]]] = {"writes": {}, "checkpoints": {}}
        self._logs: dict[str, _Log] = {}

    def __enter__(self) -> Self:
        """Return the image itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def checkpoints(self) -> int:
        """How many checkpoints there are."""
        return len(self._rows["checkpoints"])

    @property
    def written(self) -> int:
        """How many checkpoints, stored or still to come, have pending writes."""
        return len(self._rows["writes"])

    @property
    def log_bytes(self) -> int:
        """How long the logs are, all together."""
        return sum(log.end for log in self._logs.values())

    @property
    def generations(self) -> list[str]:
        """The logs that checkpoints are made of."""
        return sorted(self._logs)

    def length_of(self, generation: str) -> int:
        """How long a log is."""
        return self._logs[generation].end

    def add(self, page: Page) -> None:
        """Take a page in. Rows that come again are the same."""
        self.current = page.current
        for namespace, row in page.rows:
            self.add_row(namespace, row)
        for each in page.ranges:
            self.add_range(each)

    def add_row(self, namespace: str, row: StoredCheckpoint) -> None:
        """Take in a checkpoint's record, or its pending writes; CorruptCheckpointError for what is neither."""
        place = (namespace, row.checkpoint_id)
        if row.record is not None:
            header = read_header(self.name_of(place), row.record)
            if header.generation != ZERO:
                self._logs.setdefault(header.generation, _Log())
        content = (*place, row.record, [(write.identity, write.record) for write in row.writes])
        packed: bytes = msgpack.packb(content, unicode_errors="surrogatepass")
        self._rows["writes" if row.record is None else "checkpoints"][place] = (self._append(packed), len(packed))

    def add_range(self, part: LogRange) -> None:
        """Take in what follows of a log; CorruptCheckpointError for what does not."""
        log = self._logs.get(part.generation)
        if log is None or part.start != log.end:
            raise CorruptCheckpointError(f"thread {self.thread!r} cannot be read: its log has not all its bytes")
        log.starts.append(part.start)
        log.places.append(self._append(part.data))
        log.end += len(part.data)

    def leave_out(self, places: Iterable[Place]) -> None:
        """Forget checkpoints, and their writes."""
        for place in places:
            self._rows["writes"].pop(place, None)
            self._rows["checkpoints"].pop(place, None)

    def rows(self, kind: str) -> Iterator[tuple[str, StoredCheckpoint]]:
        """The rows with ``writes``, or those of ``checkpoints``."""
        for offset, size in self._rows[kind].values():
            namespace, checkpoint_id, record, writes = msgpack.unpackb(
                self._read(offset, size), unicode_errors="surrogatepass"
            )
            yield namespace, StoredCheckpoint(checkpoint_id, record, [StoredWrite(*write) for write in writes])

    def ranges(self) -> Iterator[LogRange]:
        """The logs, in stretches of a bounded size."""
        for generation, log in sorted(self._logs.items()):
            for start in range(0, log.end, PAGE_BYTES):
                data = self.read(generation, start, min(PAGE_BYTES, log.end - start))
                yield LogRange(generation, start, data or b"")

    def pages(self) -> Iterator[Page]:
        """All of it, in pages to be staged: writes, then checkpoints, then logs."""
        for kind, sizes in self._rows.items():
            held: list[tuple[str, StoredCheckpoint]] = []
            weight = 0
            for (namespace, row), (_, size) in zip(self.rows(kind), sizes.values(), strict=True):
                if held and weight + size > PAGE_BYTES:
                    yield self._page(rows=held)
                    held, weight = [], 0
                held.append((namespace, row))
                weight += size
                if len(held) == PAGE_ROWS:
                    yield self._page(rows=held)
                    held, weight = [], 0
            if held:
                yield self._page(rows=held)
        for each in self.ranges():
            yield self._page(ranges=[each])

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a log, or None if not all are there."""
        log = self._logs.get(generation)
        if log is None or start < 0 or start + length > log.end:
            return None
        found = []
        while length > 0:
            number = bisect_right(log.starts, start) - 1
            stop = log.starts[number + 1] if number + 1 < len(log.starts) else log.end
            size = min(length, stop - start)
            found.append(self._read(log.places[number] + start - log.starts[number], size))
            start, length = start + size, length - size
        return b"".join(found)

    def name_of(self, place: Place) -> str:
        """What to call a checkpoint in an error."""
        return f"checkpoint {place[1]!r} of thread {self.thread!r}, namespace {place[0]!r}"

    def _page(self, **content: Any) -> Page:
        return Page(**{"rows": [], "ranges": [], **content}, logs="", current=self.current, cursor=None)

    def _append(self, data: bytes) -> int:
        place = self._end
        self._file.seek(place)
        self._file.write(data)
        self._end += len(data)
        return place

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)
