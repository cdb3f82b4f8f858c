"""Servers that evict keys: whichever keys of a thread are missing, reads find it as it was, or raise, or find nothing."""

from __future__ import annotations

import itertools
import os

import pytest
from support.data import at, fill, ids, state, thread_ids

from zerograph_redis import ConfigError, CorruptCheckpointError, RedisSaver

KINDS = ("thread", "index", "checkpoints", "writes", "log:0", "log:1")
READS = {
    "get_tuple": lambda saver: saver.get_tuple(at()),
    "get_tuple by id": lambda saver: saver.get_tuple(at(id="old")),
    "get_tuple in another namespace": lambda saver: saver.get_tuple(at(ns="sub")),
    "get_tuple of none": lambda saver: saver.get_tuple(at(id="never stored")),
    "get_by_id": lambda saver: saver.get_by_id("old", "thread"),
    "get_by_id of all": lambda saver: saver.get_by_id("old"),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at(id="old")),
    "get_pending_writes of none": lambda saver: saver.get_pending_writes(at(id="new")),
    "list": lambda saver: saver.list(at()),
    "list in another namespace": lambda saver: saver.list(at(ns="sub")),
    "list before": lambda saver: saver.list(at(), before=at(id="new")),
}
ABSENT = {name: [] if name.startswith(("list", "get_pending")) else None for name in READS}
WHOLE = ("list", "list in another namespace", "list before")
"""The reads that must notice any missing key; others may answer from the keys that they need."""
WRITES = {
    "put": lambda saver: saver.put(at(id="new"), state("newer"), {}),
    "put again": lambda saver: saver.put(at(), state("new", text=os.urandom(600)), {}),
    "put in another namespace": lambda saver: saver.put(at(ns="more"), state("first"), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="new"), [("t", "a", 1)], ""),
    "prune": lambda saver: saver.prune("thread", 1),
    "copy_thread": lambda saver: saver.copy_thread("thread", "copy"),
    "copy_thread to": lambda saver: saver.copy_thread("other", "thread"),
}


@pytest.fixture
def with_all_keys(redis_server, real_store):
    """A thread that has each of the keys that a thread can have, and what every read finds of it."""
    with redis_server.client() as client:
        saver = real_store.open()
        fill(saver, 1, "other")
        saver.put(at(), state("old", text=os.urandom(3000)), {"n": 1})
        saver.put_writes(at(id="old"), [("t", "a", 1)], "")
        saver.put(at(ns="sub"), state("sub", n=1), {})
        second = f"{real_store.prefix}:{{thread}}:log:1"
        while not client.exists(second):
            saver.put(at(id="old"), state("new", text=os.urandom(3000)), {})
        keys = {kind: f"{real_store.prefix}:{{thread}}:{kind}" for kind in KINDS}
        assert client.exists(*keys.values()) == len(KINDS)
        kept = {kind: client.dump(key) for kind, key in keys.items()}

        def lose(kinds):
            """Bring all keys back but these."""
            with client.pipeline() as pipeline:
                pipeline.delete(*keys.values())
                for kind, key in keys.items():
                    if kind not in kinds:
                        pipeline.restore(key, 0, kept[kind])
                pipeline.execute()

        lose(())
        yield saver, lose, {name: read(saver) for name, read in READS.items()}


LOSSES = [lost for count in range(1, len(KINDS)) for lost in itertools.combinations(KINDS, count)]


def test_whichever_keys_of_a_thread_are_lost_it_never_reads_as_another_thread_or_as_none(with_all_keys, real_store):
    saver, lose, truth = with_all_keys
    for lost in LOSSES:
        lose(lost)
        # A worker that knows the thread, and one that does not.
        for reader in (saver, real_store.open()):
            # A list shows the facts of a thread. A thread without them is not shown, but stays in the thread index.
            assert thread_ids(reader) == (["other"] if "thread" in lost else ["thread", "other"])
            for name, read in READS.items():
                try:
                    assert read(reader) == truth[name], (name, lost)
                    assert name not in WHOLE, lost
                except CorruptCheckpointError as error:
                    assert "'thread'" in str(error)  # noqa: PT017 - either outcome is right
    lose(KINDS)
    assert {name: read(saver) for name, read in READS.items()} == ABSENT
    assert thread_ids(saver) == ["other"]


def test_whichever_keys_of_a_thread_are_lost_no_write_makes_it_look_whole(with_all_keys, real_store):
    saver, lose, _ = with_all_keys
    other = real_store.open()
    for number, lost in enumerate(LOSSES):
        lose(lost)
        for write in WRITES.values():
            # A copy finds that there is something already.
            with pytest.raises((CorruptCheckpointError, ConfigError), match="'thread'"):
                write((saver, other)[number % 2])
            with pytest.raises(CorruptCheckpointError, match="'thread'"):
                other.list(at())
    saver.delete_thread("thread")
    assert saver.list(at()) == []
    assert fill(saver, 2) == ids(saver.list(at()))[::-1]


THREADS = 25


def step(number):
    """The state of a thread's step: most of it is the last one's."""
    messages = [f"{each} " + chr(97 + each % 26) * 600 for each in range(number % 30)]
    return state(f"c{number}", number=number, messages=messages, data=os.urandom(2000))


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_server_that_evicts_under_load_never_shows_a_thread_that_is_not_as_it_was_written(new_server, policy):
    server = new_server("--maxmemory-policy", policy)
    written = {f"thread {number}": {} for number in range(THREADS)}
    refused = set()
    with server.client() as client:
        saver = RedisSaver(client)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
        for number in range(25):
            for thread, steps in written.items():
                made = step(number)
                try:
                    config = saver.put(at(thread), made, {"number": number})
                    steps[f"c{number}"] = made, []
                    saver.put_writes(config, [("t", "a", number)], "")
                    steps[f"c{number}"] = made, [("t", "a", number)]
                except CorruptCheckpointError:
                    refused.add(thread)
                    saver.delete_thread(thread)
                    steps.clear()
        assert client.info("stats")["evicted_keys"] > THREADS
        client.config_set("maxmemory", 0)
        for reader in (saver, RedisSaver(client)):
            whole = 0
            for thread, steps in written.items():
                try:
                    found = reader.list(at(thread), limit=None)
                except CorruptCheckpointError:
                    refused.add(thread)
                    continue
                # All of a thread may be missing, and it may have begun again since: then it has all from there.
                assert ids(found) == list(steps)[::-1][: len(found)]
                for each in found:
                    name = each.checkpoint["id"]
                    assert (each.checkpoint, each.pending_writes) == steps[name]
                    assert reader.get_tuple(each.config) == each
                    assert reader.get_pending_writes(each.config) == each.pending_writes
                assert reader.get_tuple(at(thread)) == (found[0] if found else None)
                whole += bool(found)
            assert whole
        assert refused
