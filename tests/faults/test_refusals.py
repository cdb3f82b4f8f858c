"""Servers that answer, and refuse: the right error, and nothing is half stored."""

from __future__ import annotations

import pytest
import redis
from support.calls import CALLS, check
from support.data import at, everything, fill, ids, state, thread_ids
from support.polling import until

from zerograph_redis import BackendUnavailableError, RedisSaver


def test_a_read_only_replica_refuses_writes_and_answers_reads(new_server):
    primary, replica = new_server("--repl-diskless-sync-delay", "0"), new_server()
    writer, reader = primary.client(), replica.client()
    saver = RedisSaver(writer)
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    reader.replicaof("127.0.0.1", primary.port)
    replicated = RedisSaver(reader)
    until(lambda: reader.info("replication")["role"] == "slave")
    until(lambda: reader.info("replication")["master_link_status"] == "up" and reader.dbsize() == writer.dbsize())
    assert everything(replicated, "thread") == everything(saver, "thread")
    assert thread_ids(replicated) == ["thread"]
    for name in ("put", "put again", "put_writes", "delete_thread", "prune"):
        with pytest.raises(BackendUnavailableError, match=r"(?i)read.?only") as caught:
            CALLS[name](replicated)
        check(caught.value, redis.ResponseError)
    with pytest.raises(BackendUnavailableError):
        replicated.copy_thread("thread", "copy")
    assert everything(replicated, "thread") == everything(saver, "thread")
    writer.close()
    reader.close()


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
