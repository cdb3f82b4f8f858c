"""Calls on SQLite and memory that a signal handler or a cancelled task interrupts: nothing stays locked or half done."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from support.blocks import cancelled_at
from support.data import at, fill, state
from support.interrupted import interrupt_sqlite
from support.interrupts import Interrupted, interrupt_at
from support.sizes import scaled

from zerograph_redis import AsyncSqliteSaver, BackendUnavailableError, InMemorySaver, SqliteSaver, fork_hooks

CALLS = {
    "put": lambda saver: saver.put(at(id="c2"), state("new", text="x" * 3000), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="c0"), [("t", "a", 1), ("t", "b", 2)], ""),
    "get_tuple": lambda saver: saver.get_tuple(at()),
    "list": lambda saver: saver.list(at()),
    "prune": lambda saver: saver.prune("thread", 1),
    "delete_thread": lambda saver: saver.delete_thread("thread"),
    "copy_thread": lambda saver: saver.copy_thread("thread", "copy"),
    "list_threads": lambda saver: saver.list_threads(),
    "break_lease": lambda saver: saver.break_lease("thread"),
}


@pytest.fixture(params=["memory", "sqlite"])
def opened(request, tmp_path, monkeypatch):
    """Opens savers, and checks from outside whether anything is locked."""
    monkeypatch.setattr("zerograph_redis.backends.sqlite.connections.BUSY_TIMEOUT", 20)
    return Opened(tmp_path if request.param == "sqlite" else None)


class Opened:
    def __init__(self, directory):
        self.directory = directory
        self.path = None
        self._made = 0
        self._pool = ThreadPoolExecutor(1)

    def open(self):
        self._made += 1
        if self.directory is None:
            return InMemorySaver()
        self.path = self.directory / f"{self._made}.db"
        return SqliteSaver(self.path)

    def check_free(self, saver):
        """Check that nothing is locked: for another connection to the file, for another OS thread, and here."""
        if self.path is not None:
            other = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            other.close()
        self._pool.submit(saver.put, at("beside"), state("c0"), {}).result(20)
        saver.put(at(), state("after"), {})
        assert saver.get(at())["id"] == "after"


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_is_interrupted_anywhere_leaves_nothing_locked_and_nothing_half_done(opened, name):
    number, hit = 0, True
    while hit:
        with opened.open() as saver:
            fill(saver, 3)
            saver.put_writes(at(id="c0"), [("t", "a", 0)], "")
            hit = interrupt_at(number, lambda saver=saver: CALLS[name](saver))
            for each in saver.list(at()):
                step = each.checkpoint["id"]
                assert each.checkpoint == (
                    state("new", text="x" * 3000) if step == "new" else state(step, n=int(step[1]))
                )
            assert saver.get_pending_writes(at(id="c0")) in (
                [("t", "a", 0)], [("t", "a", 1), ("t", "b", 2)], []
            )  # fmt: skip
            opened.check_free(saver)
        # Interrupt at each of the first points, then at every 11th, since there are many.
        number += 1 if number < 30 else 11
    assert number > 20


def test_opening_that_is_interrupted_anywhere_leaves_a_file_that_can_be_opened(opened):
    number = 0
    while interrupt_at(number, opened.open):
        if opened.path is not None:
            with SqliteSaver(opened.path) as saver:
                opened.check_free(saver)
        number += 1


def test_a_fork_that_is_interrupted_anywhere_leaves_nothing_locked(opened):
    with opened.open() as saver:
        opened.check_free(saver)
        number = 0
        while interrupt_at(number, around_a_fork):
            opened.check_free(saver)
            number += 1
        assert number > 10


def around_a_fork():
    """Run our fork hooks as Python does in a parent: the next hook runs whatever the one before raised."""
    for hook in (fork_hooks._before, *[partial(fork_hooks._after, child=False)] * 2):
        try:
            hook()
        except Interrupted:
            pass


@pytest.mark.parametrize("seed", range(2))
def test_signals_at_random_moments_lose_nothing_that_was_acknowledged(opened, seed):
    with opened.open() as saver:
        seen = interrupt_sqlite(saver, opened.path, scaled(250), seed)
        assert seen.broken == []
        assert seen.interrupts > 0 < seen.acknowledged


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_task_that_is_cancelled_anywhere_leaves_nothing_locked(kind, tmp_path):
    saver = InMemorySaver() if kind == "memory" else AsyncSqliteSaver(tmp_path / "c.db")

    async def work():
        config = await saver.aput(at("cancelled"), state("c0", text="x" * 3000), {})
        await saver.aput_writes(config, [("t", "a", 1)], "")
        await saver.aget_tuple(config)
        await saver.aprune("cancelled", 1)
        await saver.adelete_thread("cancelled")

    async def main():
        number = 0
        while await cancelled_at(number, work):
            await saver.aput(at(), state(f"c{number}"), {})
            assert (await saver.aget(at()))["id"] == f"c{number}"
            number += 1
        assert number >= 5
        if kind == "sqlite":
            other = sqlite3.connect(tmp_path / "c.db", timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            other.close()
        await saver.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("kind", [SqliteSaver, AsyncSqliteSaver, InMemorySaver])
def test_a_saver_that_was_closed_refuses_every_thread(kind, tmp_path):
    saver = kind() if kind is InMemorySaver else kind(tmp_path / "c.db")
    used, closed, found = threading.Barrier(4), threading.Event(), []

    def use():
        saver.put(at(), state("c0"), {})
        used.wait(20)
        closed.wait(20)
        for name in ("put", "get_tuple", "list", "list_threads"):
            try:
                CALLS[name](saver)
            except BackendUnavailableError as error:
                found.append("was closed" in str(error))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for each in threads:
        each.start()
    used.wait(20)
    saver.close()
    closed.set()
    for each in threads:
        each.join()
    use_of = threading.Thread(target=lambda: found.append(refused(saver)))
    use_of.start()
    use_of.join()
    assert found == [True] * 13
    assert refused(saver)
    saver.close()
    if hasattr(saver, "aget_tuple"):
        with pytest.raises(BackendUnavailableError, match="was closed"):
            asyncio.run(saver.aget_tuple(at()))


def refused(saver):
    try:
        saver.put(at(), state("c1"), {})
    except BackendUnavailableError:
        return True
    return False
