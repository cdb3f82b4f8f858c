"""Blocks of leases that are cut short, at every moment of entering, body and leaving: none outlives its block."""

from __future__ import annotations

import asyncio
import contextvars
import random
import sys

import fakeredis
import pytest
from support.blocks import cancelled_at, check_nothing_left, lease_threads
from support.data import at, state
from support.interrupts import Interrupted, alarms, interrupt_after, interrupt_at
from support.polling import until

from zerograph_redis import AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver, LeaseHeldError, RedisSaver, SqliteSaver

KINDS = ("memory", "sqlite", "fakeredis")


def make(kind, tmp_path, request, *, asynchronous=False):
    if kind == "memory":
        return InMemorySaver()
    if kind == "sqlite":
        return (AsyncSqliteSaver if asynchronous else SqliteSaver)(tmp_path / "c.db")
    if kind == "redis":
        return (AsyncRedisSaver if asynchronous else RedisSaver).from_url(request.getfixturevalue("new_server")().url)
    server = fakeredis.FakeServer(version=(7,))
    if asynchronous:
        return AsyncRedisSaver(fakeredis.FakeAsyncRedis(server=server), sync_client=fakeredis.FakeRedis(server=server))
    return RedisSaver(fakeredis.FakeRedis(server=server))


@pytest.fixture(params=KINDS)
def saver(request, tmp_path):
    made = make(request.param, tmp_path, request)
    made.put(at(), state("c0"), {})
    yield made
    made.close()


def hold(saver):
    with saver.lease("thread", ttl=60):
        pass


def test_a_block_that_is_interrupted_anywhere_leaves_nothing_held(saver):
    number = 0
    while interrupt_at(number, lambda: hold(saver)):
        check_nothing_left(saver)
        number += 1
    assert number > 30


def test_a_block_is_over_though_the_traceback_of_what_ended_it_is_kept(saver):
    kept = []

    def cut_short():
        with saver.lease("thread", ttl=60):
            sys.setprofile(raise_at_call)

    def raise_at_call(frame, event, argument):
        if event == "call":
            raise Interrupted

    try:
        cut_short()
    except Interrupted as error:
        kept.append(error)
    check_nothing_left(saver)
    assert kept[0].__traceback__.tb_next is not None


def test_entering_that_is_interrupted_while_it_waits_takes_nothing(saver):
    with alarms(), saver.lease("thread", ttl=60):
        waiting = saver.lease("thread", ttl=60, wait=60)
        assert interrupt_after(0.05, lambda: contextvars.Context().run(waiting.__enter__))
        until(lambda: len(lease_threads()) == 1)
    check_nothing_left(saver)


def test_signals_at_random_moments_leave_nothing_held(saver):
    dice = random.Random(1)
    interrupts = 0
    with alarms():
        for _ in range(60):
            interrupts += interrupt_after(dice.uniform(1e-5, 0.004), lambda: hold(saver))
            check_nothing_left(saver)
    assert interrupts > 5


@pytest.mark.parametrize("kind", [*KINDS, "redis"])
def test_a_block_whose_task_is_cancelled_anywhere_leaves_nothing_held(kind, request, tmp_path):
    saver = make(kind, tmp_path, request, asynchronous=True)

    async def work():
        async with saver.alease("thread", ttl=60) as lease:
            await saver.aput(lease.config(), state("in"), {})

    async def main():
        number = 0
        while await cancelled_at(number, work):
            await asyncio.to_thread(until, lambda: not lease_threads(), seconds=30)
            check_nothing_left(saver)
            number += 1
        assert number >= 3
        await saver.aclose()

    asyncio.run(main())


def test_a_cancelled_block_does_not_take_what_another_worker_holds(saver):
    if not hasattr(saver, "alease"):
        return

    async def work():
        async with saver.alease("thread", ttl=60, wait=60):
            pass

    async def main():
        with saver.lease("thread", ttl=60) as lease:
            assert await cancelled_at(0, lambda: contextvars.Context().run(work))
            await asyncio.to_thread(until, lambda: len(lease_threads()) == 1, seconds=30)
            with pytest.raises(LeaseHeldError):
                contextvars.Context().run(saver.put, at(), state("theirs"), {})
            saver.put(lease.config(), state("mine"), {})

    asyncio.run(main())
    check_nothing_left(saver)


def test_a_child_that_leaves_the_block_does_not_give_back_its_parents_lease(tmp_path):
    import os

    with SqliteSaver(tmp_path / "c.db") as saver:
        with saver.lease("thread", ttl=60) as lease:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    lease.__exit__(None, None, None)
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            with pytest.raises(LeaseHeldError):
                contextvars.Context().run(saver.put, at(), state("theirs"), {})
            saver.put(at(), state("mine"), {})
        check_nothing_left(saver)
