"""Options of savers, clients and who owns them, context managers."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
import threading
from datetime import timedelta
from pathlib import Path

import fakeredis
import pytest
import redis
import redis.asyncio
import zerograph
from support.data import at, fill, ids, state
from support.polling import until
from zerograph.checkpoint import BaseCheckpointSaver

from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    ConfigError,
    InMemorySaver,
    MsgpackSerializer,
    RedisSaver,
    Registered,
    SerializationError,
    SqliteSaver,
)

SAVERS = (RedisSaver, AsyncRedisSaver, InMemorySaver, SqliteSaver, AsyncSqliteSaver)


def make(kind, **options):
    if kind is RedisSaver:
        return RedisSaver(fakeredis.FakeRedis(), **options)
    if kind is AsyncRedisSaver:
        return AsyncRedisSaver(fakeredis.FakeAsyncRedis(), sync_client=fakeredis.FakeRedis(), **options)
    if kind is InMemorySaver:
        if "keep_last" in options:
            options["max_per_thread"] = options.pop("keep_last")
        return InMemorySaver(**options)
    return kind(":memory:", **options)


@pytest.fixture(params=SAVERS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


SENSELESS = [
    *[{name: value} for name in ("ttl", "max_age") for value in (
        0, 0.0, -1, -0.5, float("nan"), float("inf"), float("-inf"), True, False, "60", b"60", [60], timedelta(0),
        timedelta(seconds=-1), 10**12, 1e300, 0.0001,
    )],
    *[{"keep_last": value} for value in (0, -1, 1.5, True, False, "3", float("nan"))],
    *[{"refresh_on_read": value} for value in (None, 0, 1, "yes")],
]  # fmt: skip


@pytest.mark.parametrize("options", SENSELESS, ids=repr)
def test_an_option_that_makes_no_sense_is_refused(kind, options):
    with pytest.raises((ValueError, TypeError)) as caught:
        make(kind, **options)
    (name,) = options
    assert name in str(caught.value) or kind is InMemorySaver


@pytest.mark.parametrize("name", ["time_to_live", "TTL", "keep", "max_per_threads"])
def test_an_unknown_option_is_refused(kind, name):
    with pytest.raises(TypeError, match=name):
        make(kind, **{name: 1})


@pytest.mark.parametrize(
    "prefix", ["", "{", "}", "a{b}", "{a}", " ", "a b", "a\n", "a\x00", "ä", "*", "a?", "[", None, 7, b"a"]
)
@pytest.mark.parametrize("redis_kind", [RedisSaver, AsyncRedisSaver], ids=lambda kind: kind.__name__)
def test_a_prefix_that_would_not_be_one_is_refused(redis_kind, prefix):
    with pytest.raises(ValueError, match="prefix"):
        make(redis_kind, prefix=prefix)


@pytest.mark.parametrize("prefix", ["a", "app:dev", "a/b", "user@host", "a.b-c_d+e", "A1"])
def test_an_ordinary_prefix_is_what_every_key_begins_with(prefix):
    client = fakeredis.FakeRedis()
    fill(RedisSaver(client, prefix=prefix), 1)
    assert all(key.startswith(f"{prefix}:".encode()) for key in client.scan_iter())
    client.close()


def test_a_right_option_is_taken(kind):
    month = timedelta(days=30)
    for options in ({"ttl": 1}, {"ttl": 0.5}, {"ttl": month}, {"max_age": 3600}, {"keep_last": 1}, {"ttl": None}):
        with make(kind, **options) as saver:
            fill(saver, 1)


def test_every_saver_is_one_of_the_engines(kind):
    with make(kind) as saver:
        assert isinstance(saver, BaseCheckpointSaver)


def test_constructors_take_what_those_of_the_engine_take(tmp_path):
    pairs = [
        (InMemorySaver, zerograph.InMemorySaver),
        (SqliteSaver, zerograph.SqliteSaver),
        (AsyncSqliteSaver, zerograph.AsyncSqliteSaver),
    ]
    for ours, theirs in pairs:
        mine = inspect.signature(ours).parameters
        for name, parameter in inspect.signature(theirs).parameters.items():
            assert mine[name].default == parameter.default
            assert mine[name].kind == parameter.kind
    with InMemorySaver(100), InMemorySaver(max_per_thread=5), SqliteSaver(str(tmp_path / "a.db")):
        pass
    with SqliteSaver(Path(tmp_path / "b.db")), SqliteSaver(conn_string=":memory:"), AsyncSqliteSaver(":memory:"):
        pass


def test_methods_take_what_those_of_the_engine_take(kind):
    for theirs in (BaseCheckpointSaver, zerograph.SqliteSaver, zerograph.AsyncSqliteSaver):
        for name, method in inspect.getmembers(theirs, inspect.isfunction):
            if name.startswith("_") or (name.startswith("a") and not hasattr(kind, "aget_tuple")):
                continue
            mine = inspect.signature(getattr(kind, name)).parameters
            assert set(inspect.signature(method).parameters) <= set(mine), name


def test_memory_names_its_own_option_for_keep_last():
    with pytest.raises(TypeError, match="InMemorySaver has no keep_last: use max_per_thread"):
        InMemorySaver(keep_last=3)
    with pytest.raises(TypeError, match="did you mean 'max_per_thread'"):
        InMemorySaver(max_per_threads=3)


@pytest.mark.parametrize("method", ["lease", "alease"])
def test_the_arguments_of_a_lease_are_checked_before_it_is_entered(method):
    with InMemorySaver() as saver:
        hold = getattr(saver, method)
        for wrong in ({"wait": "1"}, {"wait": -1}, {"owner": b"me"}, {"ttl": 0}, {"thread_id": ""}):
            with pytest.raises(ConfigError):
                hold(**{"thread_id": "thread", **wrong})
        hold("thread", timedelta(seconds=1), wait=timedelta(seconds=1), owner="me")


def test_memory_is_bounded_by_a_hundred_by_default():
    with InMemorySaver() as saver:
        fill(saver, 130)
        assert len(saver.list(at(), limit=None)) == 100
    with InMemorySaver(max_per_thread=3) as saver:
        fill(saver, 5)
        assert ids(saver.list(at())) == ["c4", "c3", "c2"]


@pytest.mark.parametrize("client", [None, "redis://localhost", object(), 7])
def test_what_is_no_client_is_refused_with_the_way_out(client):
    for redis_kind in (RedisSaver, AsyncRedisSaver):
        with pytest.raises(ConfigError, match="from_url"):
            redis_kind(client)


def test_a_client_of_the_wrong_kind_is_refused():
    blocking, awaited = redis.Redis(), redis.asyncio.Redis()
    with pytest.raises(ConfigError, match=r"blocking.*asyncio"):
        RedisSaver(awaited)
    with pytest.raises(ConfigError, match=r"asyncio.*blocking"):
        AsyncRedisSaver(blocking)
    with pytest.raises(ConfigError):
        RedisSaver(fakeredis.FakeAsyncRedis())
    with pytest.raises(ConfigError):
        AsyncRedisSaver(fakeredis.FakeRedis())


def test_a_sync_client_of_the_wrong_kind_is_refused():
    for wrong in (redis.asyncio.Redis(), object(), "redis://localhost"):
        with pytest.raises(ConfigError):
            AsyncRedisSaver(redis.asyncio.Redis(), sync_client=wrong)


def closed(client):
    """Whether no connection of a client's pool is open."""
    pool = client.connection_pool
    return not any(each._sock for each in getattr(pool, "_available_connections", []) if hasattr(each, "_sock"))


def test_a_client_that_was_passed_in_is_not_closed(redis_server, real_store):
    client = real_store.client()
    with RedisSaver(client, prefix=real_store.prefix) as saver:
        fill(saver, 1)
    assert not closed(client)
    assert client.ping()


def test_a_client_that_the_saver_made_is_closed(redis_server, real_store):
    url = f"{redis_server.url}?client_name={real_store.prefix}"

    def connections():
        return sum(each["name"] == real_store.prefix for each in real_store.client().client_list())

    with RedisSaver.from_url(url, prefix=real_store.prefix) as saver:
        fill(saver, 1)
        in_a_thread = threading.Thread(target=saver.get, args=(at(),))
        in_a_thread.start()
        in_a_thread.join()
        until(lambda: connections() == 1)
        assert saver.get(at()) is not None
    until(lambda: connections() == 0)
    saver.close()


def test_a_url_may_say_how_many_connections_there_are(redis_server, real_store):
    url = f"{redis_server.url}?client_name={real_store.prefix}&max_connections=2"
    with RedisSaver.from_url(url, prefix=real_store.prefix) as saver:
        writers = [threading.Thread(target=fill, args=(saver, 20, f"thread {number}")) for number in range(6)]
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        assert sum(each["name"] == real_store.prefix for each in real_store.client().client_list()) <= 2
        assert all(len(saver.list(at(f"thread {number}"), limit=None)) == 20 for number in range(6))


def test_clients_that_were_passed_to_an_async_saver_are_not_closed(redis_server, real_store):
    async def run():
        awaited, blocking = redis.asyncio.Redis(port=redis_server.port), real_store.client()
        async with AsyncRedisSaver(awaited, sync_client=blocking, prefix=real_store.prefix) as saver:
            await saver.aput(at(), state("c0"), {})
            saver.put(at(), state("c1"), {})
        assert any(each.is_connected for each in awaited.connection_pool._available_connections)
        assert await awaited.ping()
        assert not closed(blocking)
        await awaited.aclose()

    asyncio.run(run())


def test_the_blocking_client_that_an_async_saver_derived_is_closed(redis_server, real_store):
    async def run():
        awaited = redis.asyncio.Redis(port=redis_server.port)
        async with AsyncRedisSaver(awaited, prefix=real_store.prefix) as saver:
            saver.put(at(), state("c0"), {})
            assert (await saver.aget(at()))["id"] == "c0"
        twin_is_closed = closed(saver._client)
        saver._client.connection_pool.disconnect()
        await awaited.aclose()
        assert twin_is_closed

    asyncio.run(run())


def test_a_derived_blocking_client_speaks_to_the_same_database_with_the_same_rights(new_server):
    server = new_server(password="secret")

    async def run():
        for options in ({}, {"decode_responses": True}, {"protocol": 3}):
            awaited = redis.asyncio.Redis(port=server.port, password="secret", db=5, **options)
            async with AsyncRedisSaver(awaited) as saver:
                await saver.aput(at(), state("c0"), {})
                assert saver.get(at()) == state("c0")
                await saver.adelete_thread("thread")
            await awaited.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decoded", [True, False])
def test_both_protocols_work_decoded_or_not(redis_server, real_store, protocol, decoded):
    client = real_store.client(protocol=protocol, decode_responses=decoded)
    saver = RedisSaver(client, prefix=real_store.prefix)
    fill(saver, 3)
    saver.put_writes(at(id="c0"), [("t", "a", b"\xff")], "")
    assert len(saver.list(at())) == 3
    assert saver.get_tuple(at(id="c0")).pending_writes == [("t", "a", b"\xff")]
    assert saver.get_by_id("c1").checkpoint["id"] == "c1"
    assert saver.list_threads()[0].checkpoints == 3
    assert saver.prune("thread", 1) == 2


def test_making_an_async_saver_needs_no_running_loop(tmp_path):
    savers = [
        AsyncRedisSaver(redis.asyncio.Redis(port=1)),
        AsyncRedisSaver.from_url("redis://localhost:1/0"),
        AsyncSqliteSaver(tmp_path / "c.db"),
        AsyncSqliteSaver(":memory:"),
    ]
    for saver in savers:
        saver.close()


def test_a_blocking_context_manager_gives_the_saver_and_closes_it(kind):
    saver = make(kind)
    with saver as entered:
        assert entered is saver
        fill(saver, 1)


@pytest.mark.parametrize("awaited", [AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver], ids=lambda kind: kind.__name__)
def test_an_awaited_context_manager_gives_the_saver_and_closes_it(awaited):
    async def run():
        saver = make(awaited)
        async with saver as entered:
            assert entered is saver
            await saver.aput(at(), state("c0"), {})
            saver.put(at(), state("c1"), {})

    asyncio.run(run())


def test_a_context_manager_lets_errors_out_and_closing_twice_is_harmless(kind):
    saver = make(kind)
    with pytest.raises(KeyError), saver:
        raise KeyError
    saver.close()


def test_awaited_savers_have_the_blocking_methods_too():
    for awaited in (AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver):
        for name in (
            "get_tuple", "get", "get_by_id", "put", "put_writes", "get_pending_writes", "list", "prune", "delete_thread",
            "copy_thread", "list_threads", "close",
        ):  # fmt: skip
            assert not inspect.iscoroutinefunction(getattr(awaited, name))
            assert inspect.iscoroutinefunction(getattr(awaited, "a" + name))


def test_a_copy_of_a_saver_is_the_saver(kind):
    with make(kind) as saver:
        assert copy.copy(saver) is saver
        assert copy.deepcopy({"saver": saver})["saver"] is saver


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None


def test_a_serializer_of_the_users_is_used_for_states_metadata_and_writes(kind):
    serializer = MsgpackSerializer(types=[Registered("point", Point, lambda point: point.x, Point)])
    with make(kind, serializer=serializer) as saver:
        config = saver.put(at(), state("c0", point=Point(1)), {"point": Point(2)})
        saver.put_writes(config, [("t", "a", Point(3))], "")
        found = saver.get_tuple(at())
        assert found.checkpoint["channel_values"] == {"point": Point(1)}
        assert found.metadata == {"point": Point(2)}
        assert found.pending_writes == [("t", "a", Point(3))]


def test_a_reader_that_lacks_a_type_is_told_which(tmp_path):
    serializer = MsgpackSerializer(types=[Registered("point", Point, lambda point: point.x, Point)])
    with SqliteSaver(tmp_path / "c.db", serializer=serializer) as saver:
        saver.put(at(), state("c0", point=Point(1)), {})
    with SqliteSaver(tmp_path / "c.db") as saver, pytest.raises(SerializationError, match="point"):
        saver.get_tuple(at())


def test_the_repr_of_a_saver_says_where_it_keeps_threads(kind):
    urls = {InMemorySaver: "memory://", SqliteSaver: "sqlite:///:memory:", AsyncSqliteSaver: "sqlite:///:memory:"}
    with make(kind, ttl=90) as saver:
        if kind in urls:
            assert repr(saver) == f"{kind.__name__}('{urls[kind]}', ttl=90.0)"
        else:
            shown = re.sub("[0-9a-f]{32}", "host", repr(saver))  # fakeredis makes a host up
            assert shown == f"{kind.__name__}('redis://host:6379/0', prefix='zerograph', ttl=90.0)"


def test_the_repr_of_a_saver_has_no_secret():
    url = "redis://somebody:hunter2@example.org:7000/3?client_name=x"
    with RedisSaver.from_url(url, prefix="app") as saver:
        assert repr(saver) == "RedisSaver('redis://example.org:7000/3', prefix='app', ttl=None)"
    with RedisSaver.from_url("unix://somebody:hunter2@/tmp/redis.sock?db=2") as saver:
        assert repr(saver) == "RedisSaver('unix:///tmp/redis.sock?db=2', prefix='zerograph', ttl=None)"
    with RedisSaver.from_url("redis+sentinel://:hunter2@a:1,b:2/service/4") as saver:
        assert repr(saver) == "RedisSaver('redis+sentinel://…/service/4', prefix='zerograph', ttl=None)"
    with RedisSaver.from_url("rediss://:hunter2@example.org") as saver:
        assert repr(saver) == "RedisSaver('rediss://example.org:6379/0', prefix='zerograph', ttl=None)"


@pytest.mark.parametrize("kind", [RedisSaver, SqliteSaver], ids=lambda kind: kind.__name__)
def test_an_awaited_method_of_a_blocking_saver_names_the_saver_that_has_it(kind):
    async def enter():
        async with make(kind):
            pass

    with make(kind) as saver:
        with pytest.raises(AttributeError, match=f"^{kind.__name__} has no aget_tuple: use Async{kind.__name__}"):
            saver.aget_tuple(at())
        with pytest.raises(AttributeError, match=f"^{kind.__name__} has no attribute 'agets'$"):
            _ = saver.agets
        assert not hasattr(saver, "aput")
    with pytest.raises(TypeError, match=f"use `async with Async{kind.__name__}"):
        asyncio.run(enter())
