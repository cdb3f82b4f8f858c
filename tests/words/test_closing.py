"""A closed saver refuses every operation, also if the caller owns the client. Operations under way finish."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest
from support.data import at, state

from zerograph_redis import AsyncRedisSaver, BackendUnavailableError, RedisSaver

CALLS = {
    "get_tuple": (at(),),
    "get": (at(),),
    "get_by_id": ("c0",),
    "put": (at(), state("c1"), {}),
    "put_writes": (at(id="c0"), [("t", "a", 1)], ""),
    "get_pending_writes": (at(id="c0"),),
    "prune": ("thread", 1),
    "delete_thread": ("thread",),
    "break_lease": ("thread",),
    "copy_thread": ("thread", "copy"),
    "list_threads": (),
    "list": (at(),),
}


def opened(kind, owned, store):
    if owned:
        return kind.from_url(store.url, prefix=store.prefix)
    if kind is RedisSaver:
        return RedisSaver(store.client(), prefix=store.prefix)
    return AsyncRedisSaver(store.async_client(), sync_client=store.client(), prefix=store.prefix)


def refused(call):
    with pytest.raises(BackendUnavailableError, match="the saver is closed"):
        call()


@pytest.mark.parametrize("owned", [True, False], ids=["own client", "given client"])
@pytest.mark.parametrize("kind", [RedisSaver, AsyncRedisSaver], ids=lambda kind: kind.__name__)
def test_every_operation_is_refused(real_store, kind, owned):
    public = {name for name, _ in inspect.getmembers(RedisSaver, inspect.isfunction) if not name.startswith("_")}
    # What is queued was stored when it was closed, so there is nothing to flush.
    assert public - {"close", "lease", "flush"} == set(CALLS), "a new method needs a call here"
    runner = real_store.runner
    saver = opened(kind, owned, real_store)
    saver.put(at(), state("c0"), {})
    lease = saver.lease("thread")
    if kind is AsyncRedisSaver:
        assert runner.run(saver.aget(at())) == state("c0")
        runner.run(saver.aclose())
        runner.run(saver.aclose())
        for name, arguments in CALLS.items():
            refused(lambda: runner.run(getattr(saver, f"a{name}")(*arguments)))  # noqa: B023 - called at once
    saver.close()
    saver.close()
    for name, arguments in CALLS.items():
        refused(lambda: getattr(saver, name)(*arguments))  # noqa: B023 - called at once
    refused(lease.__enter__)
    client = real_store.client()
    assert client.hlen(f"{real_store.prefix}:{{thread}}:checkpoints") == 1
    if owned:
        connections = saver._client.connection_pool._available_connections
        assert not any(each._sock for each in connections)
    elif kind is RedisSaver:
        assert saver._client.ping()


@pytest.mark.parametrize("owned", [True, False], ids=["own client", "given client"])
def test_an_operation_under_way_ends_as_it_would_have(real_store, owned):
    """The server holds the reply back until the saver is closed."""
    saver = opened(RedisSaver, owned, real_store)
    saver.put(at(), state("c0"), {})
    other = real_store.client()
    found = []
    other.execute_command("CLIENT", "PAUSE", 1000, "ALL")
    reading = threading.Thread(target=lambda: found.append(saver.get(at())))
    reading.start()
    while not (saver._use.is_busy() or found):
        pass
    saver.close()
    refused(lambda: saver.get(at()))
    reading.join()
    assert found == [state("c0")]
    if owned:
        assert not any(each._sock for each in saver._client.connection_pool._available_connections)


def test_closing_among_many_operations_gives_each_a_result_or_the_error(real_store):
    for _ in range(20):
        saver = RedisSaver.from_url(real_store.url, prefix=real_store.prefix)
        saver.put(at(), state("c0"), {})
        ended = []

        def read(saver=saver, ended=ended):
            try:
                while True:
                    assert saver.get(at()) == state("c0")
            except BaseException as error:  # noqa: BLE001 - whatever ends it is looked at
                ended.append(error)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for each in readers:
            each.start()
        saver.close()
        for each in readers:
            each.join()
        assert len(ended) == 4
        assert {str(each) for each in ended} == {"the saver is closed: make another one"}
        assert not any(each._sock for each in saver._client.connection_pool._available_connections)


def test_closing_among_many_awaited_operations_gives_each_a_result_or_the_error(real_store):
    async def run():
        saver = AsyncRedisSaver.from_url(real_store.url, prefix=real_store.prefix)
        await saver.aput(at(), state("c0"), {})
        reading = [asyncio.create_task(saver.aget(at())) for _ in range(20)]
        await asyncio.sleep(0)
        clients = saver._async_clients._transports
        await saver.aclose()
        assert await asyncio.gather(*reading) == [state("c0")] * 20
        assert not list(clients)

    asyncio.run(run())
