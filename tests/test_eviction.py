"""A server that evicts keys can lose parts of a thread: the saver warns of it at its start."""

import asyncio
import logging

import pytest
from support.data import at, state

from zerograph_redis import AsyncRedisSaver, RedisSaver, open_saver


@pytest.fixture
def evicting(new_server):
    return new_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")


def warnings(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_saver_warns_of_an_evicting_server_once(evicting, caplog):
    with RedisSaver.from_url(evicting.url) as saver:
        for _ in range(3):
            saver.put(at(), state("c"), {})
    (warning,) = warnings(caplog)
    assert "maxmemory-policy is allkeys-lru" in warning
    assert "noeviction" in warning


def test_the_awaited_methods_warn_too(evicting, caplog):
    async def main():
        async with AsyncRedisSaver.from_url(evicting.url) as saver:
            await saver.aget_tuple(at())
            await saver.aget_tuple(at())

    asyncio.run(main())
    assert len(warnings(caplog)) == 1


def test_opening_warns(evicting, caplog):
    open_saver(evicting.url).close()
    assert len(warnings(caplog)) == 1


def test_there_is_no_warning_of_a_server_that_keeps_all(redis_store, caplog):
    saver = redis_store.open()
    saver.put(at(), state("c"), {})
    assert saver.get(at()) == state("c")
    assert warnings(caplog) == []


def test_a_node_of_a_cluster_that_evicts_is_found(new_cluster, caplog):
    cluster = new_cluster(replicas=0)
    with cluster.node(cluster.ports[1]) as node:
        node.config_set("maxmemory-policy", "volatile-ttl")
    with RedisSaver.from_url(cluster.url) as saver:
        saver.put(at(), state("c"), {})
    assert "volatile-ttl" in "".join(warnings(caplog))


def test_a_user_who_may_not_ask_is_not_bothered(evicting, caplog):
    with evicting.client() as client:
        client.acl_setuser("plain", enabled=True, nopass=True, keys="*", commands=["+@all", "-info"])
    with RedisSaver.from_url(f"redis://plain:x@127.0.0.1:{evicting.port}") as saver:
        saver.put(at(), state("c"), {})
        assert saver.get(at()) == state("c")
    assert warnings(caplog) == []
