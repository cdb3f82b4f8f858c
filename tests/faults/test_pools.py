"""Pools that a user made: an idle connection is borrowed without a helper where nothing is wrong, and none leaks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from itertools import count
from time import monotonic

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.data import at, state
from support.interrupted_calls import pool_damage
from support.interrupts import Interrupted, interrupt_at
from support.polling import until

from zerograph_redis import AsyncRedisSaver, RedisSaver
from zerograph_redis.backends.redis import pools
from zerograph_redis.backends.redis.connections import AsyncOwnConnections
from zerograph_redis.backends.redis.scripts import command
from zerograph_redis.backends.redis.transport import AsyncTransport, Transport


@pytest.fixture
def client(real_store):
    return real_store.client(max_connections=1, retry=Retry(NoBackoff(), 0))


PING = [command("PING")]
LONG = monotonic() + 100_000


@pytest.mark.parametrize("error", [Interrupted, TimeoutError], ids=lambda each: each.__name__)
def test_a_request_that_is_interrupted_at_any_point_leaves_the_pool_as_it_was(client, error):
    transport = Transport(client)
    transport.send(PING, LONG)
    (connection,) = client.connection_pool._available_connections

    def send():
        with suppress(redis.TimeoutError):  # what a time-out of a socket becomes
            transport.send(PING, LONG)

    for point in count():
        if not interrupt_at(point, send, error):
            break
        # The pool has one place: a leaked connection would be missing here.
        assert transport.send(PING, LONG) == [b"PONG"]
        assert transport.send([command("ECHO", point)], LONG) == [str(point).encode()]
        assert pool_damage(client) == []
        assert client.connection_pool._available_connections == [connection]
    assert point > 30
    assert not transport.connections._lent
    assert not transport.connections._dead


def test_a_request_within_a_signal_handler_takes_another_connection(real_store):
    transport = Transport(real_store.client())
    transport.send(PING, LONG)
    idle = transport.client.connection_pool._available_connections
    found = []

    usual = pools.exchange

    def exchange(*given):
        found.append(transport.send(PING, LONG) if not found else None)
        return usual(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "exchange", exchange)
        assert transport.send(PING, LONG) == [b"PONG"]
    assert found[-1] == [b"PONG"]
    assert pool_damage(transport.client) == []
    assert len(idle) == 2


@pytest.fixture
def helpless(monkeypatch):
    def refuse(*_):
        raise AssertionError("no help is needed where nothing is wrong")

    def forbid():
        monkeypatch.setattr(pools, "shielded", refuse)
        monkeypatch.setattr(pools, "ashielded", refuse)

    return forbid


def test_an_idle_connection_is_borrowed_without_help(client, real_store, helpless):
    saver = RedisSaver(client, prefix=real_store.prefix)
    saver.put(at(), state("c0"), {})
    helpless()
    for _ in range(3):
        assert saver.get(at()) == state("c0")
    found = []
    other = threading.Thread(target=lambda: found.append(saver.get(at())))
    other.start()
    other.join()
    assert found == [state("c0")]


def awaited(test, url, *, own=True, **options):
    """Await a test of an asyncio transport."""

    async def run():
        async with redis.asyncio.Redis.from_url(url, **options) as client:
            transport = AsyncTransport(client, own=own)
            await test(transport)
            await transport.aclose()

    asyncio.run(run())


def test_an_idle_connection_is_borrowed_by_tasks_without_help(real_store, helpless):
    async def run():
        async with redis.asyncio.Redis.from_url(real_store.url, max_connections=1) as client:
            saver = AsyncRedisSaver(client, sync_client=real_store.client(), prefix=real_store.prefix)
            await saver.aput(at(), state("c0"), {})
            helpless()
            for _ in range(3):
                assert await saver.aget(at()) == state("c0")
            assert not client.connection_pool._in_use_connections

    asyncio.run(run())


def test_what_arrived_on_an_idle_connection_is_no_reply(client):
    """As after code of the user's own that read too little."""
    transport = Transport(client)
    transport.send(PING, LONG)
    (connection,) = client.connection_pool._available_connections
    connection.send_packed_command([b"ECHO junk\r\n"])
    while not connection.can_read(0.1):
        pass
    assert transport.send([command("ECHO", "mine")], LONG) == [b"mine"]
    assert pool_damage(client) == []


@pytest.mark.parametrize("own", [True, False], ids=["own client", "given client"])
def test_a_push_message_is_no_reply(real_store, own):
    tracking = [command("CLIENT", "TRACKING", "ON", "BCAST")]
    client = real_store.client(protocol=3)
    transport = Transport(client, own=own)
    assert transport.send(tracking, LONG) == [b"OK"]
    for number in range(5):
        # The server reports each change to the connection that made it, before the next reply.
        commands = [command("SET", "unasked", number), command("ECHO", number)]
        assert transport.send(commands, LONG) == [b"OK", str(number).encode()]
    transport.send([command("DEL", "unasked")], LONG)
    transport.close()


@pytest.mark.parametrize("own", [True, False], ids=["own client", "given client"])
def test_a_push_message_is_no_reply_to_a_task(real_store, own):
    async def test(transport):
        assert await transport.send([command("CLIENT", "TRACKING", "ON", "BCAST")], LONG) == [b"OK"]
        for number in range(5):
            commands = [command("SET", "unasked", number), command("ECHO", number)]
            assert await transport.send(commands, LONG) == [b"OK", str(number).encode()]
        await transport.send([command("DEL", "unasked")], LONG)

    awaited(test, real_store.url, own=own, protocol=3)


@pytest.mark.parametrize("own", [True, False], ids=["own client", "given client"])
def test_a_reply_is_waited_for_as_long_as_the_clients_time_out(new_server, own):
    server = new_server()
    with server.client(socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
        transport = Transport(client, own=own)
        transport.send(PING, LONG)
        with server.standing_still(), pytest.raises(redis.TimeoutError):
            transport.send(PING, LONG)
        assert transport.send(PING, LONG) == [b"PONG"]
        transport.close()


@pytest.mark.parametrize("kind", ["own client", "given client", "given client of a cluster"])
def test_a_reply_is_awaited_for_as_long_as_the_clients_time_out(new_server, kind):
    options = ("--cluster-enabled", "yes") if kind.endswith("cluster") else ()
    server = new_server(*options)
    if options:
        server.take_all_slots()

    async def run():
        given = {"host": "127.0.0.1", "port": server.port, "socket_timeout": 1.0}
        once = redis.asyncio.retry.Retry(NoBackoff(), 0)
        async with (redis.asyncio.RedisCluster if options else redis.asyncio.Redis)(**given, retry=once) as client:
            transport = AsyncTransport(client, own=kind == "own client")
            await transport.send(PING, LONG)
            with server.standing_still(), pytest.raises(redis.TimeoutError):
                await transport.send(PING, LONG)
            assert await transport.send(PING, LONG) == [b"PONG"]
            await transport.aclose()

    asyncio.run(run())


def test_tasks_that_are_more_than_connections_wait_for_their_turn(real_store, monkeypatch):
    monkeypatch.setattr("zerograph_redis.backends.redis.connections.AT_ONCE", 2)

    async def test(transport):
        asked = [transport.send([command("ECHO", number)], LONG) for number in range(20)]
        assert await asyncio.gather(*asked) == [[str(number).encode()] for number in range(20)]
        assert len(transport.connections._idle) == 2
        assert transport.connections._busy == 0
        assert await transport.send([], LONG) == []

    awaited(test, real_store.url)


@pytest.mark.parametrize("has_turn", [True, False], ids=["that got its turn", "that waits"])
def test_a_task_that_is_cancelled_takes_no_place(has_turn):
    async def run():
        connections = AsyncOwnConnections()
        connections._busy = 1  # another task has the last place
        waiting = asyncio.create_task(connections._wait(LONG))
        await asyncio.sleep(0)
        if has_turn:
            connections._leave()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not has_turn:
            connections._leave()
        assert connections._busy == 0

    asyncio.run(run())


def test_each_request_of_an_event_loop_has_its_own_deadline(new_server):
    server = new_server()

    async def test(transport):
        await asyncio.gather(transport.send(PING, LONG), transport.send(PING, LONG))
        with server.standing_still():
            patient = asyncio.create_task(transport.send(PING, LONG))
            await asyncio.sleep(0)
            with pytest.raises(redis.TimeoutError):
                await transport.send(PING, monotonic() + 0.2)
            assert not patient.done()
        assert await patient == [b"PONG"]

    awaited(test, server.url, socket_timeout=None)


def test_a_connection_that_the_server_closed_is_opened_again_before_it_is_used(real_store):
    async def test(transport):
        (number,) = await transport.send([command("CLIENT", "ID")], LONG)
        (shared,) = transport.connections._idle
        real_store.client().client_kill_filter(_id=number)
        await asyncio.to_thread(until, lambda: shared.receiver.is_closed)
        assert await transport.send(PING, LONG) == [b"PONG"]

    awaited(test, real_store.url)
