"""How many round trips a call takes, as the server counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.data import at, fill, state

from zerograph_redis import EncryptedSerializer


class Watch:
    """The commands that a call sends, and how many more the script of each runs."""

    def __init__(self, server: Any) -> None:
        self._client = server.client()
        self._marker = server.client()
        self._marker.ping()
        self._number = 0

    def commands(self, call: Callable[[], Any]) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        with self._client.monitor() as monitor:
            call()
            self._number += 1
            self._marker.echo(f"end {self._number}")
            while True:
                entry = monitor.next_command()
                name, *rest = entry["command"].split(" ", 1)
                if name.upper() == "ECHO" and rest == [f"end {self._number}"]:
                    return seen
                if entry["client_type"] == "lua":
                    last, count = seen[-1]
                    seen[-1] = (last, count + 1)
                else:
                    seen.append((name.upper(), 0))

    def close(self) -> None:
        self._client.close()
        self._marker.close()


@pytest.fixture
def watch(redis_server):
    watching = Watch(redis_server)
    yield watching
    watching.close()


CALLS = {
    "get_tuple of the newest": lambda saver: saver.get_tuple(at()),
    "get_tuple by id": lambda saver: saver.get_tuple(at(id="c3")),
    "get_tuple of nothing": lambda saver: saver.get_tuple(at("unknown")),
    "get": lambda saver: saver.get(at()),
    "put": lambda saver: saver.put(at(id="c19"), state("new", text="x" * 100_000), {}),
    "put again": lambda saver: saver.put(at(id="c19"), state("c3"), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="c3"), [(f"t{n}", "a", n) for n in range(50)], ""),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at(id="c2")),
    "list": lambda saver: saver.list(at()),
    "list of all": lambda saver: saver.list(at(), limit=None),
    "list before": lambda saver: saver.list(at(), limit=5, before=at(id="c7")),
    "delete_thread": lambda saver: saver.delete_thread("thread"),
    "prune of few": lambda saver: saver.prune("thread", 10),
}


@pytest.mark.parametrize("options", [{}, {"ttl": 100, "keep_last": 15, "max_age": 1000}], ids=["plain", "retaining"])
@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("call", CALLS)
def test_an_operation_is_one_script_and_one_round_trip(redis_server, request, watch, call, face, options):
    from support.stores import make_store

    store = make_store(f"redis-{face}", request)
    saver = store.open(**options)
    fill(saver, 20)
    saver.put_writes(at(id="c2"), [("t", "a", 1)], "")
    CALLS[call](saver)  # the server learns the script
    saver.delete_thread("thread")
    fill(saver, 20)
    saver.put_writes(at(id="c2"), [("t", "a", 1)], "")
    seen = watch.commands(lambda: CALLS[call](saver))
    assert [name for name, _ in seen] == ["EVALSHA"]
    store.close()


def test_encrypted_writes_are_one_round_trip_and_two_where_another_worker_wrote(redis_server, real_store, watch):
    serializer = EncryptedSerializer({"k": bytes(32)})
    one, other = (real_store.open(serializer=serializer) for _ in range(2))

    def trips(saver, task):
        seen = watch.commands(lambda: saver.put_writes(at(id="c"), [(task, "a", task)], ""))
        assert {name for name, _ in seen} <= {"EVALSHA"}
        return len(seen)

    for saver in (one, other):  # both connect, and the server learns the script
        saver.put_writes(at(id="another"), [("t", "a", 1)], "")
    assert [trips(one, f"t{number}") for number in range(3)] == [1, 1, 1]
    assert [trips(one, "t1"), trips(one, "t1")] == [1, 1]
    assert [trips(other, "u1"), trips(other, "u2"), trips(one, "t3"), trips(one, "t4")] == [2, 1, 2, 1]
    written = [(task, "a", task) for task in ("t0", "t1", "t2", "u1", "u2", "t3", "t4")]
    assert other.get_pending_writes(at(id="c")) == written
    one.delete_thread("thread")
    assert [trips(one, "v"), trips(one, "w")] == [2, 1]


def test_the_server_counts_one_script_for_each_operation(redis_server, real_store):
    saver = real_store.open()
    client = real_store.client()
    fill(saver, 2)
    saver.list(at()), saver.get_tuple(at()), saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    client.config_resetstat()
    for number in range(10):
        saver.put(at(), state(f"n{number}"), {})
        saver.put_writes(at(id=f"n{number}"), [("t", "a", 1)], "")
        saver.get_tuple(at())
        saver.list(at())
    stats = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 40
    assert "cmdstat_eval" not in stats
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_smembers"} & set(stats)


def test_an_unknown_script_costs_one_more_round_trip_once(redis_server, real_store, watch):
    saver = real_store.open()
    fill(saver, 1)
    saver.get_tuple(at())
    real_store.client().script_flush()
    assert [name for name, _ in watch.commands(lambda: saver.get_tuple(at()))] == ["EVALSHA", "EVAL"]
    assert [name for name, _ in watch.commands(lambda: saver.get_tuple(at()))] == ["EVALSHA"]


def test_a_list_with_a_filter_reads_page_by_page(redis_server, real_store, watch):
    saver = real_store.open()
    fill(saver, 250)
    saver.list(at(), filter={"step": 1})
    seen = watch.commands(lambda: saver.list(at(), limit=1, filter={"step": 1}))
    assert {name for name, _ in seen} == {"EVALSHA"}
    assert len(seen) <= 3
    seen = watch.commands(lambda: saver.list(at(), limit=1, filter={"step": 249}))
    assert len(seen) == 1


def test_pruning_many_goes_in_slices_of_bounded_work(redis_server, real_store, watch):
    saver = real_store.open()
    fill(saver, 2000)
    fill(saver, 300, ns="other")
    for number in range(0, 2000, 100):
        saver.put_writes(at(id=f"c{number}"), [(f"t{n}", "a", n) for n in range(20)], "")
    saver.prune("unknown", 1)
    seen = watch.commands(lambda: saver.prune("thread", 5))
    assert {name for name, _ in seen} == {"EVALSHA"}
    assert 5 <= len(seen) <= 60
    assert max(inner for _, inner in seen) <= 2500
    assert len(saver.list(at(), limit=None)) == 5


def test_copying_goes_in_slices_of_bounded_work(redis_server, real_store, watch):
    saver = real_store.open()
    fill(saver, 600)
    saver.copy_thread("thread", "warm")
    seen = watch.commands(lambda: saver.copy_thread("thread", "copy"))
    assert max(inner for _, inner in seen) <= 2500
    assert len(seen) > 10


def test_the_work_of_a_put_does_not_grow_with_the_thread(redis_server, real_store, watch):
    saver = real_store.open(ttl=100, keep_last=2000)
    fill(saver, 10)
    few = watch.commands(lambda: saver.put(at(id="c9"), state("a"), {}))
    fill(saver, 1000, start=10)
    many = watch.commands(lambda: saver.put(at(id="c9"), state("b"), {}))
    assert [name for name, _ in many] == ["EVALSHA"]
    assert many[0][1] <= few[0][1] + 3


def test_a_refresh_costs_the_same_for_any_number_of_checkpoints(redis_server, real_store, watch):
    saver = real_store.open(ttl=100)
    fill(saver, 2)
    few = watch.commands(lambda: saver.get_tuple(at()))
    fill(saver, 500, start=2)
    assert watch.commands(lambda: saver.get_tuple(at())) == few


def test_listing_threads_asks_few_things_of_each(redis_server, real_store, watch):
    saver = real_store.open()
    for number in range(100):
        saver.put(at(f"t{number}"), state("c"), {})
    seen = watch.commands(lambda: saver.list_threads(limit=50))
    # Those of one pipeline are sent and answered together.
    assert "KEYS" not in [name for name, _ in seen]
    assert len(seen) <= 1 + 5 * 50
