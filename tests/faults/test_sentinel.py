"""Savers through Sentinel whose server is no primary any more, on real servers.

The test demotes it and reconfigures the Sentinel itself: then connections stay open, which a failover by the Sentinel
closes as soon as it reaches the server.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.data import at, state
from support.polling import until
from support.servers import RedisServer, free_port

from zerograph_redis import BackendUnavailableError, RedisSaver, ReplicationError
from zerograph_redis.backends.redis.faults import PLAIN


class Site:
    """A primary without replicas, another one with a replica, and a Sentinel that knows the first."""

    def __init__(self, new_server, sentinel: RedisServer) -> None:
        self.primary, self.other, replica = new_server(), new_server("--repl-diskless-sync", "no"), new_server()
        replica.follow(self.other)
        with RedisSaver.from_url(self.primary.url) as saver:  # which leaves its scripts there
            saver.put_writes(saver.put(at("earlier"), state("c"), {}), [("t", "a", 1)], "")
        self.sentinel = sentinel
        self.url = f"redis+sentinel://127.0.0.1:{sentinel.port}/service"
        self.name(self.primary)

    @staticmethod
    def call(server: RedisServer, *words):
        with server.client() as client:
            return client.execute_command(*words)

    def name(self, server: RedisServer) -> None:
        """Have the Sentinel name *server* as the primary."""
        self.call(self.sentinel, "SENTINEL", "MONITOR", "service", "127.0.0.1", server.port, 1)

    def leave_behind(self, *commands: tuple) -> None:
        """Have the Sentinel name the other primary, and change the first one, whose connections stay open."""
        self.call(self.sentinel, "SENTINEL", "REMOVE", "service")
        self.name(self.other)
        for each in commands:
            self.call(self.primary, *each)


@pytest.fixture
def site(new_server):
    return Site(new_server, new_server("--sentinel", config=""))


def demotion(site):
    return ("REPLICAOF", "127.0.0.1", site.other.port)


LEFT_BEHIND = {
    "a replica": lambda site: [demotion(site)],
    # The script succeeds; only the WAIT after it fails.
    "a replica that takes writes": lambda site: [("CONFIG", "SET", "replica-read-only", "no"), demotion(site)],
    "a replica that serves nothing stale": lambda _: [
        ("CONFIG", "SET", "replica-serve-stale-data", "no"),
        ("REPLICAOF", "127.0.0.1", free_port()),
    ],
    "a primary that misses its replicas": lambda _: [("CONFIG", "SET", "min-replicas-to-write", 1)],
}


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_a_put_to_what_a_failover_left_behind_goes_to_the_new_primary(site, opening, kind):
    saver = opening(site.url, retries=True, wait_replicas=1, wait_timeout=4000)
    assert saver.get(at()) is None
    site.leave_behind(*LEFT_BEHIND[kind](site))
    config = saver.put(at(), state("c"), {})
    saver.put_writes(config, [("t", "a", 1)], "")
    with RedisSaver.from_url(site.other.url) as there:
        assert there.get(at()) == state("c")
        assert there.get_pending_writes(config) == [("t", "a", 1)]


def test_a_put_whose_primary_is_demoted_while_it_waits_for_replicas_goes_to_the_new_one(site, opening):
    saver = opening(site.url, retries=True, wait_replicas=1, wait_timeout=60_000)
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(saver.put, at(), state("c"), {})
        until(lambda: site.call(site.primary, "INFO", "clients")["blocked_clients"] == 1)
        site.leave_behind(demotion(site))
        put.result(timeout=30)
    with RedisSaver.from_url(site.other.url) as there:
        assert there.get(at()) == state("c")


def test_a_put_that_too_few_replicas_confirmed_is_done_again_at_the_new_primary(site, opening):
    saver = opening(site.url, retries=True, wait_replicas=1, wait_timeout=50)
    assert saver.get(at()) is None
    site.leave_behind()
    with pytest.raises(ReplicationError):
        saver.put(at(), state("c"), {})
    config = saver.put(at(), state("c"), {})
    with RedisSaver.from_url(site.other.url) as there:
        assert there.get(config) == state("c")


def test_a_put_waits_longer_for_a_failover_than_for_a_server_that_restarts(site, opening, caplog):
    caplog.set_level(logging.DEBUG, "zerograph_redis")
    saver = opening(site.url, retries=True)
    assert saver.get(at()) is None
    site.call(site.sentinel, "SENTINEL", "REMOVE", "service")
    site.primary.stop()
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(saver.put, at(), state("c"), {})
        until(lambda: caplog.text.count("is tried again") > PLAIN.retries + 1, seconds=30)
        site.name(site.other)
        put.result(timeout=60)
    with RedisSaver.from_url(site.other.url) as there:
        assert there.get(at()) == state("c")


def test_when_no_other_primary_is_named_the_error_quotes_the_server(site):
    site.call(site.primary, "CONFIG", "SET", "min-replicas-to-write", 1)
    with (
        RedisSaver.from_url(site.url, timeout=1) as saver,
        pytest.raises(BackendUnavailableError, match=r"thread 'thread'.*NOREPLICAS Not enough good replicas"),
    ):
        saver.put(at(), state("c"), {})
