"""Frames: what a file of threads says, as a stream of msgpack arrays.

::

    ["begin", {"made": µs, "writer": text, "selection": text}]
    then, for each thread,
    ["thread", id, created µs, updated µs, ttl ms or nil, what is left of it ms or nil, generation of the current log]
    ["writes", [[namespace, checkpoint id, [[who wrote what, record], …]], …]]            any number of these three
    ["checkpoints", [[namespace, checkpoint id, record], …]]
    ["log", generation, start, bytes]
    ["whole", checkpoints, checkpoints with writes, bytes of logs]
    and, in a block of its own,
    ["end", threads, checkpoints, checkpoints with writes, bytes of logs]

Records and bytes of logs are as they are stored: their forms are those of ``core/records.py``. Text is UTF-8, in which a
lone surrogate is spelled as if it were a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zerograph_redis.core.requests import LogRange, Page, StoredCheckpoint, StoredWrite
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR
from zerograph_redis.serde.packing import msgpack

from .image import Image, Life

_GENERATION = re.compile("[0-9a-f]{16}")


@dataclass(slots=True)
class Totals:
    """What there is in all."""

    threads: int = 0
    checkpoints: int = 0
    written: int = 0
    log_bytes: int = 0

    def add(self, checkpoints: int, written: int, log_bytes: int) -> None:
        """Count a thread."""
        self.threads += 1
        self.checkpoints += checkpoints
        self.written += written
        self.log_bytes += log_bytes


def pack(*frame: Any) -> bytes:
    """Pack a frame."""
    packed: bytes = msgpack.packb(frame, unicode_errors="surrogatepass")
    return packed


def unpack_all(content: bytes) -> Iterator[list[Any]]:
    """Unpack the frames of a block."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=len(content) or 1)
    unpacker.feed(content)
    read = 0
    while read < len(content):
        try:
            frame = unpacker.unpack()
        except Exception as error:
            raise _odd() from error
        read = unpacker.tell()
        if not isinstance(frame, list):
            raise _odd()
        yield frame


def pack_thread(image: Image) -> bytes:
    """The frame that begins a thread."""
    life = image.life
    return pack("thread", image.thread, life.created, life.updated, life.lifetime, life.left, image.current)


def pack_page(page: Page) -> bytes:
    """The frames of a page."""
    if page.ranges:
        return b"".join(pack("log", each.generation, each.start, each.data) for each in page.ranges)
    if page.rows[0][1].record is not None:
        return pack("checkpoints", [(namespace, row.checkpoint_id, row.record) for namespace, row in page.rows])
    rows = [
        (namespace, row.checkpoint_id, [(write.identity, write.record) for write in row.writes])
        for namespace, row in page.rows
    ]
    return pack("writes", rows)


def pack_whole(image: Image) -> bytes:
    """The frame that ends a thread."""
    return pack("whole", image.checkpoints, image.written, image.log_bytes)


def selection_of(frame: list[Any]) -> str:
    """What the first frame says was to be exported."""
    match frame:
        case ["begin", {"selection": str(selection)}]:
            return selection
    raise _odd()


def image_of(frame: list[Any]) -> Image:
    """Begin the image of the thread that a frame begins."""
    match frame:
        case ["thread", str(thread), int(created), int(updated), lifetime, left, str(current)] if (
            thread and _is_time(lifetime) and _is_time(left) and _GENERATION.fullmatch(current)
        ):
            image = Image(thread, Life(created, updated, lifetime, left))
            image.current = current
            return image
    raise _odd()


def take_page(image: Image, frame: list[Any]) -> bool:
    """Take a frame into the image of the thread that it belongs to. Returns whether it ended the thread."""
    match frame:
        case ["writes", [*rows]]:
            for row in rows:
                image.add_row(*_writes(row))
        case ["checkpoints", [*rows]]:
            for row in rows:
                image.add_row(*_checkpoint(row))
        case ["log", str(generation), int(start), bytes(data)]:
            image.add_range(LogRange(generation, start, data))
        case ["whole", *counts]:
            if counts != [image.checkpoints, image.written, image.log_bytes]:
                raise CorruptCheckpointError(f"it has not all of thread {image.thread!r}")
            return True
        case _:
            raise _odd()
    return False


def _writes(row: Any) -> tuple[str, StoredCheckpoint]:
    match row:
        case [str(namespace), str(checkpoint_id), [_, *_] as writes] if checkpoint_id:
            return namespace, StoredCheckpoint(checkpoint_id, None, [_write(write) for write in writes])
    raise _odd()


def _write(write: Any) -> StoredWrite:
    match write:
        case [str(identity), bytes(record)] if SEPARATOR not in identity:
            return StoredWrite(identity, record)
    raise _odd()


def _checkpoint(row: Any) -> tuple[str, StoredCheckpoint]:
    match row:
        case [str(namespace), str(checkpoint_id), bytes(record)] if checkpoint_id:
            return namespace, StoredCheckpoint(checkpoint_id, record, [])
    raise _odd()


def _is_time(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _odd() -> CorruptCheckpointError:
    return CorruptCheckpointError("it says what no file of threads says")
