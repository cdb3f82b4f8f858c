"""Servers that do not answer, or not in time: each the right error, with the driver's error as its cause."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
import redis
import redis.asyncio
from support.calls import ACROSS, CALLS, check
from support.data import at, fill, ids, state
from support.servers import NO_RETRY, free_port
from support.stores import make_store

from zerograph_redis import (
    AsyncRedisSaver,
    BackendUnavailableError,
    CheckpointError,
    InMemorySaver,
    RedisSaver,
    aopen_saver,
    open_saver,
)
from zerograph_redis.backends.redis import transport
from zerograph_redis.backends.redis.faults import PLAIN


@pytest.mark.parametrize("name", CALLS)
def test_an_unreachable_server_is_an_error_and_never_an_empty_answer(name):
    client = redis.Redis(port=free_port(), retry=NO_RETRY)
    with pytest.raises(BackendUnavailableError) as caught:
        CALLS[name](RedisSaver(client))
    check(caught.value, redis.ConnectionError, names_thread=name not in ACROSS)
    client.close()


def test_an_unreachable_server_is_an_error_of_awaited_methods_too():
    async def run():
        client = redis.asyncio.Redis(port=free_port(), retry=None)
        async with AsyncRedisSaver(client) as saver:
            with pytest.raises(BackendUnavailableError) as caught:
                await saver.aget_tuple(at())
            check(caught.value, redis.ConnectionError)
            with pytest.raises(BackendUnavailableError):
                await saver.alist_threads()
        await client.aclose()

    asyncio.run(run())


def test_by_default_an_unreachable_server_is_tried_for_a_bounded_time():
    start = time.monotonic()
    with RedisSaver.from_url(f"redis://127.0.0.1:{free_port()}/0") as saver, pytest.raises(BackendUnavailableError):
        saver.get_tuple(at())
    assert 0.1 < time.monotonic() - start < 30


def test_a_server_that_does_not_answer_is_an_error_after_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = redis.Redis(port=listener.getsockname()[1], socket_timeout=0.1, retry=NO_RETRY)
        with pytest.raises(BackendUnavailableError) as caught:
            RedisSaver(client).get_tuple(at())
        check(caught.value, redis.TimeoutError)
        client.close()


@pytest.fixture
def cluster_of_one(new_server):
    """A cluster that can stop as a whole: one node, which has all slots and keeps what it stores."""
    server = new_server("--cluster-enabled", "yes", "--appendonly", "yes", "--appendfsync", "always")
    server.take_all_slots()
    return server


def test_a_cluster_that_stopped_as_a_whole_is_an_error(cluster_of_one, monkeypatch):
    url = f"redis+cluster://:hunter2@127.0.0.1:{cluster_of_one.port}"

    async def awaited(saver):
        for call in (saver.aget_tuple(at()), saver.aput(at(), state("new"), {}), saver.alist_threads()):
            with pytest.raises(BackendUnavailableError):
                await call
        await saver.aclose()

    with (
        RedisSaver.from_url(url.replace(":hunter2@", "")) as saver,
        RedisSaver.from_url(url.replace(":hunter2@", ""), wait_replicas=1) as waiting,
    ):
        fill(saver, 2)
        with saver.lease("held"):
            asynchronous = AsyncRedisSaver.from_url(url.replace(":hunter2@", ""))
            cluster_of_one.stop()
            for each in (saver, waiting, asynchronous):  # only now: a busy machine is slow to answer too
                monkeypatch.setattr(each.store.backend.inner, "_timeout", 0.3)
            for name, call in CALLS.items():
                with pytest.raises(BackendUnavailableError) as caught:
                    call(saver)
                check(caught.value, redis.ConnectionError | redis.TimeoutError, names_thread=name not in ACROSS)
        asyncio.run(awaited(asynchronous))
        with pytest.raises(BackendUnavailableError):
            waiting.put(at(), state("new"), {})
    bound = {"timeout": 0.3}
    address = rf"cannot connect to redis\+cluster://127\.0\.0\.1:{cluster_of_one.port}: "
    for make in (RedisSaver.from_url, AsyncRedisSaver.from_url, open_saver):
        with pytest.raises(BackendUnavailableError, match=address) as caught:
            make(url, **bound)
        check(caught.value, redis.exceptions.RedisClusterException, names_thread=False)
        assert "hunter2" not in str(caught.value)
    with open_saver(url, fallback="memory://", **bound) as saver:
        assert isinstance(saver, InMemorySaver)
    assert isinstance(asyncio.run(aopen_saver(url, fallback="memory://", **bound)), InMemorySaver)


def test_a_saver_waits_for_a_cluster_that_comes_back_soon(cluster_of_one):
    url = f"redis+cluster://127.0.0.1:{cluster_of_one.port}"
    with RedisSaver.from_url(url) as saver:
        fill(saver, 1)
        cluster_of_one.stop()
        found = []
        reader = threading.Thread(target=lambda: found.append(saver.get(at())))
        opener = threading.Thread(target=lambda: found.append(RedisSaver.from_url(url)))
        for each in (reader, opener):
            each.start()
        cluster_of_one.start()
        for each in (reader, opener):
            each.join(timeout=30)
        assert len(found) == 2
        for each in found:
            if isinstance(each, RedisSaver):
                assert each.get(at()) == state("c0", n=0)
                each.close()
            else:
                assert each == state("c0", n=0)


def test_from_url_has_time_outs():
    saver = RedisSaver.from_url("redis://localhost:1/0")
    options = saver._client.connection_pool.connection_kwargs
    assert 0 < options["socket_timeout"] <= 60
    assert 0 < options["socket_connect_timeout"] <= 60
    saver.close()


def test_a_wrong_password_is_an_error_that_does_not_reveal_it(new_server):
    server = new_server(password="the right one")
    client = server.client(password="hunter2")
    for name, call in CALLS.items():
        with pytest.raises(BackendUnavailableError) as caught:
            call(RedisSaver(client))
        check(caught.value, redis.AuthenticationError, names_thread=name not in ACROSS)
        assert "hunter2" not in str(caught.value)
    client.close()


def test_a_missing_password_is_an_error(new_server):
    server = new_server(password="the right one")
    client = server.client(password=None)
    with pytest.raises(BackendUnavailableError) as caught:
        RedisSaver(client).get_tuple(at())
    check(caught.value, redis.RedisError)
    client.close()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_saver_goes_on_by_itself_when_the_server_restarts(new_server, face):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    make = RedisSaver if face == "sync" else AsyncRedisSaver
    saver = make.from_url(server.url)

    def sync_round(number):
        config = saver.put(at(), state(f"c{number}"), {})
        saver.put_writes(config, [("t", "a", number)], "")
        return saver.get_tuple(at())

    async def async_round(number):
        config = await saver.aput(at(), state(f"c{number}"), {})
        await saver.aput_writes(config, [("t", "a", number)], "")
        return await saver.aget_tuple(at())

    with asyncio.Runner() as runner:

        def go(number):
            return sync_round(number) if face == "sync" else runner.run(async_round(number))

        for number in range(3):
            assert go(number).pending_writes == [("t", "a", number)]
            server.restart()
        assert ids(saver.list(at())) == ["c2", "c1", "c0"]
        if face == "async":
            runner.run(saver.aclose())
        else:
            saver.close()


def test_a_saver_waits_for_a_server_that_comes_back_soon(new_server, monkeypatch):
    monkeypatch.setattr(transport, "PLAIN", PLAIN._replace(retries=1000))  # however long the server takes to start
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with RedisSaver.from_url(server.url, timeout=60) as saver:
        fill(saver, 1)
        server.stop()
        found = []
        reader = threading.Thread(target=lambda: found.append(saver.get(at())))
        reader.start()
        server.start()
        reader.join(timeout=60)
        assert found == [state("c0", n=0)]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_does_not_need_the_server_to_know_the_scripts(real_store, name):
    saver = real_store.open()
    fill(saver, 2)
    fill(saver, 1, "source")
    if name == "copy_thread to":
        saver.delete_thread("thread")
    real_store.client().script_flush()
    CALLS[name](saver)


def test_connections_that_were_lost_in_between_are_opened_again(redis_server, real_store):
    with RedisSaver.from_url(redis_server.url, prefix=real_store.prefix) as saver:
        fill(saver, 1)
        for _ in range(3):
            real_store.client().client_kill_filter(_type="normal", skipme=True)
            assert saver.get(at()) == state("c0", n=0)
            real_store.client().client_kill_filter(_type="normal", skipme=True)
            saver.put(at(), state("c0", n=0), {})


@pytest.mark.parametrize("name", ["fakeredis-sync", "redis-sync", "sqlite-sync", "memory-sync"])
def test_one_error_catches_them_all(name, request):
    store = make_store(name, request)
    saver = store.open()
    for wrong in (lambda: saver.get_tuple(at("")), lambda: saver.put(at(), state("c", x=object()), {})):
        with pytest.raises(CheckpointError):
            wrong()
    store.close()
