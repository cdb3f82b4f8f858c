"""A worker that real signals interrupt at random moments: on SQLite and memory, and in the blocks of leases."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fakeredis
from support.blocks import check_nothing_left
from support.interrupted import interrupt_sqlite
from support.interrupts import alarms, interrupt_after
from support.servers import RedisServer

from zerograph_redis import InMemorySaver, RedisSaver, SqliteSaver

from .outcome import Outcome

__all__ = ("interrupt_leases", "interrupt_stores")

LONGEST = 0.004  # seconds until a signal, in which a block is entered and left


def interrupt_stores(directory: Path, kind: str, count: int) -> Outcome:
    """Interrupt so many operations of one saver, beside OS threads and another process."""
    outcome = Outcome(f"{kind} interrupts")
    directory.mkdir()
    path = directory / "c.db" if kind == "sqlite" else None
    seed = random.randrange(2**32)
    with InMemorySaver() if path is None else SqliteSaver(path) as saver:
        seen = interrupt_sqlite(saver, path, count, seed)
    outcome.operations, outcome.injected = seen.operations, seen.interrupts
    outcome.acknowledged = outcome.found = seen.acknowledged
    outcome.notes.append(f"seed {seed}")
    for each in seen.broken:
        outcome.promise(each, kept=False)
    return outcome


def interrupt_leases(directory: Path, kind: str, count: int) -> Outcome:
    """Interrupt so many blocks of leases, and look after each whether anything outlived it."""
    outcome = Outcome(f"lease interrupts, {kind}")
    directory.mkdir()
    dice = random.Random()
    with ExitStack() as stack:
        saver = stack.enter_context(_open(stack, kind, directory))
        stack.enter_context(alarms())
        for _ in range(count):
            outcome.operations += 1
            try:
                outcome.injected += interrupt_after(dice.uniform(1e-6, LONGEST), lambda: _hold(saver))
                check_nothing_left(saver)
            except Exception as error:  # noqa: BLE001 - it is told
                outcome.promise(f"nothing outlives a block: {error!r}", kept=False)
                break
    return outcome


def _hold(saver: Any) -> None:
    with saver.lease("thread", ttl=60):
        pass


def _open(stack: ExitStack, kind: str, directory: Path) -> Any:
    if kind == "memory":
        return InMemorySaver()
    if kind == "sqlite":
        return SqliteSaver(directory / "c.db")
    if kind == "fakeredis":
        return RedisSaver(fakeredis.FakeRedis(server=fakeredis.FakeServer(version=(7,))))
    return RedisSaver.from_url(stack.enter_context(RedisServer(directory / "redis")).url, prefix="p")
