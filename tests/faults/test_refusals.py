"""Servers that answer, and refuse writes: the right error, nothing is half stored, and what can be read is read."""

from __future__ import annotations

import pytest
import redis
from support.calls import CALLS, check
from support.data import at, everything, fill, ids, state, thread_ids
from support.facts import change_facts
from support.polling import until

from zerograph_redis import BackendUnavailableError, RedisSaver


def test_a_read_only_replica_refuses_writes_and_answers_reads(new_server):
    primary, replica = new_server("--repl-diskless-sync-delay", "0"), new_server()
    writer, reader = primary.client(), replica.client()
    saver = RedisSaver(writer)
    fill(saver, 2)
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    replica.follow(primary)
    replicated = RedisSaver(reader)
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


def miss_replicas(server, client):
    client.config_set("min-replicas-to-write", 1)
    return lambda: client.config_set("min-replicas-to-write", 0)


def fail_to_save(server, client):
    """Have a snapshot fail, even one that root writes: a folder has its name."""
    client.config_set("save", "3600 1000000")
    (server.directory / "dump.rdb").mkdir()

    def save(status):
        client.bgsave()
        until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
        assert client.info("persistence")["rdb_last_bgsave_status"] == status

    def repair():
        (server.directory / "dump.rdb").rmdir()
        save("ok")

    save("err")
    return repair


WRITES = ("put", "put again", "put_writes", "prune", "delete_thread", "copy_thread")
READS = tuple(name for name in CALLS if name.startswith(("get", "list")) and name != "list_threads")


@pytest.mark.parametrize(("code", "break_it"), [("NOREPLICAS", miss_replicas), ("MISCONF", fail_to_save)])
def test_a_server_that_takes_no_writes_says_why_and_nothing_is_stored(new_server, opening, code, break_it):
    server = new_server()
    lasting = opening(server.url)
    expiring, reading = opening(server.url, ttl=1000), opening(server.url, ttl=1000, refresh_on_read=False)
    fill(expiring, 3)
    expiring.put_writes(at(id="c0"), [("t", "a", 1)], "")
    fill(lasting, 1, "lasting")
    truth = {name: CALLS[name](reading) for name in READS}
    with server.client() as client:
        # A read moves a deadline that comes later by a hundredth of the ttl.
        change_facts(client, "zerograph:{thread}:thread", deadline=1)
        before = {key: client.dump(key) for key in client.scan_iter()}
        repair = break_it(server, client)
        for name in WRITES:
            with pytest.raises(BackendUnavailableError, match=rf"{code} .*\. {code}: \w+") as caught:
                CALLS[name](expiring)
            check(caught.value, redis.ResponseError)
        with pytest.raises(BackendUnavailableError, match=code):
            lasting.put(at("new"), state("c0"), {})
        with pytest.raises(BackendUnavailableError, match=code), lasting.lease("thread"):
            pass
        # A read that renews the TTL is a write; every other read goes on.
        for name in ("get_tuple", "list", "get_pending_writes"):
            with pytest.raises(BackendUnavailableError, match=rf"{code}: .*or read with refresh_on_read=False"):
                CALLS[name](expiring)
        assert {name: CALLS[name](reading) for name in READS} == truth
        assert thread_ids(reading) == ["lasting", "thread"]
        assert lasting.get(at("lasting")) == state("c0", n=0)
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        repair()
    expiring.put(at(id="c2"), state("c3", n=3), {})
    assert ids(expiring.list(at())) == ["c3", "c2", "c1", "c0"]
