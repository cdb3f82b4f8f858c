"""How the requests of an examination are said to Redis, and their replies read: pure functions, as in `bindings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.examination import (
    Condition,
    DiscardStaged,
    Entry,
    ExamineThread,
    MendThread,
    OutlinePage,
    OutlineThread,
    outline_of,
)
from zerograph_redis.core.requests import Request
from zerograph_redis.ids import SEPARATOR, escape, read_name

from .calls import Binding, Call
from .keys import Keyspace
from .scripts import Script

__all__ = ("EXAMINING", "check_cursor")


def _of_thread(request: ExamineThread | MendThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (escape(request.thread).encode(),))


def _outline_thread(request: OutlineThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), ((request.cursor or "-").encode(),))


def _discard_staged(request: DiscardStaged, keyspace: Keyspace) -> Call:
    return Call(keyspace.staged(request.thread, request.token), ("1" if request.remove else "",))


def _parse_condition(reply: Any, request: ExamineThread) -> Condition:
    there, damage, entry, astray, updated, checkpoints, size, ttl, owner, held = reply
    return Condition(
        bool(there),
        damage.decode(),
        Entry(entry.decode()),
        astray,
        0 if damage else bounds.number(updated or b"0", bounds.END_OF_ORDERS),
        0 if damage else bounds.number(checkpoints or b"0"),
        bounds.number(size),
        bounds.number(ttl, bounds.END_OF_ORDERS) if ttl and not damage else None,
        read_name(owner),
        bounds.whole(held, bounds.END_OF_ORDERS),
    )


def _parse_outlines(reply: Any, request: OutlineThread) -> OutlinePage:
    cursor, *lengths, now, rows = reply
    check_cursor(request.cursor, cursor)
    outlines = []
    for member, size, header, writes, written in rows:
        namespace, order, checkpoint_id = member.decode().split(SEPARATOR)
        place = (namespace, checkpoint_id, int(bounds.order(order), 16))
        outlines.append(
            outline_of(place, None if size < 0 else size, header, None, bounds.number(writes), bounds.number(written))
        )
    logs = {str(slot): length for slot, length in enumerate(lengths) if length}
    return OutlinePage(outlines, logs, int(now), cursor.decode() or None)


def check_cursor(before: str | None, after: bytes | None) -> None:
    """Refuse, with a ValueError, a cursor that does not get on: an index whose members have scores is in no order."""
    if before is not None and after and after <= before.encode():
        raise ValueError("an index is out of order")


EXAMINING: Mapping[type[Request[Any]], Binding] = {
    ExamineThread: Binding(Script("examine_thread", "thread", "read", "deadline"), _of_thread, _parse_condition),
    OutlineThread: Binding(Script("outline_thread", "thread", "read"), _outline_thread, _parse_outlines),
    MendThread: Binding(Script("mend_thread", "thread", "deadline"), _of_thread, lambda reply, _: reply == 1),
    DiscardStaged: Binding(Script("discard_staged", "thread"), _discard_staged, lambda reply, _: reply == 1),
}
