"""How each request becomes commands, and their replies its answer: here, those about checkpoints and copies of threads.

All are pure functions. The head of each Lua file describes what it does, its arguments and its reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from secrets import token_hex
from typing import Any

from zerograph_redis.core import bounds, examination, requests
from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, encode, read_name
from zerograph_redis.state_log.log import KnownRange

from .keys import ACROSS, KINDS
from .scripts import Binding, Group, Keys, Script, by_script, flag, number, with_arguments
from .thread_bindings import THREADS, is_one

STAGED_FOR = 600_000  # ms that a page of an unfinished copy waits for the next

_US = SEPARATOR.encode()
_LONGEST_LOG = 512 * 1024 * 1024  # bytes of a string in Redis

PUT = Group("put", ("begin", "checkpoint_id", "version", "name", "record", "appended", "needed", "base"))
WRITES = Group("writes", ("field", "how"))


def _put_checkpoint(request: requests.PutCheckpoint) -> tuple[bytes, ...]:
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


def _put(request: requests.PutCheckpoint) -> tuple[bytes, ...]:
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


def _parse_placed(reply: Any, request: requests.PutCheckpoint) -> requests.Placed | None:
    if reply is None:
        return None
    text = reply.decode()
    return requests.Placed(text[:16], text[16:32], int(text[32:], 16))


def _field(request: requests.PutWrites | requests.GetWrites) -> bytes:
    return b"%b\x1f%b" % (encode(request.namespace), encode(request.checkpoint_id))


def _put_writes(request: requests.PutWrites) -> tuple[bytes, ...]:
    return (encode(request.thread), number(request.ttl), number(request.fence), *_writes(request))


def _writes(request: requests.PutWrites) -> list[bytes]:
    extends = request.extends
    how = b"" if request.replace else b"keep"
    if extends is not None:
        how += b":%b:%b" % (token_hex(8).encode(), extends.encode())
    arguments = [_field(request), how]
    for write in request.writes:
        arguments += (write.identity.encode(), write.record or b"")
    return arguments


def _parse_writes_reply(reply: Any, request: requests.PutWrites) -> requests.WritesReply | None:
    if request.extends is None:
        return None
    stored, version, *current = reply
    writes = [] if stored else _parse_writes(request.thread, request.checkpoint_id, *current)
    return requests.WritesReply(stored == 1, version.decode(), writes)


def _write_batch(request: requests.WriteBatch) -> tuple[bytes, ...]:
    put = next((each for each in request.writes if isinstance(each, requests.PutCheckpoint)), None)
    arguments = [
        encode(request.thread),
        number(request.ttl),
        number(request.fence),
        # All puts of a saver have the same retention.
        *((b"", b"") if put is None else (number(put.keep_last), number(put.max_age))),
    ]
    for each in request.writes:
        if isinstance(each, requests.PutCheckpoint):
            arguments += (b"", *_put(each))
        else:
            arguments += (b"%d" % len(each.writes), *_writes(each))
    return tuple(arguments)


def _parse_placed_batch(reply: Any, request: requests.WriteBatch) -> requests.PlacedBatch | None:
    if reply is None:
        return None
    generation, base, *orders = reply
    return requests.PlacedBatch(generation.decode(), int(base), [order.decode() for order in orders])


def _get_checkpoint(request: requests.GetCheckpoint) -> tuple[bytes, ...]:
    base, checkpoint_id = request.base, request.checkpoint_id
    return (
        encode(request.namespace) + _US,
        b"" if checkpoint_id is None else encode(checkpoint_id),
        b"" if base is None else base.proof.encode(),
        _known(request.known),
        encode(request.thread) if request.refresh else b"",
    )


def _known(ranges: Sequence[KnownRange]) -> bytes:
    return ",".join([f"{generation}:{start}-{stop}" for generation, start, stop in ranges]).encode()


def _parse_checkpoint(reply: Any, request: requests.GetCheckpoint) -> requests.Fetched:
    if reply is None:
        return requests.Fetched([], [])
    checkpoint_id, record, order, ranges, *written = reply
    checkpoint_id = read_name(checkpoint_id)
    writes = _parse_writes(request.thread, checkpoint_id, *written) if written else []
    stored = requests.StoredCheckpoint(checkpoint_id, record, writes, bounds.order(order) if order else None)
    return requests.Fetched([stored], _parse_ranges(ranges) if ranges else [])


def _get_writes(request: requests.GetWrites) -> tuple[bytes, ...]:
    return _field(request), encode(request.thread) if request.refresh else b""


def _list_checkpoints(request: requests.ListCheckpoints) -> tuple[bytes, ...]:
    return (
        encode(request.thread),
        encode(request.namespace),
        encode(request.before or ""),
        (request.before_order or "").encode(),
        number(request.limit),
        flag(request.refresh),
        _known(request.known),
    )


def _parse_list(reply: Any, request: requests.ListCheckpoints) -> requests.Fetched:
    rows, ranges = reply
    found = []
    for checkpoint_id, record, manifest, records, order in rows:
        name = read_name(checkpoint_id)
        writes = _parse_writes(request.thread, name, manifest, records)
        found.append(requests.StoredCheckpoint(name, record, writes, bounds.order(order)))
    # An index whose members have scores is not in order, and reading it page by page might never end.
    orders = [request.before_order or "g", *(each.order or "" for each in found)]
    if any(later <= earlier for later, earlier in pairwise(orders)):
        raise ValueError("an index is out of order")
    return requests.Fetched(found, _parse_ranges(ranges))


def _parse_ranges(ranges: Sequence[bytes]) -> list[requests.LogRange]:
    found = zip(ranges[::3], ranges[1::3], ranges[2::3], strict=True)
    return [requests.LogRange(generation.decode(), int(start), data) for generation, start, data in found]


_MANIFEST = re.compile(b"1:([0-9]{1,9}):[0-9]{1,14}(?::[0-9a-f]{1,32})?" + _US)
"""A manifest lists the pending writes of a checkpoint: see thread.lua."""


def _manifest(writes: Sequence[requests.StoredWrite]) -> bytes:
    size = sum(len(write.record or b"") for write in writes)
    return SEPARATOR.join((f"1:{len(writes)}:{size}", *(write.identity for write in writes), "")).encode()


def _parse_writes(
    thread: str, checkpoint_id: str, manifest: bytes | None, records: Sequence[bytes | None]
) -> list[requests.StoredWrite]:
    if manifest is None:
        return []
    found = _MANIFEST.match(manifest)
    count = int(found[1]) if found else -1
    if found is None or manifest.count(_US) != count + 1 or not manifest.endswith(_US) or _US * 2 in manifest:
        raise CorruptCheckpointError(
            f"the list of the pending writes of checkpoint {checkpoint_id!r} of thread {thread!r} is damaged"
        )
    # A script stops reading at the first missing record.
    read = min(count, len(records) + 1)
    identities = manifest[found.end() :].split(_US, read)[:read]
    return [
        requests.StoredWrite(identity.decode("utf-8", "replace"), record)
        for identity, record in zip_longest(identities, records[:read])
    ]


_FIRST = ("writes", "0")


def _parse_page(reply: Any, request: requests.ScanThread) -> requests.Page:
    read, following, cursor, logs, rows = reply
    kind = read.decode()
    found: list[tuple[str, requests.StoredCheckpoint]] = []
    ranges: list[requests.LogRange] = []
    for field, *content in rows:
        if kind.startswith("log:"):
            ranges.append(requests.LogRange(kind[4:], int(field), content[0]))
            continue
        namespace, checkpoint_id = map(read_name, field.decode().split(SEPARATOR))
        if kind == "writes":
            stored = requests.StoredCheckpoint(
                checkpoint_id, None, _parse_writes(request.thread, checkpoint_id, *content)
            )
        else:
            stored = requests.StoredCheckpoint(checkpoint_id, content[0], [])
        found.append((namespace, stored))
    text = logs.decode()
    place: requests.Cursor | None = (following.decode(), cursor.decode()) if following else None
    return requests.Page(found, ranges, text, text[1:17] if text[0] != "-" else requests.NO_LOG, place)


def _stage_thread(request: requests.StageThread) -> tuple[bytes, ...]:
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
    return tuple(arguments)


def _publish_thread(request: requests.PublishThread) -> tuple[bytes, ...]:
    past, instead = request.past, request.instead
    return (
        encode(request.thread),
        number(request.ttl),
        (request.token if past is None else past.origin).encode(),
        request.current.encode(),
        number(request.fence),
        number(request.checkpoints),
        number(request.checkpoints_with_writes),
        number(request.log_bytes),
        *((b"",) * 3 if past is None else (number(past.created), number(past.updated), number(past.left))),
        *((b"",) * 2 if instead is None else (instead.origin.encode(), number(instead.updated))),
        number(request.pages),
    )


_STAGED: Keys = lambda request, keyspace: keyspace.staged(request.thread, request.token)  # noqa: E731 - one of several


BINDINGS: Mapping[type[requests.Request[Any]], Binding] = {
    **THREADS,
    requests.PutCheckpoint: by_script(
        Script(
            "put_checkpoint",
            (
                *("id", "ttl", *PUT.names),
                *("token", "keep_last", "max_age", "expected", "parent_order", "parent_id"),
            ),
        ),
        _put_checkpoint,
        _parse_placed,
    ),
    requests.PutWrites: by_script(
        Script("put_writes", ("id", "ttl", "token", *WRITES.names)), _put_writes, _parse_writes_reply
    ),
    requests.WriteBatch: by_script(
        Script("write_batch", ("id", "ttl", "token", "keep_last", "max_age"), groups=(PUT, WRITES)),
        _write_batch,
        _parse_placed_batch,
    ),
    requests.GetCheckpoint: by_script(
        Script("get_checkpoint", ("begin", "checkpoint_id", "base", "known", "renew")),
        _get_checkpoint,
        _parse_checkpoint,
    ),
    requests.GetWrites: by_script(
        Script("get_writes", ("field", "renew")),
        _get_writes,
        lambda reply, request: _parse_writes(request.thread, request.checkpoint_id, *reply),
    ),
    requests.ListCheckpoints: by_script(
        Script("list_checkpoints", ("id", "namespace", "before", "order", "limit", "renew", "known")),
        _list_checkpoints,
        _parse_list,
    ),
    requests.ScanThread: with_arguments(
        "scan_thread",
        {
            "kind": lambda request: (request.cursor or _FIRST)[0].encode(),
            "cursor": lambda request: (request.cursor or _FIRST)[1].encode(),
        },
        _parse_page,
    ),
    requests.StageThread: by_script(
        Script("stage_thread", ("kind", "lifetime", "number"), keys=KINDS), _stage_thread, is_one, keys=_STAGED
    ),
    requests.PublishThread: by_script(
        Script(
            "publish_thread",
            (
                *("id", "ttl", "copy", "current", "token", "checkpoint_count", "with_writes", "log_bytes"),
                *("created", "updated", "left", "instead", "instead_updated", "page_count"),
            ),
            keys=(*KINDS, *(f"staged_{kind}" for kind in KINDS), *ACROSS),
        ),
        _publish_thread,
        lambda reply, _: None if reply is None else reply == 1,
        keys=lambda request, keyspace: keyspace.published(request.thread, request.token),
    ),
    examination.DiscardStaged: with_arguments(
        "discard_staged", {"remove": lambda request: flag(request.remove)}, is_one, key_names=KINDS, keys=_STAGED
    ),
}
"""Every request that Redis answers but `Bundle`, which the backend takes apart."""
