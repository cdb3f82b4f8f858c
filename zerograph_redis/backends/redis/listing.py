"""What is asked about threads as a whole; about many by several commands, since no script may reach across slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from zerograph_redis.core import bounds
from zerograph_redis.core.examination import LookUpThread, ReadClock, SampleThreads
from zerograph_redis.core.refusals import asked_for
from zerograph_redis.core.requests import (
    DescribeThread,
    DescribeThreads,
    IndexCursor,
    IndexedThread,
    IndexPage,
    ListThreads,
    Request,
    ThreadFacts,
)
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import encode, read_name

from .commands import Command, command
from .faults import translate
from .keys import Keyspace
from .scripts import Binding, Script, on_thread

_DESCRIBE_THREAD = Script("describe_thread")


def _parse_facts(reply: Any, _: DescribeThread) -> ThreadFacts | None:
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


def _list_threads(request: ListThreads, keyspace: Keyspace) -> Sequence[Command]:
    newest = "+inf" if request.cursor is None else f"{request.cursor.updated:.17g}"
    return [
        command("ZREVRANGEBYSCORE", key, newest, "-inf", "WITHSCORES", "LIMIT", 0, _read_at_once(request), key=key)
        for key in keyspace.lists
    ]


def _read_at_once(request: ListThreads) -> int:
    """Threads of the same µs stand side by side: as many more are read as could precede the first that is wanted."""
    return request.limit + _TIES + (0 if request.cursor is None else request.cursor.ties)


_TIES = 20


def _parse_ranks(replies: Sequence[Any], request: ListThreads) -> IndexPage:
    read = [_scored(reply) for reply in replies]
    entries = sorted((entry for entries in read for entry in entries), reverse=True)
    cursor = request.cursor
    if cursor is not None:
        bound = (float(cursor.updated), cursor.name if isinstance(cursor.name, bytes) else cursor.name.encode())
        entries = [entry for entry in entries if entry < bound]
    # Of a list that goes on behind what was read, nothing is known there.
    horizon = max((entries[-1] for entries in read if len(entries) == _read_at_once(request)), default=None)
    if horizon is not None:
        entries = [entry for entry in entries if entry >= horizon]
    more: IndexCursor | None = None
    if len(entries) > request.limit or (len(entries) == request.limit and horizon is not None):
        entries = entries[: request.limit]
        same = cursor is not None and entries[-1][0] == bound[0]
        more = IndexCursor(*entries[-1], cursor.ties if cursor is not None and same else 0)
    elif horizon is not None and cursor is not None and horizon >= bound:
        more = cursor._replace(ties=2 * cursor.ties + request.limit)
    elif horizon is not None:
        more = IndexCursor(*horizon)
    return _named(entries, more)


def _scored(reply: Any) -> list[tuple[float, bytes]]:
    """Members by score, of which some protocols make pairs and others a flat list."""
    pairs = reply if reply and isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
    return [(float(score), member) for member, score in pairs]


def _named(entries: Sequence[tuple[float, bytes]], cursor: IndexCursor | None) -> IndexPage:
    found, odd = [], []
    for score, member in entries:
        try:
            found.append(IndexedThread(int(min(max(score, 0.0), bounds.END_OF_ORDERS)), read_name(member)))
        except ValueError:
            odd.append(member.decode("utf-8", "backslashreplace"))
    return IndexPage(found, cursor, odd)


def _describe_threads(request: DescribeThreads, keyspace: Keyspace) -> Sequence[Command]:
    return [_DESCRIBE_THREAD.on_thread(thread, (), keyspace) for thread in request.threads]


def _parse_all_facts(
    replies: Sequence[Any], request: DescribeThreads
) -> list[ThreadFacts | CorruptCheckpointError | None]:
    return [
        _facts_or_error(reply, DescribeThread(thread)) for reply, thread in zip(replies, request.threads, strict=True)
    ]


def _facts_or_error(reply: Any, request: DescribeThread) -> ThreadFacts | CorruptCheckpointError | None:
    """One bad thread does not keep others from being described; anything else that went wrong does."""
    if isinstance(reply, Exception):
        error = translate(reply, request)
        if not isinstance(error, CorruptCheckpointError):
            raise reply
        error.__cause__ = reply
        return error
    try:
        return read_reply(_parse_facts, reply, request)
    except CorruptCheckpointError as error:
        return error


def read_reply(parse: Callable[[Any, Any], R], reply: Any, request: Request[Any]) -> R:
    """Take a reply apart; CorruptCheckpointError if it is not what a saver stored."""
    try:
        return parse(reply, request)
    except bounds.UNREADABLE as error:
        raise bounds.unreadable(asked_for(request), error) from error


R = TypeVar("R")


def _parse_score(replies: Sequence[Any], request: LookUpThread) -> float | None:
    return None if replies[0] is None else float(replies[0])


def _parse_names(replies: Sequence[Any], request: SampleThreads) -> list[str]:
    return [rank.thread for rank in _named([(0.0, name) for name in replies[0]], None).found]


def _of_shard(verb: str, thread: str, keyspace: Keyspace, word: bytes | int) -> Sequence[Command]:
    key = keyspace.list_of(thread)
    return [command(verb, key, word, key=key)]


def _parse_clock(replies: Sequence[Any], request: ReadClock) -> int:
    seconds, microseconds = replies[0]
    return int(seconds) * 1_000_000 + int(microseconds)


LISTING: Mapping[type[Request[Any]], Binding] = {
    DescribeThread: on_thread(_DESCRIBE_THREAD, lambda _: (), _parse_facts),
    DescribeThreads: Binding(_describe_threads, _parse_all_facts, takes_errors=True),
    ListThreads: Binding(_list_threads, _parse_ranks),
    ReadClock: Binding(lambda _, __: [command("TIME")], _parse_clock),
    SampleThreads: Binding(
        lambda request, keyspace: _of_shard("ZRANDMEMBER", request.thread, keyspace, request.count), _parse_names
    ),
    LookUpThread: Binding(
        lambda request, keyspace: _of_shard("ZSCORE", request.thread, keyspace, encode(request.thread)), _parse_score
    ),
}
