"""A whole thread as it is stored, on its way from one store to another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import IO, NamedTuple, Self

from zerograph_redis.core.records import name_of, pack_again, pack_header, read_header, unpack_checkpoint
from zerograph_redis.core.reencryption import Reencryption
from zerograph_redis.core.requests import NO_LOG, LogRange, Page, StoredCheckpoint, StoredWrite
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import random_name
from zerograph_redis.serde.packing import msgpack

IN_MEMORY = 8 * 1024 * 1024  # bytes of the rows, and of each log; more are kept on disk
PAGE_ROWS = 50
PAGE_BYTES = 256 * 1024

Place = tuple[str, str]
"""Namespace and id of a checkpoint."""


class ThreadTimes(NamedTuple):
    """``created`` and ``updated`` in µs; ``ttl``, and how much of it is ``left``, in ms."""

    created: int
    updated: int
    ttl: int | None
    left: int | None
    origin: str | None = None
    """What the thread was published from, if it was."""


class ThreadImage:
    """The rows and logs of a thread, in temporary files. Only ids are in memory.

    `add` takes pages as `ThreadScan` reads them, and `pages` yields pages that can be staged in any store.
    """

    def __init__(self, thread: str, times: ThreadTimes) -> None:
        """Make an empty image of *thread*."""
        self.thread = thread
        self.times = times
        self.current = NO_LOG
        """The generation of the log that is written to now, zeros for none."""
        self._file = _temporary()
        self._rows: dict[str, dict[Place, tuple[int, int]]] = {"writes": {}, "checkpoints": {}}
        self._logs: dict[str, IO[bytes]] = {}
        self._ends: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Return the image itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the image."""
        self.close()

    def close(self) -> None:
        """Remove the temporary files."""
        for file in (self._file, *self._logs.values()):
            file.close()

    @property
    def checkpoints(self) -> int:
        """How many checkpoints it has."""
        return len(self._rows["checkpoints"])

    @property
    def checkpoints_with_writes(self) -> int:
        """How many checkpoints, stored or not, have pending writes."""
        return len(self._rows["writes"])

    @property
    def log_ends(self) -> dict[str, int]:
        """How long each log is, by its generation."""
        return dict(sorted(self._ends.items()))

    def add(self, page: Page) -> None:
        """Add a page. Rows that come again are the same.

        Raises:
            CorruptCheckpointError: A record is damaged, or a log has a gap.
        """
        self.current = page.current
        for namespace, row in page.rows:
            self._add_row(namespace, row)
        for each in page.ranges:
            if each.start != self._ends.get(each.generation):
                raise CorruptCheckpointError(f"thread {self.thread!r} cannot be read: bytes of its log are missing")
            _append(self._logs[each.generation], each.data)
            self._ends[each.generation] += len(each.data)

    def _add_row(self, namespace: str, row: StoredCheckpoint) -> None:
        place = (namespace, row.checkpoint_id)
        if row.record is not None:
            generation = read_header(name_of(self.thread, *place), row.record).generation
            if generation != NO_LOG and generation not in self._logs:
                self._logs[generation], self._ends[generation] = _temporary(), 0
        content = (*place, row.record, [(write.identity, write.record) for write in row.writes])
        packed: bytes = msgpack.packb(content, unicode_errors="surrogatepass")
        kind = "writes" if row.record is None else "checkpoints"
        self._rows[kind][place] = (_append(self._file, packed), len(packed))

    def leave_out(self, places: Iterable[Place]) -> None:
        """Remove checkpoints, and their writes."""
        for place in places:
            self._rows["writes"].pop(place, None)
            self._rows["checkpoints"].pop(place, None)

    def rows(self, kind: str) -> Iterator[tuple[str, StoredCheckpoint]]:
        """The rows with ``writes``, or those of ``checkpoints``."""
        for at in self._rows[kind].values():
            namespace, checkpoint_id, record, writes = msgpack.unpackb(
                _read(self._file, *at), unicode_errors="surrogatepass"
            )
            yield namespace, StoredCheckpoint(checkpoint_id, record, [StoredWrite(*write) for write in writes])

    def pages(self) -> Iterator[Page]:
        """All of it, in pages to be staged: writes, then checkpoints, then logs in the order of their generations."""
        for kind, places in self._rows.items():
            rows: list[tuple[str, StoredCheckpoint]] = []
            weight = 0
            for row, (_, size) in zip(self.rows(kind), places.values(), strict=True):
                if rows and (len(rows) == PAGE_ROWS or weight + size > PAGE_BYTES):
                    yield self._page(rows, [])
                    rows, weight = [], 0
                rows.append(row)
                weight += size
            if rows:
                yield self._page(rows, [])
        for generation, end in self.log_ends.items():
            for start in range(0, end, PAGE_BYTES):
                data = _read(self._logs[generation], start, PAGE_BYTES)
                yield self._page([], [LogRange(generation, start, data)])

    def _page(self, rows: list[tuple[str, StoredCheckpoint]], ranges: list[LogRange]) -> Page:
        return Page(rows, ranges, "", self.current, None)

    def read(self, generation: str, start: int, length: int) -> bytes | None:
        """Return bytes of a log, or None if it does not have all of them."""
        if start < 0 or start + length > self._ends.get(generation, 0):
            return None
        return _read(self._logs[generation], start, length)

    def changed(self, change: Callable[[Page], Page]) -> ThreadImage:
        """Return an image of the pages that *change* makes of this one's."""
        made = ThreadImage(self.thread, self.times)
        try:
            for page in self.pages():
                made.add(change(page))
        except BaseException:
            made.close()
            raise
        return made


def _temporary() -> IO[bytes]:
    return SpooledTemporaryFile(max_size=IN_MEMORY)


def _append(file: IO[bytes], data: bytes) -> int:
    place = file.seek(0, os.SEEK_END)
    file.write(data)
    return place


def _read(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def fit_encryption(image: ThreadImage, source: Settings, target: Settings) -> ThreadImage:
    """Return an image that a store under *target* can decrypt, or *image* itself if it already can.

    Encrypted bytes open only under the name of their store, so they are encrypted again. Without keys on both sides they
    stay as they are, and open under the name of their first store.

    Raises:
        CorruptCheckpointError: Something is missing or damaged.
        SerializationError: Something is encrypted with another key.
    """
    decrypting, encrypting = source.cipher(image.thread), target.cipher(image.thread)
    if decrypting is None or encrypting is None or decrypting.place == encrypting.place:
        return image
    return image.changed(Reencryption(image.thread, decrypting, encrypting).page)


def merge_logs(image: ThreadImage, settings: Settings) -> ThreadImage:
    """Return an image with the older logs merged into one, for stores that keep two. States stay as they are.

    Raises:
        SerializationError: A record is encrypted, and *settings* have no keys to change the places in it.
    """
    joined, starts, end = random_name(), dict[str, int](), 0
    for generation, size in image.log_ends.items():
        if generation != image.current:
            starts[generation] = end
            end += size

    def moved(namespace: str, row: StoredCheckpoint) -> StoredCheckpoint:
        stored = row.record or b""
        header = read_header(name_of(image.thread, namespace, row.checkpoint_id), stored)
        start = starts.get(header.generation)
        if start is None:
            return row
        cipher = settings.cipher(image.thread)
        record = unpack_checkpoint((image.thread, namespace, row.checkpoint_id), stored, cipher)
        record.parts = [
            (place, [segment._replace(offset=segment.offset + start) for segment in segments])
            for place, segments in record.placed()
        ]
        order, base = int(header.order, 16), header.base + start
        head = pack_header(stored[:1], order, int(joined, 16), base, header.appended, header.attempt)
        return replace(row, record=head + pack_again(namespace, row.checkpoint_id, record, cipher))

    def change(page: Page) -> Page:
        rows = [(space, row if row.record is None else moved(space, row)) for space, row in page.rows]
        ranges = [
            replace(each, generation=joined, start=starts[each.generation] + each.start)
            if each.generation in starts
            else each
            for each in page.ranges
        ]
        return replace(page, rows=rows, ranges=ranges)

    return image.changed(change)
