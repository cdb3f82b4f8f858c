"""How many bytes of content pass in a request and in its reply: records, pending writes and logs, without names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.requests import (
    Fetched,
    LogRange,
    Page,
    PutCheckpoint,
    PutWrites,
    Request,
    StageThread,
    StoredCheckpoint,
    StoredWrite,
    WriteBatch,
)


def sent(request: Request[Any]) -> int:
    """Count the bytes of a request."""
    match request:
        case PutCheckpoint():
            return len(request.record) + len(request.appended)
        case PutWrites():
            return _writes(request.writes)
        case StageThread():
            return received(request.page)
        case WriteBatch():
            return sum(map(sent, request.writes))
        case Bundle():
            return sum(map(sent, request.requests))
    return 0


def received(reply: Any) -> int:
    """Count the bytes of a reply."""
    match reply:
        case Fetched():
            return _rows(reply.checkpoints) + _ranges(reply.ranges)
        case Page():
            return _rows(row for _, row in reply.rows) + _ranges(reply.ranges)
        case [StoredWrite(), *_]:
            return _writes(reply)
        case list():
            return sum(map(received, reply))
    return 0


def _rows(rows: Iterable[StoredCheckpoint]) -> int:
    return sum(len(row.record or b"") + _writes(row.writes) for row in rows)


def _ranges(ranges: Iterable[LogRange]) -> int:
    return sum(len(each.data) for each in ranges)


def _writes(writes: Iterable[StoredWrite]) -> int:
    return sum(len(write.record or b"") for write in writes)
