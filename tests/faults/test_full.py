"""Servers whose memory or disk is full: an error, nothing is half stored, and they go on when there is room."""

from __future__ import annotations

import itertools
import os
import resource

import pytest
import redis
from support.calls import CALLS, check
from support.data import at, everything, fill, ids, state, thread_ids
from support.polling import until

from zerograph_redis import BackendUnavailableError, RedisSaver


def test_out_of_memory_is_an_error_and_nothing_is_half_stored(new_server):
    server = new_server("--maxmemory-policy", "noeviction")
    client = server.client()
    saver = RedisSaver(client, ttl=1000, keep_last=10)
    fill(saver, 5)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    before, keys = everything(saver, "thread"), sorted(client.keys())
    facts = [(each.checkpoints, each.namespaces, each.bytes) for each in saver.list_threads()]
    client.config_set("maxmemory", 1)
    for name in ("put", "put again", "put_writes"):
        with pytest.raises(BackendUnavailableError, match=r"(?i)memory") as caught:
            CALLS[name](saver)
        check(caught.value, redis.RedisError)
    with pytest.raises(BackendUnavailableError, match=r"(?i)memory"):
        saver.copy_thread("thread", "copy")
    with pytest.raises(BackendUnavailableError, match=r"(?i)memory"):
        saver.put(at("fresh"), state("c0", text="x" * 100_000), {})
    assert thread_ids(saver) == ["thread"]
    client.config_set("maxmemory", 0)
    assert everything(saver, "thread") == before
    assert sorted(client.keys()) == keys
    assert [(each.checkpoints, each.namespaces, each.bytes) for each in saver.list_threads()] == facts
    saver.put(at(), state("new"), {})
    assert ids(saver.list(at()))[0] == "new"
    client.close()


def test_a_full_server_still_reads_and_deletes(new_server):
    server = new_server("--maxmemory-policy", "noeviction")
    client = server.client()
    saver = RedisSaver(client)
    fill(saver, 3)
    client.config_set("maxmemory", 1)
    assert ids(saver.list(at())) == ["c2", "c1", "c0"]
    saver.delete_thread("thread")
    assert thread_ids(saver) == []
    client.close()


def some_bytes(count):
    """What no earlier state has."""
    return os.urandom(count)


def test_a_server_that_fills_up_keeps_what_it_acknowledged_and_goes_on_when_there_is_room(new_server):
    server = new_server("--maxmemory-policy", "noeviction")
    with server.client() as client:
        saver = RedisSaver(client, ttl=1000)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
        stored = {}

        def fill_up():
            for number in itertools.count():
                thread, made = f"thread {number % 20}", state(f"c{number}", data=some_bytes(20_000))
                config = saver.put(at(thread), made, {})
                stored.setdefault(thread, []).append((made, []))
                value = some_bytes(5_000)
                saver.put_writes(config, [("t", "a", value)], "")
                stored[thread][-1] = made, [("t", "a", value)]

        with pytest.raises(BackendUnavailableError, match="OOM: the server uses all the memory") as caught:
            fill_up()
        check(caught.value, redis.ResponseError)
        assert len(stored) == 20

        def found(thread):
            return [(each.checkpoint, each.pending_writes) for each in saver.list(at(thread), limit=None)[::-1]]

        # Reading goes on, and renews the TTL, which takes no memory.
        assert {name: found(name) for name in thread_ids(saver, limit=None)} == stored
        with pytest.raises(BackendUnavailableError, match="OOM"):
            saver.put(at("one more"), state("c0"), {})
        for name in list(stored)[:5]:
            saver.delete_thread(name)
            del stored[name]
        saver.put(at("one more"), state("c0"), {})
        stored["one more"] = [(state("c0"), [])]
        assert {name: found(name) for name in thread_ids(saver, limit=None)} == stored


def limit_files(server, size):
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill_the_disk(server, saver):
    """Write until the server cannot; returns what was acknowledged, and the error."""
    limit_files(server, 300_000)
    acknowledged = []

    def fill_up():
        for number in range(1000):
            made = state(f"c{number}", data=some_bytes(5_000))
            saver.put(at(), made, {})
            acknowledged.append(made)

    with pytest.raises(BackendUnavailableError) as caught:
        fill_up()
    assert acknowledged
    return acknowledged, caught.value


def states_of(saver):
    return [each.checkpoint for each in saver.list(at(), limit=None)[::-1]]


def test_a_server_whose_disk_is_full_refuses_writes_and_answers_reads(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "everysec")
    with server.client() as client:
        saver = RedisSaver(client)
        acknowledged, error = fill_the_disk(server, saver)
        check(error, redis.ResponseError)
        assert "MISCONF: the server cannot save its data: check its log and its disk" in str(error)
        assert states_of(saver) == acknowledged
        with pytest.raises(BackendUnavailableError, match="MISCONF"):
            saver.delete_thread("thread")
        limit_files(server, resource.RLIM_INFINITY)
        until(lambda: client.info("persistence")["aof_last_write_status"] == "ok")
        saver.put(at(), state("last"), {})
        server.restart()
        assert states_of(saver) == [*acknowledged, state("last")]


def test_a_server_that_promised_to_save_at_once_ends_when_its_disk_is_full_and_loses_nothing(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with server.client() as client:
        saver = RedisSaver(client)
        acknowledged, error = fill_the_disk(server, saver)
        check(error, redis.ConnectionError)
        assert server.process.wait(timeout=20) != 0
        server.restart()
        # The put that met the full disk may be there too, but then it is whole.
        found = states_of(saver)
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        assert all(len(each["channel_values"]["data"]) == 5_000 for each in found)
        saver.put(at(), state("last"), {})
        assert states_of(saver) == [*found, state("last")]
