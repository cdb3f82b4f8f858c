"""Bindings of the requests about threads as a whole: find, describe, list, examine, prune, delete, lease.

What concerns many threads is several commands, since no script may reach across slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from zerograph_redis.core import bounds, examination, requests
from zerograph_redis.core.refusals import describe_request
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR, encode, read_name

from .faults import damage
from .keys import Keyspace
from .scripts import Binding, Command, command, number, with_arguments

R = TypeVar("R")

FRESH = 30.0
"""Seconds for which a worker does not enter a thread in the thread index of a cluster again."""


def read_reply(parse: Callable[[Any, Any], R], reply: Any, request: requests.Request[Any]) -> R:
    """Parse a reply; CorruptCheckpointError if it is not what a saver stored."""
    try:
        return parse(reply, request)
    except bounds.UNREADABLE as error:
        raise bounds.unreadable(describe_request(request), error) from error


def _thread(request: Any) -> bytes:
    return encode(request.thread)


def _cursor(request: Any) -> bytes:
    """Where to begin in the index of a thread."""
    return (request.cursor or "-").encode()


def _next(request: Any, cursor: bytes | None) -> str | None:
    """The cursor of the next page; None after the last, or a ValueError if it does not move on."""
    if not cursor:
        return None
    if request.cursor is not None and cursor <= request.cursor.encode():
        raise ValueError("an index is out of order")  # its members have scores
    return cursor.decode()


def is_one(reply: Any, _: Any) -> bool:
    """Parse the reply 1 or 0."""
    return bool(reply == 1)


def _nothing(reply: Any, request: Any) -> None:
    """Parse a reply that has no content."""


def _parse_facts(reply: Any, _: requests.DescribeThread) -> requests.ThreadFacts | None:
    if reply is None:
        return None
    created, updated, checkpoints, namespaces, size, left, lifetime, order, origin, held, owner = reply
    return requests.ThreadFacts(
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


_DESCRIBE = with_arguments("describe_thread", {}, _parse_facts)


def _describe_threads(request: requests.DescribeThreads, keyspace: Keyspace) -> Sequence[Command]:
    return [
        each for thread in request.threads for each in _DESCRIBE.commands(requests.DescribeThread(thread), keyspace)
    ]


def _facts_or_error(
    reply: Any, request: requests.DescribeThread
) -> requests.ThreadFacts | CorruptCheckpointError | None:
    """One damaged thread does not keep others from being described; any other error does."""
    if isinstance(reply, Exception):
        error = damage(reply, request)
        if error is None:
            raise reply
        error.__cause__ = reply
        return error
    try:
        return read_reply(_parse_facts, reply, request)
    except CorruptCheckpointError as error:
        return error


def _list_threads(request: requests.ListThreads, keyspace: Keyspace) -> Sequence[Command]:
    newest = "+inf" if request.cursor is None else f"{request.cursor.updated:.17g}"
    return [
        command("ZREVRANGEBYSCORE", key, newest, "-inf", "WITHSCORES", "LIMIT", 0, _page_size(request), key=key)
        for key in keyspace.shards
    ]


_TIES = 20


def _page_size(request: requests.ListThreads) -> int:
    """How many entries to read of each shard: also those of the same µs, which may come before the first wanted one."""
    return request.limit + _TIES + (0 if request.cursor is None else request.cursor.ties)


def _parse_page(replies: Sequence[Any], request: requests.ListThreads) -> requests.IndexPage:
    shards = [_scored(reply) for reply in replies]
    entries = sorted((entry for shard in shards for entry in shard), reverse=True)
    cursor = request.cursor
    if cursor is not None:
        bound = (float(cursor.updated), cursor.name if isinstance(cursor.name, bytes) else cursor.name.encode())
        entries = [entry for entry in entries if entry < bound]
    # A shard that was not read to its end may have more entries older than the last that was read.
    horizon = max((shard[-1] for shard in shards if len(shard) == _page_size(request)), default=None)
    if horizon is not None:
        entries = [entry for entry in entries if entry >= horizon]
    more: requests.IndexCursor | None = None
    if len(entries) > request.limit or (len(entries) == request.limit and horizon is not None):
        entries = entries[: request.limit]
        same = cursor is not None and entries[-1][0] == bound[0]
        more = requests.IndexCursor(*entries[-1], cursor.ties if cursor is not None and same else 0)
    elif horizon is not None and cursor is not None and horizon >= bound:
        more = cursor._replace(ties=2 * cursor.ties + request.limit)
    elif horizon is not None:
        more = requests.IndexCursor(*horizon)
    return _index_page(entries, more)


def _scored(reply: Any) -> list[tuple[float, bytes]]:
    """Read members with scores, which come as pairs or as a flat list, depending on the protocol."""
    pairs = reply if reply and isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
    return [(float(score), member) for member, score in pairs]


def _index_page(entries: Sequence[tuple[float, bytes]], cursor: requests.IndexCursor | None) -> requests.IndexPage:
    found, odd = [], []
    for score, member in entries:
        try:
            found.append(requests.IndexedThread(int(min(max(score, 0.0), bounds.END_OF_ORDERS)), read_name(member)))
        except ValueError:
            odd.append(member.decode("utf-8", "backslashreplace"))
    return requests.IndexPage(found, cursor, odd)


def _on_shard(verb: str, word: Callable[[Any], bytes | int], parse: Callable[[Sequence[Any], Any], Any]) -> Binding:
    """Run a command on the thread's shard of the thread index."""

    def commands(request: Any, keyspace: Keyspace) -> Sequence[Command]:
        key = keyspace.shard_of(request.thread)
        return [command(verb, key, word(request), key=key)]

    return Binding(commands, parse)


_SHARD: Any = {"key_names": ("shard",), "keys": lambda request, keyspace: (keyspace.shard_of(request.thread),)}
"""The key of the scripts on a thread's shard of the thread index."""


def _parse_clock(replies: Sequence[Any], _: examination.ReadClock) -> int:
    seconds, microseconds = replies[0]
    return int(seconds) * 1_000_000 + int(microseconds)


def _parse_condition(reply: Any, _: examination.ExamineThread) -> examination.Condition:
    stored, missing, entry, wrong_deadlines, updated, checkpoints, size, ttl, owner, held = reply
    return examination.Condition(
        bool(stored),
        missing.decode(),
        examination.IndexState(entry.decode()),
        wrong_deadlines,
        0 if missing else bounds.number(updated or b"0", bounds.END_OF_ORDERS),
        0 if missing else bounds.number(checkpoints or b"0"),
        bounds.number(size),
        bounds.number(ttl, bounds.END_OF_ORDERS) if ttl and not missing else None,
        read_name(owner),
        bounds.whole(held, bounds.END_OF_ORDERS),
    )


def _parse_outlines(reply: Any, request: examination.OutlineThread) -> examination.OutlinePage:
    cursor, *lengths, now, rows = reply
    outlines = []
    for member, size, header, writes, written in rows:
        namespace, order, checkpoint_id = member.decode().split(SEPARATOR)
        place = (namespace, checkpoint_id, int(bounds.order(order), 16))
        outlines.append(
            examination.outline_of(
                place, None if size < 0 else size, header, None, bounds.number(writes), bounds.number(written)
            )
        )
    logs = {str(log): length for log, length in enumerate(lengths) if length}
    return examination.OutlinePage(outlines, logs, int(now), _next(request, cursor))


def _parse_found(reply: Any, request: requests.FindCheckpoints) -> requests.Found[list[requests.FoundCheckpoint]]:
    rows, cursor = reply
    found = [
        requests.FoundCheckpoint(read_name(space), read_name(name), bounds.order(order)) for space, order, name in rows
    ]
    return requests.Found(found, _next(request, cursor))


def _parse_namespaces(reply: Any, request: requests.ListNamespaces) -> requests.Found[list[requests.NamespaceFacts]]:
    rows, cursor = reply
    found = [
        requests.NamespaceFacts(read_name(name), bounds.number(count), bounds.order(newest))
        for name, count, newest in rows
    ]
    return requests.Found(found, _next(request, cursor))


THREADS: Mapping[type[requests.Request[Any]], Binding] = {
    requests.FindNamespace: with_arguments(
        "find_namespace",
        {"checkpoint_id": lambda request: encode(request.checkpoint_id), "cursor": _cursor},
        lambda reply, request: requests.Found(
            None if reply[0] is None else read_name(reply[0]), _next(request, reply[1])
        ),
    ),
    requests.FindCheckpoints: with_arguments(
        "find_checkpoints", {"prefix": lambda request: encode(request.prefix), "cursor": _cursor}, _parse_found
    ),
    requests.ListNamespaces: with_arguments("list_namespaces", {"cursor": _cursor}, _parse_namespaces),
    requests.PruneThread: with_arguments(
        "prune_thread",
        {
            "id": _thread,
            "keep": lambda request: number(request.keep),
            "slice": lambda request: request.call.encode(),
            "cursor": _cursor,
            "token": lambda request: number(request.fence),
            "max_age": lambda request: number(request.max_age),
        },
        lambda reply, _: requests.Found(reply[0], None if reply[1] is None else reply[1].decode()),
    ),
    requests.DeleteThread: with_arguments(
        "delete_thread",
        {
            "id": _thread,
            "token": lambda request: number(request.fence),
            "last_write": lambda request: number(request.updated),
        },
        is_one,
    ),
    requests.LeaseThread: with_arguments(
        "lease_thread",
        {
            "id": _thread,
            "action": lambda request: request.action.encode(),
            "token": lambda request: number(request.token),
            "attempt": lambda request: request.attempt.encode(),
            "owner": lambda request: encode(request.owner),
            "lifetime": lambda request: number(request.ttl),
        },
        lambda reply, _: requests.Leased(bounds.number(reply[0]), reply[1].decode(), read_name(reply[2]), reply[3]),
    ),
    requests.DescribeThread: _DESCRIBE,
    requests.DescribeThreads: Binding(
        _describe_threads,
        lambda replies, request: [
            _facts_or_error(reply, requests.DescribeThread(thread))
            for reply, thread in zip(replies, request.threads, strict=True)
        ],
        takes_errors=True,
    ),
    requests.ListThreads: Binding(_list_threads, _parse_page),
    requests.ForgetThread: with_arguments("forget_thread", {"id": _thread}, _nothing),
    examination.IndexThread: with_arguments("index_thread", {"id": _thread}, _nothing, **_SHARD),
    examination.UnindexThread: with_arguments(
        "unindex_thread", {"id": _thread, "age": lambda _: number(int(2 * FRESH * 1_000_000))}, _nothing, **_SHARD
    ),
    examination.SampleThreads: _on_shard(
        "ZRANDMEMBER",
        lambda request: request.count,
        lambda replies, _: [each.thread for each in _index_page([(0.0, name) for name in replies[0]], None).found],
    ),
    examination.ReadIndexEntry: _on_shard(
        "ZSCORE", _thread, lambda replies, _: None if replies[0] is None else float(replies[0])
    ),
    examination.ReadClock: Binding(lambda _, __: [command("TIME")], _parse_clock),
    examination.ExamineThread: with_arguments("examine_thread", {"id": _thread}, _parse_condition),
    examination.OutlineThread: with_arguments("outline_thread", {"cursor": _cursor}, _parse_outlines),
    examination.RepairThread: with_arguments("repair_thread", {"id": _thread}, is_one),
}
"""Those of the requests about threads as a whole."""
