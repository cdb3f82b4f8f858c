"""How each request is said to Redis, and its reply read: pure functions, one binding a request.

What a script does, its KEYS and its ARGV stand at the head of its file in ``lua/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from secrets import token_hex
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.requests import (
    ZERO,
    Cursor,
    DeleteThread,
    DescribeThread,
    Fetched,
    FindCheckpoints,
    FindNamespace,
    ForgetThread,
    FoundCheckpoint,
    FoundCheckpoints,
    FoundNamespace,
    GetCheckpoint,
    GetWrites,
    Leased,
    LeaseThread,
    ListCheckpoints,
    ListNamespaces,
    LogRange,
    NamespaceFacts,
    Namespaces,
    Page,
    Placed,
    Pruned,
    PruneThread,
    PublishThread,
    PutCheckpoint,
    PutWrites,
    Request,
    ScanThread,
    StageThread,
    StoredCheckpoint,
    StoredWrite,
    ThreadFacts,
    WritesReply,
)
from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, escape, read_name
from zerograph_redis.pieces.log import Span

from .calls import Binding, Call
from .examining import EXAMINING, check_cursor
from .keys import Keyspace
from .ranking import FRESH, RankThread, UnrankThread
from .scripts import Script

__all__ = ("BINDINGS",)

STAGED_FOR = 600_000  # ms that a page of an unfinished copy waits for the next


def _id(name: str) -> bytes:
    return escape(name).encode()


def _text(number: int | None) -> str | int:
    return "" if number is None else number


def _flag(value: bool) -> str:  # noqa: FBT001 - a pure conversion
    return "1" if value else ""


def _nothing(reply: Any, request: Any) -> None:
    return None


_NO_BASE = ("",) * 3


def _put_checkpoint(request: PutCheckpoint, keyspace: Keyspace) -> Call:
    base = request.base
    return Call(
        keyspace.of(request.thread),
        (
            _id(request.thread),
            _id(request.namespace),
            _id(request.checkpoint_id),
            _text(request.ttl),
            _text(request.keep_last),
            _text(request.max_age),
            request.version,
            request.record,
            request.appended,
            request.needed,
            *(_NO_BASE if base is None else (base.generation, _id(base.checkpoint_id), base.proof)),
            _text(request.fence),
            b"" if request.expected is None else b"=" + _id(request.expected.checkpoint_id or ""),
            request.attempt,
            *(("", "") if request.follows is None else (request.follows[1], _id(request.follows[0]))),
        ),
    )


def _put_writes(request: PutWrites, keyspace: Keyspace) -> Call:
    arguments: list[bytes | str | int] = [
        _id(request.thread),
        _id(request.namespace),
        _id(request.checkpoint_id),
        _text(request.ttl),
        "replace" if request.replace else "keep",
        _text(request.fence),
        *(("", "") if request.extends is None else (f"={request.extends}", token_hex(8))),
    ]
    for write in request.writes:
        arguments += (write.identity.encode(), write.record or b"")
    return Call(keyspace.of(request.thread), arguments)


def _parse_writes_reply(reply: Any, request: PutWrites) -> WritesReply | None:
    if request.extends is None:
        return None
    stored, version, *there = reply
    writes = [] if stored else _parse_writes(request.thread, request.checkpoint_id, *there)
    return WritesReply(stored == 1, version.decode(), writes)


def _get_checkpoint(request: GetCheckpoint, keyspace: Keyspace) -> Call:
    return Call(
        keyspace.of(request.thread),
        (
            _id(request.thread),
            _id(request.namespace),
            _id(request.checkpoint_id or ""),
            _flag(request.refresh),
            _spans(request.known),
        ),
    )


def _get_writes(request: GetWrites, keyspace: Keyspace) -> Call:
    return Call(
        keyspace.of(request.thread),
        (_id(request.thread), _id(request.namespace), _id(request.checkpoint_id), _flag(request.refresh)),
    )


def _list_checkpoints(request: ListCheckpoints, keyspace: Keyspace) -> Call:
    return Call(
        keyspace.of(request.thread),
        (
            _id(request.thread),
            _id(request.namespace),
            _id(request.before or ""),
            request.before_order or "",
            request.limit,
            _flag(request.refresh),
            _spans(request.known),
            _text(request.longest),
        ),
    )


def _find_checkpoints(request: FindCheckpoints, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (_id(request.prefix), request.cursor or "-"))


def _list_namespaces(request: ListNamespaces, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (request.cursor or "-",))


def _find_namespace(request: FindNamespace, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (_id(request.checkpoint_id), request.cursor or "-"))


def _prune_thread(request: PruneThread, keyspace: Keyspace) -> Call:
    return Call(
        keyspace.of(request.thread),
        (
            _id(request.thread),
            request.keep,
            request.call,
            request.cursor or "-",
            _text(request.fence),
            _text(request.max_age),
        ),
    )


def _delete_thread(request: DeleteThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (_id(request.thread), _text(request.fence), _text(request.updated)))


def _describe_thread(request: DescribeThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), ())


def _forget_thread(request: ForgetThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), (_id(request.thread),))


def _lease_thread(request: LeaseThread, keyspace: Keyspace) -> Call:
    return Call(
        keyspace.of(request.thread),
        (
            _id(request.thread),
            request.action,
            _text(request.token),
            request.attempt,
            _id(request.owner),
            request.ttl,
        ),
    )


def _spans(known: Sequence[Span]) -> str:
    return ",".join(f"{generation}:{start}-{stop}" for generation, start, stop in known)


def _rank_thread(request: RankThread, keyspace: Keyspace) -> Call:
    return Call((keyspace.list_of(request.thread),), (_id(request.thread),))


def _unrank_thread(request: UnrankThread, keyspace: Keyspace) -> Call:
    return Call((keyspace.list_of(request.thread),), (_id(request.thread), int(2 * FRESH * 1_000_000)))


def _scan_thread(request: ScanThread, keyspace: Keyspace) -> Call:
    return Call(keyspace.of(request.thread), request.cursor or _FIRST)


def _stage_thread(request: StageThread, keyspace: Keyspace) -> Call:
    rows, ranges = request.page.rows, request.page.ranges
    # A page holds writes, or checkpoints, or ranges of logs.
    kind = "log" if ranges else "writes" if rows[0][1].record is None else "checkpoints"
    arguments: list[bytes | str | int] = [kind, STAGED_FOR, request.number]
    for each in ranges:
        if each.start + len(each.data) > _LONGEST_LOG:
            raise SerializationError(
                f"thread {request.thread!r} cannot be stored in Redis: its states differ by more than a string there can "
                f"hold; prune it first"
            )
        arguments += (each.generation, each.start, each.data)
    for namespace, stored in rows:
        arguments += (_id(namespace), _id(stored.checkpoint_id))
        if stored.record is not None:
            arguments.append(stored.record)
        else:
            arguments.append(_manifest(stored.writes))
            arguments += [write.record or b"" for write in stored.writes]
    return Call(keyspace.staged(request.thread, request.token), arguments)


_LONGEST_LOG = 512 * 1024 * 1024


def _publish_thread(request: PublishThread, keyspace: Keyspace) -> Call:
    keys, past = keyspace.of(request.thread), request.past
    return Call(
        keys + keyspace.staged(request.thread, request.token),
        (
            _id(request.thread),
            _text(request.ttl),
            request.token if past is None else past.origin,
            len(keys) + 1,
            request.current,
            _text(request.fence),
            request.checkpoints,
            request.written,
            request.log_bytes,
            *(("", "", "") if past is None else (past.created, past.updated, _text(past.left))),
            *(request.instead or ("", "")),
            request.pages,
        ),
    )


def _parse_facts(reply: Any, request: DescribeThread) -> ThreadFacts | None:
    if reply is None:
        return None
    created, updated, checkpoints, namespaces, size, left, lifetime, order, origin, held, owner = reply
    return ThreadFacts(
        bounds.number(created, bounds.END_OF_ORDERS),
        bounds.number(updated, bounds.END_OF_ORDERS),
        bounds.number(checkpoints),
        bounds.number(namespaces),
        bounds.number(size),
        left if left >= 0 else None,
        bounds.number(lifetime, bounds.END_OF_ORDERS) if lifetime else None,
        bounds.order(order),
        None if origin is None else origin.decode(),
        bounds.whole(held, bounds.END_OF_ORDERS),
        read_name(owner),
    )


def _parse_stored(thread: str, reply: Any) -> StoredCheckpoint:
    checkpoint_id, record, manifest, records, *order = reply
    checkpoint_id = read_name(checkpoint_id)
    writes = _parse_writes(thread, checkpoint_id, manifest, records)
    return StoredCheckpoint(checkpoint_id, record, writes, bounds.order(order[0]) if order and order[0] else None)


def _parse_fetched(thread: str, rows: Sequence[Any], ranges: Sequence[bytes]) -> Fetched:
    found = zip(ranges[::3], ranges[1::3], ranges[2::3], strict=True)
    return Fetched(
        [_parse_stored(thread, row) for row in rows],
        [LogRange(generation.decode(), int(start), data) for generation, start, data in found],
    )


def _parse_writes(
    thread: str, checkpoint_id: str, manifest: bytes | None, records: Sequence[bytes | None]
) -> list[StoredWrite]:
    if manifest is None:
        return []
    found = _MANIFEST.match(manifest)
    count = int(found[1]) if found else -1
    if found is None or manifest.count(_US) != count + 1 or not manifest.endswith(_US) or _US * 2 in manifest:
        raise CorruptCheckpointError(
            f"the list of the pending writes of checkpoint {checkpoint_id!r} of thread {thread!r} is damaged"
        )
    # A script reads no further than to the first record that is gone.
    read = min(count, len(records) + 1)
    identities = manifest[found.end() :].split(_US, read)[:read]
    return [
        StoredWrite(identity.decode("utf-8", "replace"), record)
        for identity, record in zip_longest(identities, records[:read])
    ]


_US = SEPARATOR.encode()
_MANIFEST = re.compile(b"1:([0-9]{1,9}):[0-9]{1,14}(?::[0-9a-f]{1,32})?" + _US)


def _manifest(writes: Sequence[StoredWrite]) -> bytes:
    size = sum(len(write.record or b"") for write in writes)
    return SEPARATOR.join((f"1:{len(writes)}:{size}", *(write.identity for write in writes), "")).encode()


def _parse_page(reply: Any, request: ScanThread) -> Page:
    read, following, cursor, logs, rows = reply
    kind = read.decode()
    found: list[tuple[str, StoredCheckpoint]] = []
    ranges: list[LogRange] = []
    for field, *content in rows:
        if kind.startswith("log:"):
            ranges.append(LogRange(kind[4:], int(field), content[0]))
            continue
        namespace, checkpoint_id = map(read_name, field.decode().split(SEPARATOR))
        if kind == "writes":
            stored = StoredCheckpoint(checkpoint_id, None, _parse_writes(request.thread, checkpoint_id, *content))
        else:
            stored = StoredCheckpoint(checkpoint_id, content[0], [])
        found.append((namespace, stored))
    which = logs.decode()
    place: Cursor | None = (following.decode(), cursor.decode()) if following else None
    return Page(found, ranges, which, which[1:17] if which[0] != "-" else ZERO, place)


_FIRST = ("writes", "0")


def _cursor(reply: bytes | None) -> str | None:
    return None if reply is None else reply.decode()


def _parse_list(reply: Any, request: ListCheckpoints) -> Fetched:
    found = _parse_fetched(request.thread, *reply)
    # An index whose members have scores is in no order, and would be read for ever.
    orders = [request.before_order or "g", *(each.order or "" for each in found.checkpoints)]
    if any(later <= earlier for later, earlier in pairwise(orders)):
        raise ValueError("an index is out of order")
    return found


def _parse_found(reply: Any, request: FindCheckpoints) -> FoundCheckpoints:
    rows, cursor = reply
    check_cursor(request.cursor, cursor)
    return FoundCheckpoints(
        [FoundCheckpoint(read_name(space), read_name(name), bounds.order(order)) for space, order, name in rows],
        _cursor(cursor),
    )


BINDINGS: Mapping[type[Request[Any]], Binding] = {
    **EXAMINING,
    PutCheckpoint: Binding(
        Script("put_checkpoint", "thread", "write", "drop"),
        _put_checkpoint,
        lambda reply, _: None if reply is None else Placed(reply[0].decode(), reply[1].decode(), int(reply[2])),
    ),
    PutWrites: Binding(Script("put_writes", "thread", "read", "write"), _put_writes, _parse_writes_reply),
    GetCheckpoint: Binding(
        Script("get_checkpoint", "thread", "read"),
        _get_checkpoint,
        lambda reply, request: (
            Fetched([], []) if reply is None else _parse_fetched(request.thread, reply[:1], reply[1])
        ),
    ),
    GetWrites: Binding(
        Script("get_writes", "thread", "read"),
        _get_writes,
        lambda reply, request: _parse_writes(request.thread, request.checkpoint_id, *reply),
    ),
    ListCheckpoints: Binding(
        Script("list_checkpoints", "thread", "read"),
        _list_checkpoints,
        _parse_list,
    ),
    FindNamespace: Binding(
        Script("find_namespace", "thread", "read"),
        _find_namespace,
        lambda reply, _: FoundNamespace(None if reply[0] is None else read_name(reply[0]), _cursor(reply[1])),
    ),
    FindCheckpoints: Binding(
        Script("find_checkpoints", "thread", "read"),
        _find_checkpoints,
        _parse_found,
    ),
    ListNamespaces: Binding(
        Script("list_namespaces", "thread", "read"),
        _list_namespaces,
        lambda reply, _: Namespaces(
            [
                NamespaceFacts(read_name(namespace), bounds.number(count), bounds.order(newest))
                for namespace, count, newest in reply[0]
            ],
            _cursor(reply[1]),
        ),
    ),
    PruneThread: Binding(
        Script("prune_thread", "thread", "write", "drop"),
        _prune_thread,
        lambda reply, _: Pruned(reply[0], _cursor(reply[1])),
    ),
    DeleteThread: Binding(Script("delete_thread", "thread", "write"), _delete_thread, lambda reply, _: reply == 1),
    LeaseThread: Binding(
        Script("lease_thread", "thread", "write"),
        _lease_thread,
        lambda reply, _: Leased(bounds.number(reply[0]), reply[1].decode(), read_name(reply[2]), reply[3]),
    ),
    DescribeThread: Binding(Script("describe_thread", "thread"), _describe_thread, _parse_facts),
    RankThread: Binding(Script("rank_thread"), _rank_thread, _nothing),
    UnrankThread: Binding(Script("unrank_thread"), _unrank_thread, _nothing),
    ForgetThread: Binding(Script("forget_thread", "thread"), _forget_thread, _nothing),
    ScanThread: Binding(Script("scan_thread", "thread", "read"), _scan_thread, _parse_page),
    StageThread: Binding(Script("stage_thread", "thread"), _stage_thread, lambda reply, _: reply == 1),
    PublishThread: Binding(
        Script("publish_thread", "thread", "write"),
        _publish_thread,
        lambda reply, _: None if reply is None else reply == 1,
    ),
}
