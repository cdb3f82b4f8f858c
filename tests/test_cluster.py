"""A cluster as such: its thread index, a slot that moves, a primary that is killed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest
from redis.crc import key_slot
from support.data import at, fill, place, state, thread_ids
from support.faces import AsyncFace, SyncFace
from support.polling import until

from zerograph_redis import AsyncRedisSaver, BackendUnavailableError, RedisSaver, ReplicationError
from zerograph_redis.backends.redis import exchange
from zerograph_redis.backends.redis.bindings import BINDINGS
from zerograph_redis.backends.redis.keys import Keyspace
from zerograph_redis.core.examination import IndexThread, UnindexThread

SHORT = 0.15
BUDGET = 2.0  # seconds for which a client made from a URL goes on trying, at the least


@pytest.fixture
def prefix(cluster):
    """A prefix of the test's own, whose keys go with it."""
    made = f"t{uuid4().hex[:12]}"
    yield made
    client = cluster.shared_client
    client.unlink(*client.scan_iter(match=f"{made}:*", count=5000))


@pytest.fixture
def open_worker(cluster, prefix):
    """Open savers as workers do, by URL."""
    opened = []

    def open_(**options):
        opened.append(RedisSaver.from_url(cluster.url, prefix=prefix, **options))
        return opened[-1]

    yield open_
    for saver in opened:
        saver.close()


def shard_of(saver, thread):
    return saver.store.backend.keyspace.shard_of(thread)


@pytest.mark.full
def test_no_key_but_a_threads_own_gets_more_than_its_share_of_the_writes(cluster, open_worker, monkeypatch):
    saver = open_worker()
    writes = Counter()
    packed = exchange.packed
    noting = {BINDINGS[each].script.sha for each in (IndexThread, UnindexThread)}

    def counting(commands):
        for words, _ in commands:
            if words[0] in {b"EVALSHA", b"EVAL"}:
                sha, count = words[1], int(words[2])
                if sha in noting or count == 1:
                    writes.update(words[3 : 3 + count])
                else:
                    assert all(b"{thread " in key for key in words[3 : 3 + count])
        return packed(commands)

    monkeypatch.setattr(exchange, "packed", counting)
    threads = [f"thread {number}" for number in range(10_000)]
    for thread in threads:
        saver.put_writes(at(thread, id="c"), [("t", "a", 1)], "")
    total = sum(writes.values())
    assert total >= len(threads)
    assert writes.most_common(1)[0][1] <= total / 32
    shards = saver.store.backend.keyspace.shards
    sizes = [cluster.shared_client.zcard(key) for key in shards]
    assert sum(sizes) == len(threads)
    assert max(sizes) <= len(threads) / 32
    assert set(writes) <= set(shards)
    # No node gets them all, either.
    assert len({cluster.shared_client.get_node_from_key(key).port for key in shards}) == 3


def test_the_list_of_threads_has_those_of_all_shards_and_workers(open_worker):
    savers = [open_worker() for _ in range(3)]
    names = [f"thread {number}" for number in range(150)]
    for number, name in enumerate(names):
        savers[number % 3].put(at(name), state("c0"), {})
    assert len({shard_of(savers[0], name) for name in names}) > 40
    for saver in savers:
        assert thread_ids(saver, limit=None) == names[::-1]
    assert thread_ids(savers[0], limit=7) == names[:-8:-1]
    paged, before = [], None
    while page := savers[1].list_threads(limit=40, before=before):
        paged += [each.thread_id for each in page]
        before = page[-1]
    assert paged == names[::-1]


def test_the_thread_that_another_worker_wrote_last_comes_first(open_worker):
    first, second = open_worker(), open_worker()
    for name in "abc":
        fill(first, 1, name)
    fill(second, 1, "a", start=1)
    assert thread_ids(first) == ["a", "c", "b"]


def test_the_list_of_threads_is_right_after_some_expired(open_worker):
    saver, other = open_worker(ttl=SHORT, refresh_on_read=False), open_worker()
    for number in range(20):
        saver.put(at(f"brief {number}"), state("c0"), {})
        other.put(at(f"lasting {number}"), state("c0"), {})
    until(lambda: saver.get(at("brief 19")) is None)
    lasting = [f"lasting {number}" for number in reversed(range(20))]
    for worker in (saver, other):
        assert thread_ids(worker, limit=None) == lasting
        assert thread_ids(worker, limit=3) == lasting[:3]
    saver.put(at("brief 3", ttl=None), state("c0"), {})
    assert sorted(thread_ids(other, limit=None)) == sorted([*lasting, "brief 3"])


def test_the_list_of_threads_is_right_after_another_worker_deleted_some(open_worker):
    first, second = open_worker(), open_worker()
    for name in "abcd":
        fill(first, 1, name)
    second.delete_thread("d")
    second.prune("c", 0)
    assert thread_ids(first) == thread_ids(second) == ["b", "a"]
    assert thread_ids(first, limit=1) == ["b"]
    # The first worker need not enter the thread again, for its own entry is still fresh.
    fill(first, 1, "d")
    assert sorted(thread_ids(second)) == ["a", "b", "d"]
    first.delete_thread("d")
    assert first.copy_thread("a", "d") == 1
    assert sorted(thread_ids(second)) == ["a", "b", "d"]


def test_a_worker_that_died_before_it_wrote_what_it_noted_leaves_nothing_in_the_list(cluster, open_worker):
    saver = open_worker()
    fill(saver, 1, "real")
    for number in range(30):
        saver.store.backend.inner.execute(IndexThread(f"never written {number}"))
    assert thread_ids(saver) == thread_ids(saver, limit=1) == ["real"]
    fill(saver, 1, "never written 3")
    assert thread_ids(saver) == ["never written 3", "real"]
    # An entry as old as this is stale.
    shard = shard_of(saver, "never written 4")
    cluster.shared_client.zadd(shard, {"never written 4": 1})
    assert thread_ids(saver) == ["never written 3", "real"]
    assert cluster.shared_client.zscore(shard, "never written 4") is None


class Worker(threading.Thread):
    """Writes chains of checkpoints to threads, and keeps what was acknowledged."""

    def __init__(self, url, threads, *, asynchronous=False, **options):
        super().__init__(daemon=True)
        self.runner = asyncio.Runner()
        if asynchronous:
            self.saver = AsyncFace(AsyncRedisSaver.from_url(url, **options), self.runner)
        else:
            self.saver = SyncFace(RedisSaver.from_url(url, **options))
        self.threads = threads
        self.acknowledged = {thread: [] for thread in threads}
        self.unconfirmed = 0
        self.errors = []
        self.failure = None
        self.ended = threading.Event()

    def run(self):
        try:
            number = 0
            while not self.ended.is_set():
                for thread in self.threads:
                    self._step(thread, number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - shown by whoever joins
            self.failure = error

    def _step(self, thread, number):
        parent = f"c{number - 1}" if number else None
        while not self.ended.is_set():
            begun = time.monotonic()
            try:
                self.saver.put(at(thread, id=parent), state(f"c{number}", n=number, text="x" * number), {"n": number})
                self.saver.put_writes(at(thread, id=f"c{number}"), [("t", "a", number)], "")
            except ReplicationError:
                self.unconfirmed += 1
                return
            except BackendUnavailableError as error:
                self.errors.append((time.monotonic() - begun, error))
                continue
            self.acknowledged[thread].append(number)
            return

    @property
    def steps(self):
        return sum(map(len, self.acknowledged.values())) + self.unconfirmed

    def check(self, saver, kept):
        """Every thread must be one chain of whole checkpoints, in order, that has at least those of *kept*."""
        for thread, numbers in kept.items():
            found = saver.list(at(thread), limit=None)[::-1]
            stored = [each.checkpoint["channel_values"]["n"] for each in found]
            assert stored == sorted(set(stored))
            assert set(numbers) <= set(stored)
            for number, each in zip(stored, found, strict=True):
                assert each.checkpoint == state(f"c{number}", n=number, text="x" * number)
                assert each.metadata == {"n": number}
                assert (each.parent_config and place(each.parent_config)[2]) == (f"c{number - 1}" if number else None)
                if number in numbers:
                    assert each.pending_writes == [("t", "a", number)]


@contextmanager
def working(url, names, **options):
    workers = [Worker(url, threads, **options) for threads in names]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.ended.set()
        for worker in workers:
            worker.join(60)
            worker.saver.close()
            worker.runner.close()
    assert [worker.failure for worker in workers] == [None] * len(workers)


def go_on(workers, steps=20):
    """Wait until each worker made some steps more."""
    wanted = [worker.steps + steps for worker in workers]
    until(
        lambda: all(each.steps >= more or each.failure for each, more in zip(workers, wanted, strict=True)), seconds=30
    )


def move(cluster, slot, *, pause=0.0):
    """Move a slot from its node to another, as `redis-cli --cluster reshard` does, or slower."""
    found = {port: cluster.node(port) for port in cluster.pids}
    try:
        nodes = {port: node for port, node in found.items() if node.execute_command("ROLE")[0] == b"master"}
        names = {port: node.execute_command("CLUSTER MYID").decode() for port, node in nodes.items()}
        (source,) = [port for port, node in nodes.items() if owns(node, slot)]
        target = next(port for port in nodes if port != source)
        nodes[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[source])
        nodes[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[target])
        while keys := nodes[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 2):
            nodes[source].execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *keys)
            time.sleep(pause)
        for port in (target, source, *(port for port in nodes if port not in {source, target})):
            nodes[port].execute_command("CLUSTER SETSLOT", slot, "NODE", names[target])
        assert owns(nodes[target], slot)
    finally:
        for node in found.values():
            node.close()


def owns(node, slot):
    (mine,) = [each for each in node.execute_command("CLUSTER NODES").values() if "myself" in each["flags"]]
    return any(int(first) <= slot <= int(last[0] if last else first) for first, *last in mine["slots"])


def slot_of(prefix, thread):
    return key_slot(Keyspace(prefix, clustered=True).of(thread)[0])


SYNC, ASYNC = {"asynchronous": False}, {"asynchronous": True}
CONFIRMED = {"wait_replicas": 1, "wait_timeout": 4000}


@pytest.mark.parametrize(
    ("pause", "options"),
    [
        (0.0, SYNC),
        pytest.param(0.3, ASYNC, marks=pytest.mark.full),
        pytest.param(0.3, SYNC | CONFIRMED, marks=pytest.mark.full),
        (0.0, ASYNC | CONFIRMED),
    ],
    ids=["fast-sync", "slowly-async", "slowly-sync-confirmed", "fast-async-confirmed"],
)
def test_a_slot_moves_between_nodes_while_workers_write(new_cluster, pause, options):
    cluster = new_cluster(replicas=1 if "wait_replicas" in options else 0)
    with working(cluster.url, [["a", "b"], ["c"]], **options) as workers:
        go_on(workers)
        slots = [slot_of("zerograph", name) for name in "abc"]
        # There, and back, and there again.
        for _ in range(1 if pause else 3):
            for slot in slots:
                move(cluster, slot, pause=pause)
            go_on(workers)
    assert [worker.errors for worker in workers] == [[], []]
    assert [worker.unconfirmed for worker in workers] == [0, 0]
    with closing(RedisSaver.from_url(cluster.url)) as saver:
        assert sorted(thread_ids(saver)) == ["a", "b", "c"]
        for worker in workers:
            worker.check(saver, worker.acknowledged)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(SYNC, marks=pytest.mark.full),
        pytest.param(SYNC | CONFIRMED | {"wait_timeout": 200}, marks=pytest.mark.full),
        ASYNC | CONFIRMED | {"wait_timeout": 200},
    ],
    ids=["sync", "sync-confirmed", "async-confirmed"],
)
def test_a_primary_is_killed_while_workers_write_and_nothing_that_its_replica_had_is_lost(new_cluster, options):
    cluster = new_cluster()
    names = [[f"{worker} {number}" for number in range(3)] for worker in range(4)]
    with working(cluster.url, names, **options) as workers, cluster.client() as client:
        go_on(workers)
        key = Keyspace("zerograph", clustered=True).of("0 0")[0].decode()
        victim = client.get_node_from_key(key).port
        replicated = [{thread: len(numbers) for thread, numbers in worker.acknowledged.items()} for worker in workers]
        with cluster.node(victim) as node:
            # The replica has what came before what it confirms.
            node.set(key + "marker", 1)
            assert node.wait(1, 5000) >= 1
        cluster.kill(victim)
        until(cluster.is_whole, seconds=30, pause=0.05)
        go_on(workers)
    with closing(RedisSaver.from_url(cluster.url)) as saver:
        assert sorted(thread_ids(saver)) == sorted(name for threads in names for name in threads)
        for worker, kept in zip(workers, replicated, strict=True):
            if "wait_replicas" in options:
                # Each primary has one replica, so what was acknowledged is where the failover goes.
                worker.check(saver, worker.acknowledged)
            else:
                worker.check(saver, {thread: range(count) for thread, count in kept.items()})
    # A failover may take longer than a call goes on trying, but none gives up before that.
    assert [error for worker in workers for error in worker.errors if error[0] < BUDGET] == []


def test_too_few_replicas_are_an_error_on_a_cluster_too(cluster, prefix):
    for asynchronous in (False, True):
        with working(
            cluster.url, [["a"]], asynchronous=asynchronous, prefix=prefix, wait_replicas=2, wait_timeout=50
        ) as (worker,):
            until(lambda worker=worker: worker.unconfirmed or worker.failure)
        assert worker.acknowledged == {"a": []}
        assert worker.unconfirmed


@pytest.mark.full
def test_a_put_whose_wait_for_replicas_is_cut_short_is_done_again(new_cluster):
    """As by a failover: a test can provoke the answer of a primary that becomes a replica."""
    cluster = new_cluster(replicas=0)
    with closing(RedisSaver.from_url(cluster.url)) as saver:
        saver.put(at("a"), state("c"), {})  # which leaves its script there
    with cluster.client() as client:
        primary = client.get_node_from_key(Keyspace("zerograph", clustered=True).of("a")[0].decode()).port
    for options in (SYNC, ASYNC):
        with (
            cluster.node(primary) as node,
            working(cluster.url, [["a"]], wait_replicas=1, wait_timeout=2000, **options) as (worker,),
        ):
            waiting = until(lambda node=node: [each for each in node.client_list() if each["cmd"] == "wait"])
            node.client_unblock(waiting[0]["id"], error=True)
            until(lambda worker=worker: worker.unconfirmed or worker.failure or worker.errors)
        assert worker.errors == []
        assert worker.unconfirmed
