"""How each request is said to Redis, and its reply read: pure functions, one binding a request.

What a script does, and what its arguments mean, stands at the head of its file in ``lua/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from secrets import token_hex
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.examination import IndexThread, UnindexThread
from zerograph_redis.core.requests import (
    ZERO,
    Cursor,
    DeleteThread,
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
    PlacedBatch,
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
    WriteBatch,
    WritesReply,
)
from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, encode, read_name
from zerograph_redis.state_log.log import KnownRange

from .examining import EXAMINING, check_cursor, from_cursor
from .keys import ACROSS, FRESH, KINDS, Keyspace
from .listing import LISTING
from .scripts import Binding, Fields, Script, flag, nothing, number, on_keys, on_thread

STAGED_FOR = 600_000  # ms that a page of an unfinished copy waits for the next


PUT = Fields("put", ("begin", "checkpoint_id", "version", "name", "record", "appended", "needed", "base"))
BATCH = Fields("batch", ("field", "how"))

_PUT_CHECKPOINT = Script(
    "put_checkpoint",
    arguments=(
        *("id", "ttl", *PUT.names),
        *("token", "keep_last", "max_age", "expected", "parent_order", "parent_id"),
    ),
)
_PUT_WRITES = Script("put_writes", arguments=("id", "ttl", "token", *BATCH.names))
_WRITE_BATCH = Script("write_batch", arguments=("id", "ttl", "token", "keep_last", "max_age"), fields=(PUT, BATCH))
_GET_CHECKPOINT = Script("get_checkpoint", arguments=("begin", "checkpoint_id", "base", "known", "renew"))
_GET_WRITES = Script("get_writes", arguments=("field", "renew"))
_LIST_CHECKPOINTS = Script(
    "list_checkpoints",
    arguments=("id", "namespace", "before", "order", "limit", "renew", "known", "longest"),
)
_FIND_NAMESPACE = Script("find_namespace", arguments=("checkpoint_id", "cursor"))
_FIND_CHECKPOINTS = Script("find_checkpoints", arguments=("prefix", "cursor"))
_LIST_NAMESPACES = Script("list_namespaces", arguments=("cursor",))
_PRUNE_THREAD = Script("prune_thread", arguments=("id", "keep", "slice", "cursor", "token", "max_age"))
_DELETE_THREAD = Script("delete_thread", arguments=("id", "token", "last_write"))
_LEASE_THREAD = Script("lease_thread", arguments=("id", "action", "token", "attempt", "owner", "lifetime"))
_FORGET_THREAD = Script("forget_thread", arguments=("id",))
_INDEX_THREAD = Script("index_thread", keys=("shard",), arguments=("id",))
_UNINDEX_THREAD = Script("unindex_thread", keys=("shard",), arguments=("id", "age"))
_SCAN_THREAD = Script("scan_thread", arguments=("kind", "cursor"))
_STAGE_THREAD = Script("stage_thread", keys=KINDS, arguments=("kind", "lifetime", "number"))
_PUBLISH_THREAD = Script(
    "publish_thread",
    keys=(*KINDS, *(f"staged_{kind}" for kind in KINDS), *ACROSS),
    arguments=(
        *("id", "ttl", "copy", "current", "token", "checkpoint_count", "written", "log_bytes"),
        *("created", "updated", "left", "instead", "instead_updated", "page_count"),
    ),
)


def _put_checkpoint(request: PutCheckpoint) -> tuple[bytes, ...]:
    fence, keep_last, max_age = request.fence, request.keep_last, request.max_age
    expected, follows = request.expected, request.follows
    put = (encode(request.thread), number(request.ttl), *_put(request))
    if keep_last is None and max_age is None and expected is None and follows is None:
        return put if fence is None else (*put, number(fence))
    return (
        *put,
        number(fence),
        number(keep_last),
        number(max_age),
        b"" if expected is None else b"=" + encode(expected.checkpoint_id or ""),
        *((b"", b"") if follows is None else (follows[1].encode(), encode(follows[0]))),
    )


def _put(request: PutCheckpoint) -> tuple[bytes, ...]:
    base, appended = request.base, request.appended
    return (
        encode(request.namespace) + _US,
        encode(request.checkpoint_id),
        request.version,
        b"%010x%b" % (len(appended), request.attempt.encode()),
        request.record,
        appended,
        b"%d" % request.needed,
        b""
        if base is None
        else b"%b %b %b" % (base.generation.encode(), base.proof.encode(), encode(base.checkpoint_id)),
    )


def _parse_placed(reply: Any, request: PutCheckpoint) -> Placed | None:
    if reply is None:
        return None
    text = reply.decode()
    return Placed(text[:16], text[16:32], int(text[32:], 16))


def _field(request: PutWrites | GetWrites) -> bytes:
    return b"%b\x1f%b" % (encode(request.namespace), encode(request.checkpoint_id))


def _put_writes(request: PutWrites) -> tuple[bytes, ...]:
    return (encode(request.thread), number(request.ttl), number(request.fence), *_batch(request))


def _batch(request: PutWrites) -> list[bytes]:
    extends = request.extends
    how = b"" if request.replace else b"keep"
    if extends is not None:
        how += b":%b:%b" % (token_hex(8).encode(), extends.encode())
    arguments = [_field(request), how]
    for write in request.writes:
        arguments += (write.identity.encode(), write.record or b"")
    return arguments


def _parse_writes_reply(reply: Any, request: PutWrites) -> WritesReply | None:
    if request.extends is None:
        return None
    stored, version, *there = reply
    writes = [] if stored else _parse_writes(request.thread, request.checkpoint_id, *there)
    return WritesReply(stored == 1, version.decode(), writes)


def _write_batch(request: WriteBatch) -> tuple[bytes, ...]:
    writes = request.writes
    put = next((each for each in writes if isinstance(each, PutCheckpoint)), None)
    arguments = [
        encode(request.thread),
        number(request.ttl),
        number(request.fence),
        # All puts of a saver keep as much.
        *((b"", b"") if put is None else (number(put.keep_last), number(put.max_age))),
    ]
    for each in writes:
        if isinstance(each, PutCheckpoint):
            arguments += (b"", *_put(each))
        else:
            arguments += (b"%d" % len(each.writes), *_batch(each))
    return tuple(arguments)


def _parse_placed_batch(reply: Any, request: WriteBatch) -> PlacedBatch | None:
    if reply is None:
        return None
    generation, base, *orders = reply
    return PlacedBatch(generation.decode(), int(base), [order.decode() for order in orders])


def _get_checkpoint(request: GetCheckpoint) -> tuple[bytes, ...]:
    base, checkpoint_id = request.base, request.checkpoint_id
    return (
        encode(request.namespace) + _US,
        b"" if checkpoint_id is None else encode(checkpoint_id),
        b"" if base is None else base.proof.encode(),
        _spans(request.known),
        encode(request.thread) if request.refresh else b"",
    )


def _parse_checkpoint(reply: Any, request: GetCheckpoint) -> Fetched:
    if reply is None:
        return Fetched([], [])
    checkpoint_id, record, order, ranges, *written = reply
    checkpoint_id = read_name(checkpoint_id)
    writes = _parse_writes(request.thread, checkpoint_id, *written) if written else []
    stored = StoredCheckpoint(checkpoint_id, record, writes, bounds.order(order) if order else None)
    return Fetched([stored], _parse_ranges(ranges) if ranges else [])


def _get_writes(request: GetWrites) -> tuple[bytes, ...]:
    return _field(request), encode(request.thread) if request.refresh else b""


def _list_checkpoints(request: ListCheckpoints) -> tuple[bytes, ...]:
    return (
        encode(request.thread),
        encode(request.namespace),
        encode(request.before or ""),
        (request.before_order or "").encode(),
        number(request.limit),
        flag(request.refresh),
        _spans(request.known),
        number(request.longest),
    )


def _prune_thread(request: PruneThread) -> tuple[bytes, ...]:
    return (
        encode(request.thread),
        number(request.keep),
        request.call.encode(),
        from_cursor(request.cursor),
        number(request.fence),
        number(request.max_age),
    )


def _lease_thread(request: LeaseThread) -> tuple[bytes, ...]:
    return (
        encode(request.thread),
        request.action.encode(),
        number(request.token),
        request.attempt.encode(),
        encode(request.owner),
        number(request.ttl),
    )


def _spans(known: Sequence[KnownRange]) -> bytes:
    return ",".join([f"{generation}:{start}-{stop}" for generation, start, stop in known]).encode()


def _shard(request: IndexThread | UnindexThread, keyspace: Keyspace) -> Sequence[bytes]:
    return (keyspace.list_of(request.thread),)


def _scan_thread(request: ScanThread) -> tuple[bytes, ...]:
    kind, cursor = request.cursor or _FIRST
    return kind.encode(), cursor.encode()


def _stage_thread(request: StageThread) -> Sequence[bytes]:
    rows, ranges = request.page.rows, request.page.ranges
    # A page holds writes, or checkpoints, or ranges of logs.
    kind = b"log" if ranges else b"writes" if rows[0][1].record is None else b"checkpoints"
    arguments = [kind, number(STAGED_FOR), number(request.number)]
    for each in ranges:
        if each.start + len(each.data) > _LONGEST_LOG:
            raise SerializationError(
                f"thread {request.thread!r} cannot be stored in Redis: its states differ by more than a string there can "
                f"hold; prune it first"
            )
        arguments += (each.generation.encode(), number(each.start), each.data)
    for namespace, stored in rows:
        arguments += (encode(namespace), encode(stored.checkpoint_id))
        if stored.record is not None:
            arguments.append(stored.record)
        else:
            arguments.append(_manifest(stored.writes))
            arguments += [write.record or b"" for write in stored.writes]
    return arguments


_LONGEST_LOG = 512 * 1024 * 1024


def _publish_thread(request: PublishThread) -> Sequence[bytes]:
    past, instead = request.past, request.instead
    return (
        encode(request.thread),
        number(request.ttl),
        (request.token if past is None else past.origin).encode(),
        request.current.encode(),
        number(request.fence),
        number(request.checkpoints),
        number(request.written),
        number(request.log_bytes),
        *((b"",) * 3 if past is None else (number(past.created), number(past.updated), number(past.left))),
        *((b"",) * 2 if instead is None else (instead.origin.encode(), number(instead.updated))),
        number(request.pages),
    )


def _parse_stored(thread: str, reply: Any) -> StoredCheckpoint:
    checkpoint_id, record, manifest, records, *order = reply
    checkpoint_id = read_name(checkpoint_id)
    writes = _parse_writes(thread, checkpoint_id, manifest, records)
    return StoredCheckpoint(checkpoint_id, record, writes, bounds.order(order[0]) if order and order[0] else None)


def _parse_fetched(thread: str, rows: Sequence[Any], ranges: Sequence[bytes]) -> Fetched:
    return Fetched([_parse_stored(thread, row) for row in rows], _parse_ranges(ranges))


def _parse_ranges(ranges: Sequence[bytes]) -> list[LogRange]:
    found = zip(ranges[::3], ranges[1::3], ranges[2::3], strict=True)
    return [LogRange(generation.decode(), int(start), data) for generation, start, data in found]


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
    **LISTING,
    PutCheckpoint: on_thread(_PUT_CHECKPOINT, _put_checkpoint, _parse_placed),
    PutWrites: on_thread(_PUT_WRITES, _put_writes, _parse_writes_reply),
    WriteBatch: on_thread(_WRITE_BATCH, _write_batch, _parse_placed_batch),
    GetCheckpoint: on_thread(_GET_CHECKPOINT, _get_checkpoint, _parse_checkpoint),
    GetWrites: on_thread(
        _GET_WRITES,
        _get_writes,
        lambda reply, request: _parse_writes(request.thread, request.checkpoint_id, *reply),
    ),
    ListCheckpoints: on_thread(_LIST_CHECKPOINTS, _list_checkpoints, _parse_list),
    FindNamespace: on_thread(
        _FIND_NAMESPACE,
        lambda request: (encode(request.checkpoint_id), from_cursor(request.cursor)),
        lambda reply, _: FoundNamespace(None if reply[0] is None else read_name(reply[0]), _cursor(reply[1])),
    ),
    FindCheckpoints: on_thread(
        _FIND_CHECKPOINTS, lambda request: (encode(request.prefix), from_cursor(request.cursor)), _parse_found
    ),
    ListNamespaces: on_thread(
        _LIST_NAMESPACES,
        lambda request: (from_cursor(request.cursor),),
        lambda reply, _: Namespaces(
            [
                NamespaceFacts(read_name(namespace), bounds.number(count), bounds.order(newest))
                for namespace, count, newest in reply[0]
            ],
            _cursor(reply[1]),
        ),
    ),
    PruneThread: on_thread(_PRUNE_THREAD, _prune_thread, lambda reply, _: Pruned(reply[0], _cursor(reply[1]))),
    DeleteThread: on_thread(
        _DELETE_THREAD,
        lambda request: (encode(request.thread), number(request.fence), number(request.updated)),
        lambda reply, _: reply == 1,
    ),
    LeaseThread: on_thread(
        _LEASE_THREAD,
        _lease_thread,
        lambda reply, _: Leased(bounds.number(reply[0]), reply[1].decode(), read_name(reply[2]), reply[3]),
    ),
    ForgetThread: on_thread(_FORGET_THREAD, lambda request: (encode(request.thread),), nothing),
    IndexThread: on_keys(_INDEX_THREAD, _shard, lambda request: (encode(request.thread),), nothing),
    UnindexThread: on_keys(
        _UNINDEX_THREAD, _shard, lambda request: (encode(request.thread), number(int(2 * FRESH * 1_000_000))), nothing
    ),
    ScanThread: on_thread(_SCAN_THREAD, _scan_thread, _parse_page),
    StageThread: on_keys(
        _STAGE_THREAD,
        lambda request, keyspace: keyspace.staged(request.thread, request.token),
        _stage_thread,
        lambda reply, _: reply == 1,
    ),
    PublishThread: on_keys(
        _PUBLISH_THREAD,
        lambda request, keyspace: keyspace.published(request.thread, request.token),
        _publish_thread,
        lambda reply, _: None if reply is None else reply == 1,
    ),
}
"""How each request is said to Redis."""
