"""Puts that wait for replicas, on a real primary with a real replica."""

import asyncio
import os
import signal

import pytest

from zerograph_redis import AsyncRedisSaver, RedisSaver, ReplicationError

CONFIG = {"configurable": {"thread_id": "t"}}
STATE = {"id": "c", "channel_values": {"text": "x" * 2000}}


@pytest.fixture
def pair(new_server):
    """A primary and a replica that follows it."""
    primary, replica = new_server("--repl-diskless-sync-delay", "0"), new_server()
    with primary.client() as writer, replica.client() as reader:
        replica.follow(primary)
        yield primary, writer, reader


def test_a_put_that_returned_is_on_the_replica(pair):
    primary, _, reader = pair
    with RedisSaver.from_url(primary.url, wait_replicas=1, wait_timeout=4000) as saver:
        config = saver.put(CONFIG, STATE, {})
        assert RedisSaver(reader, refresh_on_read=False).get(CONFIG) == STATE
        saver.put_writes(config, [("", "a", 1)], "task")
        assert RedisSaver(reader, refresh_on_read=False).get_pending_writes(config) == [("task", "a", 1)]


def test_too_few_replicas_are_an_error_that_says_it_is_stored(pair):
    primary, _, _ = pair
    with RedisSaver.from_url(primary.url, wait_replicas=2, wait_timeout=50) as saver:
        with pytest.raises(ReplicationError, match=r"stored, but [01] of 2 replicas confirmed it within 50 ms"):
            saver.put(CONFIG, STATE, {})
        assert saver.get(CONFIG) == STATE
        with pytest.raises(ReplicationError, match="thread 't'"):
            saver.put_writes({"configurable": {"thread_id": "t", "checkpoint_id": "c"}}, [("", "a", 1)], "task")
        assert saver.get_tuple(CONFIG).pending_writes == [("task", "a", 1)]


def test_what_is_done_again_is_confirmed_no_sooner(pair):
    primary, _, reader = pair
    replica = reader.info("server")["process_id"]
    os.kill(replica, signal.SIGSTOP)
    written = {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}
    for _ in range(2):
        # Through another connection each time.
        with RedisSaver.from_url(primary.url, wait_replicas=1, wait_timeout=50) as saver:
            with pytest.raises(ReplicationError):
                saver.put(CONFIG, STATE, {})
            with pytest.raises(ReplicationError):
                saver.put_writes(written, [("", "a", 1)], "task")
    os.kill(replica, signal.SIGCONT)
    with RedisSaver.from_url(primary.url, wait_replicas=1, wait_timeout=4000) as saver:
        saver.put(CONFIG, STATE, {})
    assert RedisSaver(reader, refresh_on_read=False).get_pending_writes(written) == [("task", "a", 1)]


def test_the_awaited_methods_wait_too(pair):
    primary, writer, _ = pair

    async def main():
        async with AsyncRedisSaver.from_url(primary.url, wait_replicas=1, wait_timeout=4000) as saver:
            await saver.aput(CONFIG, STATE, {})
            writer.script_flush()
            await saver.aput(CONFIG, STATE | {"id": "d"}, {})
        async with AsyncRedisSaver.from_url(primary.url, wait_replicas=9, wait_timeout=50) as saver:
            with pytest.raises(ReplicationError):
                await saver.aput(CONFIG, STATE, {})
            assert len(await saver.alist(CONFIG)) == 2

    asyncio.run(main())


@pytest.mark.parametrize("options", [{"wait_replicas": -1}, {"wait_replicas": True}, {"wait_timeout": 0}])
def test_senseless_numbers_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RedisSaver.from_url("redis://localhost", **options)
