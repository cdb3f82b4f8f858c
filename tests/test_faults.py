"""Outages and damage: each the right error, which names the thread, with the driver's error as its cause."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
import redis.asyncio
import zerograph
from support.data import at, everything, fill, ids, state, thread_ids
from support.polling import until
from support.servers import NO_RETRY, free_port
from support.stores import REDIS_STORES, make_store

import zerograph_redis
from zerograph_redis import (
    AsyncRedisSaver,
    BackendUnavailableError,
    CheckpointError,
    CorruptCheckpointError,
    RedisSaver,
    SqliteSaver,
)

CALLS = {
    "get_tuple": lambda saver: saver.get_tuple(at()),
    "get_tuple by id": lambda saver: saver.get_tuple(at(id="c0")),
    "get": lambda saver: saver.get(at()),
    "get_by_id": lambda saver: saver.get_by_id("c0", "thread"),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at(id="c0")),
    "list": lambda saver: saver.list(at()),
    "list filtered": lambda saver: saver.list(at(), filter={"step": 0}),
    "put": lambda saver: saver.put(at(), state("new"), {}),
    "put again": lambda saver: saver.put(at(), state("c0", again=True), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="c0"), [("t", "new", 1)], ""),
    "prune": lambda saver: saver.prune("thread", 1),
    "delete_thread": lambda saver: saver.delete_thread("thread"),
    "copy_thread": lambda saver: saver.copy_thread("thread", "thread too"),
    "copy_thread to": lambda saver: saver.copy_thread("source", "thread"),
    "list_threads": lambda saver: saver.list_threads(),
    "get_by_id of all": lambda saver: saver.get_by_id("c0"),
}
ACROSS = ("list_threads", "get_by_id of all")


def check(error, cause, *, names_thread=True):
    assert isinstance(error, CheckpointError)
    assert isinstance(error.__cause__, cause), repr(error.__cause__)
    if names_thread:
        assert "thread" in str(error).replace("a thread", "")
        assert "'thread" in str(error) or "'source'" in str(error)


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


def test_from_url_has_time_outs():
    saver = RedisSaver.from_url("redis://localhost:1/0")
    options = saver._client.connection_pool.connection_kwargs
    assert 0 < options["socket_timeout"] <= 60
    assert 0 < options["socket_connect_timeout"] <= 60
    saver.close()


def test_a_wrong_password_is_an_error_that_does_not_tell_it(new_server):
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


def test_a_saver_waits_for_a_server_that_comes_back_soon(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with RedisSaver.from_url(server.url) as saver:
        fill(saver, 1)
        server.stop()
        found = []
        reader = threading.Thread(target=lambda: found.append(saver.get(at())))
        reader.start()
        server.start()
        reader.join(timeout=20)
        assert found == [state("c0", n=0)]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_does_not_need_the_scripts_to_be_there(real_store, name):
    saver = real_store.open()
    fill(saver, 2)
    fill(saver, 1, "source")
    if name == "copy_thread to":
        saver.delete_thread("thread")
    real_store.client().script_flush()
    CALLS[name](saver)


def test_connections_that_were_lost_in_between_are_made_anew(redis_server, real_store):
    with RedisSaver.from_url(redis_server.url, prefix=real_store.prefix) as saver:
        fill(saver, 1)
        for _ in range(3):
            real_store.client().client_kill_filter(_type="normal", skipme=True)
            assert saver.get(at()) == state("c0", n=0)
            real_store.client().client_kill_filter(_type="normal", skipme=True)
            saver.put(at(), state("c0", n=0), {})


TRUTHS = {name: CALLS[name] for name in ("get_tuple", "get_tuple by id", "get_pending_writes", "list", "get_by_id")}


@pytest.fixture(params=[name for name in REDIS_STORES if not name.startswith("cluster")])
def redis_store(request):
    """Every kind of Redis client but those of a cluster, which keeps a thread just as a single server does."""
    store = make_store(request.param, request)
    yield store
    store.close()


def stored_thread(store, *, writes):
    saver = store.open()
    fill(saver, 3)
    if writes:
        saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
        saver.put_writes(at(id="c2"), [("t", "a", 1)], "")
    return saver


def keys_of_the_thread(store):
    return sorted(key for key in store.all_keys() if b"{" in key)


@pytest.mark.parametrize("writes", [True, False], ids=["with-writes", "without-writes"])
@pytest.mark.parametrize("call", ["put", "put again", "put_writes"])
def test_a_thread_that_lost_a_key_refuses_writes(redis_store, call, writes):
    saver = stored_thread(redis_store, writes=writes)
    keys = keys_of_the_thread(redis_store)
    assert keys
    for key in keys:
        redis_store.client().delete(key)
        with pytest.raises(CorruptCheckpointError, match="'thread'") as caught:
            CALLS[call](saver)
        check(caught.value, redis.ResponseError)
        saver.delete_thread("thread")
        stored_thread(redis_store, writes=writes)


@pytest.mark.parametrize("writes", [True, False], ids=["with-writes", "without-writes"])
@pytest.mark.parametrize("call", TRUTHS)
def test_a_thread_that_lost_a_key_never_reads_as_something_else(redis_store, call, writes):
    saver = stored_thread(redis_store, writes=writes)
    truth = TRUTHS[call](saver)
    refused = 0
    for key in keys_of_the_thread(redis_store):
        redis_store.client().delete(key)
        try:
            # What does not need the lost key may still be told, if it is the truth.
            assert TRUTHS[call](saver) == truth, key
        except CorruptCheckpointError as error:
            assert "'thread'" in str(error)  # noqa: PT017 - either outcome is right
            refused += 1
        saver.delete_thread("thread")
        stored_thread(redis_store, writes=writes)
    assert refused >= (call != "get_pending_writes")


def test_a_list_of_a_thread_that_lost_a_key_is_always_refused(redis_store):
    saver = stored_thread(redis_store, writes=True)
    for key in keys_of_the_thread(redis_store):
        redis_store.client().delete(key)
        with pytest.raises(CorruptCheckpointError):
            saver.list(at())
        with pytest.raises(CorruptCheckpointError):
            saver.copy_thread("thread", "copy")
        with pytest.raises(CorruptCheckpointError):
            saver.prune("thread", 1)
        saver.delete_thread("thread")
        stored_thread(redis_store, writes=True)


def test_a_damaged_thread_can_be_deleted_and_written_anew(redis_store):
    saver = stored_thread(redis_store, writes=True)
    for key in keys_of_the_thread(redis_store):
        redis_store.client().delete(key)
        saver.delete_thread("thread")
        assert redis_store.all_keys() == []
        stored_thread(redis_store, writes=True)
        assert len(saver.list(at())) == 3


@pytest.mark.parametrize("call", ["put", "put_writes", "list", "get_tuple"])
def test_a_key_of_another_type_is_corruption(redis_store, call):
    saver = stored_thread(redis_store, writes=True)
    truth = saver.get_tuple(at())
    for key in keys_of_the_thread(redis_store):
        redis_store.client().set(key, "another program was here")
        try:
            found = CALLS[call](saver)
        except CorruptCheckpointError as error:
            check(error, redis.ResponseError)
        else:
            # What does not need the key may go on; the reads that need it say so.
            assert call.startswith("put") or found == truth
            with pytest.raises(CorruptCheckpointError):
                saver.list(at())
        redis_store.client().delete(key)
        saver.delete_thread("thread")
        stored_thread(redis_store, writes=True)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "not.db"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(CheckpointError, match=r"not\.db") as caught:
        SqliteSaver(path)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == b"this is no database" * 1000


def test_a_path_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "checkpoints.db", tmp_path / "missing" / "checkpoints.db", tmp_path):
        with pytest.raises(BackendUnavailableError) as caught:
            SqliteSaver(path)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert str(path) in str(caught.value)


def test_tables_that_were_dropped_are_an_error(tmp_path):
    with SqliteSaver(tmp_path / "c.db") as saver:
        fill(saver, 1)
        other = sqlite3.connect(tmp_path / "c.db")
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'zerograph_%'"
        for (name,) in other.execute(query).fetchall():
            other.execute(f'DROP TABLE "{name}"')
        other.commit()
        other.close()
        for name in ("get_tuple", "put", "put_writes", "list"):
            with pytest.raises(CheckpointError) as caught:
                CALLS[name](saver)
            check(caught.value, sqlite3.Error)


def test_a_saver_that_was_closed_refuses(tmp_path):
    for saver in (SqliteSaver(tmp_path / "c.db"), zerograph_redis.InMemorySaver()):
        saver.put(at(), state("c0"), {})
        saver.close()
        with pytest.raises(BackendUnavailableError, match="closed"):
            saver.get_tuple(at())
        with pytest.raises(BackendUnavailableError, match="closed"):
            saver.put(at(), state("c1"), {})
        saver.close()


FULL = """
import resource, signal, sys
from zerograph_redis import BackendUnavailableError, SqliteSaver
config = {"configurable": {"thread_id": "thread"}}
saver = SqliteSaver(sys.argv[1])
saver.put(config, {"id": "c0"}, {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    saver.put(config, {"id": "c1", "text": "x" * 5_000_000}, {})
except BackendUnavailableError as error:
    print(type(error.__cause__).__name__, "'thread'" in str(error))
print([each.checkpoint["id"] for each in saver.list(config)])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
saver.put(config, {"id": "c2"}, {})
print([each.checkpoint["id"] for each in saver.list(config)])
"""


def test_a_file_that_cannot_grow_is_an_error_and_nothing_is_half_stored(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(zerograph_redis.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "full.db")],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["OperationalError True", "['c0']", "['c2', 'c0']"], done.stderr


def test_a_file_of_the_engines_own_saver_stays_intact_beside_our_tables(tmp_path):
    path = tmp_path / "shared.db"
    with zerograph.SqliteSaver(str(path)) as own:
        config = own.put(at(), state("own", n=1), {"source": "loop"})
        own.put_writes(config, [("t", "a", 1)], "")
        before = own.list(at())
    with SqliteSaver(path) as saver:
        assert saver.get_tuple(at()) is None
        assert thread_ids(saver) == []
        fill(saver, 3)
        saver.put_writes(at(id="c0"), [("t", "a", 2)], "")
        saver.prune("thread", 1)
        saver.copy_thread("thread", "copy")
        saver.delete_thread("thread")
    with zerograph.SqliteSaver(str(path)) as own:
        assert own.list(at()) == before
        own.put(at(), state("own too"), {})
    with SqliteSaver(path) as saver:
        assert ids(saver.list(at("copy"))) == ["c2"]


def test_both_savers_may_use_one_file_at_the_same_time(tmp_path):
    path = tmp_path / "shared.db"
    with SqliteSaver(path) as ours, zerograph.SqliteSaver(str(path)) as own:
        for number in range(20):
            ours.put(at(), state(f"ours{number}"), {})
            own.put(at(), state(f"own{number}") | {"ts": f"2024-01-01T00:00:{number:02}"}, {})
        assert ours.get(at())["id"] == "ours19"
        assert own.get(at())["id"] == "own19"


@pytest.mark.parametrize("name", ["fakeredis-sync", "redis-sync", "sqlite-sync", "memory-sync"])
def test_one_error_catches_them_all(name, request):
    store = make_store(name, request)
    saver = store.open()
    for wrong in (lambda: saver.get_tuple(at("")), lambda: saver.put(at(), state("c", x=object()), {})):
        with pytest.raises(CheckpointError):
            wrong()
    store.close()
