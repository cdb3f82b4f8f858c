"""Connections that are lost at every step of every operation: repeated it is done once, alone it is done or it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from support.data import at, everything, ids, place, state, thread_ids
from support.faces import AsyncFace, SyncFace
from support.proxy import AFTER, DELAY, WAYS, Proxy
from support.servers import NO_RETRY, RedisServer

from zerograph_redis import AsyncRedisSaver, BackendUnavailableError, RedisSaver
from zerograph_redis.core.drive import run
from zerograph_redis.core.leasing import end_lease, renew_lease, take_lease

TEXT = [f"message {number} " + "x" * 100 for number in range(20)]
LENGTHS = {"pages": 40, "long": 150}
"""Checkpoints in each of two namespaces: pages to copy, and more than one request prunes or lists."""
TTL = 60_000
BY_CLOCK_AND_CHANCE = {b"order", b"created", b"updated", b"generation", b"pruned", b"copy"}
"""Facts of a thread that differ from one store to the next, and must not matter."""


@dataclass(frozen=True)
class Case:
    """An operation, the store that it finds, and whether it is one request."""

    call: Callable[[Any], Any]
    seed: str = "small"
    whole: bool = True
    """Whether it happens at once, so that after a failure the store is as before or as after."""


def _lease(saver, step):
    bare = getattr(saver, "saver", saver)
    # A retry keeps the name of its attempt; a lease that was taken directly has no thread that renews it meanwhile.
    taken = run(take_lease("thread", "attempt", "owner", TTL), bare._backend)
    if step == "renew":
        run(renew_lease("thread", taken.token, 2 * TTL), bare._backend)
    if step == "release":
        run(end_lease("thread", taken.token), bare._backend)
    return taken.owner, taken.attempt


CASES = {
    "put new": Case(lambda saver: saver.put(at(id="c2"), state("new", messages=[*TEXT, "more"]), {"step": 3})),
    "put same id": Case(lambda saver: saver.put(at(id="c1"), state("c2", messages=TEXT), {"step": 2})),
    "put same id changed": Case(lambda saver: saver.put(at(id="c1"), state("c2", messages=TEXT[::-1]), {"step": 9})),
    "put known log changed": Case(
        lambda saver: saver.put(at(id="c2"), state("new", messages=[*TEXT[:5], "y" * 600, *TEXT[6:]]), {})
    ),
    "put expecting": Case(lambda saver: saver.put(at(id="c2", expect_checkpoint_id="c2"), state("new"), {})),
    "put first": Case(lambda saver: saver.put(at("fresh"), state("c0", messages=TEXT), {})),
    "put_writes": Case(lambda saver: saver.put_writes(at(id="c2"), [("t", "a", 7), ("new", "b", TEXT)], "")),
    "put_writes early": Case(lambda saver: saver.put_writes(at(id="later"), [("t", "a", 1), ("t", "b", 2)], "")),
    "get_tuple": Case(lambda saver: told(saver.get_tuple(at()))),
    "get_by_id": Case(lambda saver: told(saver.get_by_id("c1"))),
    "list": Case(lambda saver: [told(each) for each in saver.list(at(), limit=None)]),
    "list filtered": Case(lambda saver: ids(saver.list(at(), limit=150, filter={"odd": True})), seed="long"),
    "get_pending_writes": Case(lambda saver: saver.get_pending_writes(at(id="c2"))),
    "prune": Case(lambda saver: saver.prune("thread", 2), seed="long", whole=False),
    "prune all": Case(lambda saver: saver.prune("thread", 0), seed="long", whole=False),
    "delete_thread": Case(lambda saver: saver.delete_thread("thread")),
    "copy_thread": Case(lambda saver: saver.copy_thread("thread", "copy"), seed="pages"),
    "list_threads": Case(lambda saver: [(each.thread_id, each.checkpoints) for each in saver.list_threads()]),
    "lease take": Case(lambda saver: _lease(saver, "take")),
    "lease renew": Case(lambda saver: _lease(saver, "renew"), whole=False),
    "lease release": Case(lambda saver: _lease(saver, "release"), whole=False),
}
MANY_REQUESTS = {
    "copy_thread", "get_by_id", "lease release", "lease renew", "list filtered", "list_threads", "prune", "prune all",
}  # fmt: skip


def told(found):
    return place(found.config), found.checkpoint, found.metadata, found.parent_config, found.pending_writes


@dataclass
class Bench:
    """A server with stores to copy, and a proxy before it."""

    server: RedisServer
    client: redis.Redis
    proxy: Proxy

    def seeded(self, kind: str) -> str:
        """Copy a prepared store to a prefix of its own."""
        prefix = f"p{uuid4().hex[:10]}"
        for key in self.client.keys(f"seed-{kind}:*"):
            self.client.copy(key, key.replace(f"seed-{kind}".encode(), prefix.encode(), 1))
        return prefix

    def look(self, prefix: str) -> Any:
        """All that a store holds but for what a clock or a log's rubbish makes differ."""
        saver = RedisSaver(self.client, prefix=prefix)
        found = {}
        for thread in sorted({*thread_ids(saver, limit=None), "thread", "copy", "fresh"}):
            stem = f"{prefix}:{{{thread}}}:"
            facts = self.client.hgetall(f"{stem}thread")
            lease = facts.pop(b"lease", b"- - - -").split()
            needed = int(facts.pop(b"length", 0)) - int(facts.pop(b"dropped", 0))
            found[thread] = (
                everything(saver, thread, "", "sub"),
                {name: value for name, value in facts.items() if name not in BY_CLOCK_AND_CHANCE},
                needed,
                self.client.hgetall(f"{stem}writes"),
                (lease[1] != b"0", lease[2:]),
            )
        return found, sorted(thread_ids(saver, limit=None))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as server,
        Proxy(server.port, held=0.6) as proxy,
        server.client() as client,
    ):
        small = RedisSaver(client, prefix="seed-small")
        config = at()
        for number in range(3):
            config = small.put(config, state(f"c{number}", messages=TEXT[: 10 + number]), {"step": number})
            small.put_writes(config, [("t", "a", number)], "")
        small.put(at("other"), state("o0"), {})
        for kind, length in LENGTHS.items():
            saver = RedisSaver(client, prefix=f"seed-{kind}")
            for ns in ("", "sub"):
                config = at(ns=ns)
                for number in range(length):
                    config = saver.put(
                        config, state(f"c{number}", messages=[*TEXT[:9], number]), {"odd": number % 2 == 1}
                    )
                    if number % 3 == 0:
                        saver.put_writes(config, [("t", str(each), each) for each in range(3)], "")
        yield Bench(server, client, proxy)


@pytest.fixture(params=["sync", "async"])
def opened(request, bench) -> Iterator[Callable[..., Any]]:
    """Open a saver through the proxy, with retries or without."""
    closing: list[Callable[[], object]] = []
    with asyncio.Runner() as runner:

        def opening(prefix: str, *, retries: bool) -> Any:
            url = f"redis://127.0.0.1:{bench.proxy.port}/0?socket_timeout=0.3"
            client = redis.Redis.from_url(url, retry=NO_RETRY)
            closing.append(client.close)
            if request.param == "sync":
                saver = RedisSaver.from_url(url, prefix=prefix) if retries else RedisSaver(client, prefix=prefix)
                closing.append(saver.close)
                return SyncFace(saver)
            if retries:
                saver = AsyncRedisSaver.from_url(url, prefix=prefix)
            else:
                given = redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0))
                closing.append(lambda: runner.run(given.aclose()))
                saver = AsyncRedisSaver(given, sync_client=client, prefix=prefix)
            closing.append(lambda: runner.run(saver.aclose()))
            return AsyncFace(saver, runner)

        yield opening
        bench.proxy.calm()
        for each in reversed(closing):
            each()


def prepared(bench, opened, case, *, retries=True):
    """A store of its own, and a saver that knows its log and has a connection."""
    prefix = bench.seeded(case.seed)
    saver = opened(prefix, retries=retries)
    saver.get_tuple(at())
    saver.get_tuple(at(ns="sub"))
    return prefix, saver


def reference(bench, opened, case):
    """What the operation answers and leaves without faults, and of how many requests it is."""
    prefix, saver = prepared(bench, opened, case)
    before = bench.look(prefix)
    bench.proxy.watch(None)
    case.call(saver)  # the server has its scripts from now on
    prefix, saver = prepared(bench, opened, case)
    bench.proxy.watch(None)
    answer = case.call(saver)
    return answer, before, bench.look(prefix), bench.proxy.requests


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_with_retries_an_operation_is_done_exactly_once_whichever_request_is_lost(bench, opened, name, way):
    case = CASES[name]
    answer, _, after, count = reference(bench, opened, case)
    assert (count > 1) == (name in MANY_REQUESTS)
    faults = 0
    for number in range(1, count + 1):
        prefix, saver = prepared(bench, opened, case)
        bench.proxy.arm(number, way)
        assert case.call(saver) == answer, number
        faults += bench.proxy.faults[way]
        assert bench.look(prefix) == after, number
    assert faults == count


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_without_retries_an_operation_is_done_or_it_is_not_whichever_request_is_lost(bench, opened, name, way):
    case = CASES[name]
    _, before, after, count = reference(bench, opened, case)
    for number in range(1, count + 1):
        prefix, saver = prepared(bench, opened, case, retries=False)
        bench.proxy.arm(number, way)
        with pytest.raises(BackendUnavailableError) as caught:
            case.call(saver)
        assert isinstance(caught.value.__cause__, redis.RedisError | OSError)
        assert bench.proxy.faults[way] == 1
        bench.proxy.calm()
        found = bench.look(prefix)
        done = way in WAYS[WAYS.index(AFTER) :] and number == count
        if case.whole:
            assert found == (after if done else before), number
        elif name.startswith("prune"):
            between(found, before, after)
        staged = bench.client.keys(f"{prefix}:*:copy:*")
        assert all(bench.client.pttl(key) > 0 for key in staged), "a copy that was cut short must go by itself"


def between(found, before, after):
    """Each namespace of a thread that was being pruned is a row of its newest checkpoints, each whole with its writes."""
    rows, old, new = ([each[0] for each in view[0]["thread"][0]] for view in (found, before, after))
    assert set(new) <= set(rows) <= set(old)
    whole = {each[0]: each for each in before[0]["thread"][0]}
    assert all(each == whole[each[0]] for each in found[0]["thread"][0])
    for ns in ("", "sub"):
        kept = [each for each in rows if each[0] == ns]
        assert kept == [each for each in old if each[0] == ns][: len(kept)]


@pytest.mark.parametrize("name", CASES)
def test_an_operation_outlives_the_scripts_being_forgotten_before_each_of_its_requests(bench, opened, name):
    case = CASES[name]
    answer, _, after, _ = reference(bench, opened, case)
    prefix, saver = prepared(bench, opened, case)
    bench.proxy.watch(lambda number: bench.client.script_flush())
    assert case.call(saver) == answer
    assert bench.look(prefix) == after


@pytest.mark.parametrize("name", CASES)
def test_an_operation_outlives_its_connections_being_killed_before_any_of_its_requests(bench, opened, name):
    case = CASES[name]
    answer, _, after, count = reference(bench, opened, case)
    for wanted in range(1, count + 1):
        prefix, saver = prepared(bench, opened, case)

        def kill(number, wanted=wanted):
            if number == wanted:
                bench.client.client_kill_filter(_type="normal", skipme=True)

        bench.proxy.watch(kill)
        assert case.call(saver) == answer
        bench.proxy.calm()
        assert bench.look(prefix) == after


def test_a_lease_block_is_held_once_and_given_back_whichever_request_is_lost(bench):
    for way in WAYS:
        for number in (1, 2, 3):
            prefix = bench.seeded("small")
            with RedisSaver.from_url(
                f"redis://127.0.0.1:{bench.proxy.port}/0?socket_timeout=0.3", prefix=prefix
            ) as saver:
                bench.proxy.arm(number, way)
                with saver.lease("thread", ttl=30) as lease:
                    saver.put(lease.config(checkpoint_id="c2"), state("new"), {})
                assert bench.proxy.faults[way] == 1
                assert ids(saver.list(at())) == ["new", "c2", "c1", "c0"]
                with saver.lease("thread", ttl=30) as later:
                    assert later.token > 0


def test_a_lease_is_kept_while_the_replies_to_its_renewals_are_lost(bench):
    prefix = bench.seeded("small")
    with RedisSaver.from_url(f"redis://127.0.0.1:{bench.proxy.port}/0", prefix=prefix) as saver:
        with saver.lease("thread", ttl=3) as lease:
            bench.proxy.watch(None)
            for _ in range(2):
                bench.proxy.arm(1, AFTER)
                while bench.proxy.requests < 2:
                    assert not lease._ended.wait(0.01)
            saver.put(lease.config(), state("new"), {})
        assert saver.get(at())["id"] == "new"


def acknowledged(server, saver, rounds=25):
    """Write while the server is killed at random moments and comes back: what was acknowledged."""
    stored, config = [], at()
    for number in range(rounds):
        if number % 8 == 5:
            server.restart()
        config = saver.put(config, state(f"c{number}", messages=TEXT[:number]), {})
        saver.put_writes(config, [("t", "a", number)], "")
        stored.append(f"c{number}")
    return stored


def test_with_an_append_only_file_nothing_acknowledged_is_lost_when_the_server_dies(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with RedisSaver.from_url(server.url) as saver:
        stored = acknowledged(server, saver)
        server.restart()
        found = saver.list(at(), limit=None)
        assert ids(found) == stored[::-1]
        assert [each.checkpoint["channel_values"]["messages"] for each in found[::-1]] == [
            TEXT[:number] for number in range(25)
        ]
        assert all(len(each.pending_writes) == 1 for each in found)
        assert [each.checkpoints for each in saver.list_threads()] == [25]


def test_without_an_append_only_file_a_saver_goes_on_after_the_server_lost_everything(new_server):
    server = new_server()
    with RedisSaver.from_url(server.url) as saver:
        stored = acknowledged(server, saver)
        # The last restart came before c21: what was written since is there, and whole.
        found = saver.list(at(), limit=None)
        assert ids(found) == stored[21:][::-1]
        assert found[0].checkpoint["channel_values"]["messages"] == TEXT[:24]
        server.restart()
        assert saver.get_tuple(at()) is None
        assert saver.list(at()) == []
        assert saver.list_threads() == []


def test_a_slow_server_is_an_error_in_time_and_none_with_retries(bench):
    prefix = bench.seeded("small")
    url = f"redis://127.0.0.1:{bench.proxy.port}/0?socket_timeout=0.3"
    client = redis.Redis.from_url(url, retry=NO_RETRY)
    bench.proxy.arm(1, DELAY)
    with pytest.raises(BackendUnavailableError) as caught:
        RedisSaver(client, prefix=prefix).get_tuple(at())
    assert isinstance(caught.value.__cause__, redis.TimeoutError)
    # The late reply belongs to nobody: the next request gets its own.
    assert [each.thread_id for each in RedisSaver(client, prefix=prefix).list_threads()] == ["other", "thread"]
    client.close()
