"""How the requests of an examination are said to Redis, and their replies read: pure functions, as in `bindings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.examination import (
    Condition,
    DiscardStaged,
    ExamineThread,
    IndexState,
    MendThread,
    OutlinePage,
    OutlineThread,
    outline_of,
)
from zerograph_redis.core.requests import Request
from zerograph_redis.ids import SEPARATOR, encode, read_name

from .keys import KINDS
from .scripts import Binding, Script, flag, on_keys, on_thread

_EXAMINE_THREAD = Script("examine_thread", arguments=("id",))
_OUTLINE_THREAD = Script("outline_thread", arguments=("cursor",))
_MEND_THREAD = Script("mend_thread", arguments=("id",))
_DISCARD_STAGED = Script("discard_staged", keys=KINDS, arguments=("remove",))


def _parse_condition(reply: Any, request: ExamineThread) -> Condition:
    there, damage, entry, astray, updated, checkpoints, size, ttl, owner, held = reply
    return Condition(
        bool(there),
        damage.decode(),
        IndexState(entry.decode()),
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


def from_cursor(cursor: str | None) -> bytes:
    """Return the argument that says where to begin in the index."""
    return (cursor or "-").encode()


def check_cursor(before: str | None, after: bytes | None) -> None:
    """Refuse, with a ValueError, a cursor that does not get on: an index whose members have scores is in no order."""
    if before is not None and after and after <= before.encode():
        raise ValueError("an index is out of order")


EXAMINING: Mapping[type[Request[Any]], Binding] = {
    ExamineThread: on_thread(_EXAMINE_THREAD, lambda request: (encode(request.thread),), _parse_condition),
    OutlineThread: on_thread(_OUTLINE_THREAD, lambda request: (from_cursor(request.cursor),), _parse_outlines),
    MendThread: on_thread(_MEND_THREAD, lambda request: (encode(request.thread),), lambda reply, _: reply == 1),
    DiscardStaged: on_keys(
        _DISCARD_STAGED,
        lambda request, keyspace: keyspace.staged(request.thread, request.token),
        lambda request: (flag(request.remove),),
        lambda reply, _: reply == 1,
    ),
}
