"""The requests over many threads: plain reads of several keys in one pipeline, since no script may reach across slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from zerograph_redis.core.examination import ReadClock
from zerograph_redis.core.requests import DescribeThread, DescribeThreads, ListThreads, Request, ThreadFacts, ThreadRank
from zerograph_redis.ids import escape, unescape

from .bindings import BINDINGS
from .commands import Command, run
from .keys import Keyspace
from .ranking import SampleThreads, ThreadRankOf

__all__ = ("LISTINGS", "Listing")


class Listing(NamedTuple):
    """The commands that a request makes, and the reading of their replies."""

    commands: Callable[[Any, Keyspace], Sequence[Command]]
    parse: Callable[[Sequence[Any], Any], Any]


def _list_threads(request: ListThreads, keyspace: Keyspace) -> Sequence[Command]:
    newest = "+inf" if request.before is None else request.before.updated
    # Threads of the same µs stand side by side: as many more are read as could precede the first that is wanted.
    options = {"start": 0, "num": request.limit + _TIES, "withscores": True}
    return [("zrevrangebyscore", (key, newest, "-inf"), options) for key in keyspace.lists]


_TIES = 20


def _parse_ranks(replies: Sequence[Any], request: ListThreads) -> list[ThreadRank]:
    ranks = sorted(((int(score), _string(name)) for reply in replies for name, score in reply), reverse=True)
    if request.before is not None:
        bound = (request.before.updated, escape(request.before.thread))
        ranks = [rank for rank in ranks if rank < bound]
    return [ThreadRank(updated, unescape(name)) for updated, name in ranks[: request.limit]]


def _describe_threads(request: DescribeThreads, keyspace: Keyspace) -> Sequence[Command]:
    script, call, _ = BINDINGS[DescribeThread]
    return [run("EVALSHA", script.sha, *call(DescribeThread(thread), keyspace)) for thread in request.threads]


def _parse_facts(replies: Sequence[Any], request: DescribeThreads) -> list[ThreadFacts | None]:
    parse = BINDINGS[DescribeThread].parse
    return [parse(reply, request) for reply in replies]


def _string(reply: bytes | str) -> str:
    return reply if isinstance(reply, str) else reply.decode()


def _parse_score(replies: Sequence[Any], request: ThreadRankOf) -> int | None:
    return None if replies[0] is None else int(replies[0])


def _parse_clock(replies: Sequence[Any], request: ReadClock) -> int:
    seconds, microseconds = replies[0]
    return int(seconds) * 1_000_000 + int(microseconds)


LISTINGS: Mapping[type[Request[Any]], Listing] = {
    ReadClock: Listing(lambda _, __: [("time", (), {})], _parse_clock),
    ThreadRankOf: Listing(
        lambda request, keyspace: [("zscore", (keyspace.list_of(request.thread), escape(request.thread).encode()), {})],
        _parse_score,
    ),
    SampleThreads: Listing(
        lambda request, keyspace: [("zrandmember", (keyspace.list_of(request.thread), request.count), {})],
        lambda replies, _: [unescape(_string(name)) for name in replies[0]],
    ),
    ListThreads: Listing(_list_threads, _parse_ranks),
    DescribeThreads: Listing(_describe_threads, _parse_facts),
}
