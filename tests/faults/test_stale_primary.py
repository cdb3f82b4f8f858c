"""A primary that was cut off and comes back as it was, after another took over: no thread forks unnoticed."""

from __future__ import annotations

import signal

import pytest
from support.data import at, ids, state
from support.polling import until

from zerograph_redis import BackendUnavailableError, RedisSaver
from zerograph_redis.backends.redis import sentinel as sentinel_module


@pytest.fixture
def pair(new_server):
    """A primary that keeps what it stores, and a replica in step with it."""
    at_once = ("--repl-diskless-sync-delay", "0")
    primary, replica = new_server(*at_once, "--appendonly", "yes", "--appendfsync", "always"), new_server(*at_once)
    replica.follow(primary)
    return primary, replica


@pytest.fixture
def sentinel(new_server, pair):
    """A Sentinel that takes a primary for down after half a second, and knows the replica."""
    config = "\n".join(
        (
            f"sentinel monitor service 127.0.0.1 {pair[0].port} 1",
            "sentinel down-after-milliseconds service 500",
            "sentinel failover-timeout service 60000",
            "",
        )
    )
    started = new_server("--sentinel", config=config)
    with started.client(protocol=2) as client:
        until(lambda: client.execute_command("SENTINEL", "CKQUORUM", "service"))
        until(lambda: len(client.execute_command("SENTINEL", "REPLICAS", "service")) == 1)
    return started


def port_of_primary(sentinel):
    with sentinel.client(protocol=2) as client:
        return int(client.sentinel_masters()["service"]["port"])


@pytest.fixture
def always_asked(monkeypatch):
    """Have the Sentinels asked before every request, not every second."""
    monkeypatch.setattr(sentinel_module, "CACHED", 0.0)


def take_over(primary, replica, sentinel):
    """Have the replica become the primary, while the old one stands still and knows nothing of it, nor do its clients."""
    primary.process.send_signal(signal.SIGSTOP)
    until(lambda: port_of_primary(sentinel) == replica.port, seconds=20)


def stored_at(server):
    with server.client() as client:
        return ids(RedisSaver(client).list(at()))


def test_a_saver_through_sentinel_follows_though_its_old_primary_would_take_writes(
    pair, sentinel, opening, always_asked
):
    primary, replica = pair
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/service"
    saver = opening(url, retries=True)
    config = saver.put(at(), state("c0"), {})
    until(lambda: stored_at(replica) == ["c0"])
    take_over(primary, replica, sentinel)
    with RedisSaver.from_url(url) as other:
        other.put(config, state("c1"), {})
    primary.process.send_signal(signal.SIGCONT)
    with primary.client() as client:
        assert saver.get(at()) == state("c1")
        saver.put(at(id="c1"), state("c2"), {})
        with saver.lease("thread") as lease:
            saver.put(lease.config(checkpoint_id="c2"), state("c3"), {})
        # It is a primary by its own account still, and the Sentinel demotes it only later.
        assert ids(RedisSaver(client).list(at())) == ["c0"]
        assert client.info("replication")["role"] == "master"
    assert stored_at(replica) == ["c3", "c2", "c1", "c0"]


def test_a_saver_goes_on_while_the_sentinels_are_out_of_reach(pair, sentinel, opening, always_asked):
    saver = opening(f"redis+sentinel://127.0.0.1:{sentinel.port}/service", retries=True)
    saver.put(at(), state("c0"), {})
    sentinel.stop()
    for number in range(1, 4):
        saver.put(at(id=f"c{number - 1}"), state(f"c{number}"), {})
    assert ids(saver.list(at())) == ["c3", "c2", "c1", "c0"]


def test_an_old_primary_that_asks_for_replicas_refuses_and_then_follows(pair, opening):
    primary, replica = pair
    saver = opening(primary.url, retries=True)
    saver.put(at(), state("c0"), {})
    until(lambda: stored_at(replica) == ["c0"])
    primary.stop()
    with replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
        RedisSaver(client).put(at(id="c0"), state("c1"), {})
    # It comes back as it was, and does not learn that there is another primary.
    primary.options += ["--min-replicas-to-write", "1"]
    primary.start()
    with pytest.raises(BackendUnavailableError, match="NOREPLICAS"):
        saver.put(at(id="c0"), state("fork"), {})
    with pytest.raises(BackendUnavailableError, match="NOREPLICAS"), saver.lease("thread"):
        pass
    assert stored_at(primary) == ["c0"]
    with primary.client() as client:
        client.replicaof("127.0.0.1", replica.port)
        until(lambda: stored_at(primary) == ["c1", "c0"])
    for call in (
        lambda: saver.put(at(id="c0"), state("fork"), {}),
        lambda: saver.put_writes(at(id="c0"), [("t", "a", 1)], ""),
        lambda: saver.delete_thread("thread"),
    ):
        with pytest.raises(BackendUnavailableError, match="READONLY: this is a replica"):
            call()
    assert ids(saver.list(at())) == stored_at(replica) == ["c1", "c0"]
