"""Calls and lease blocks that are interrupted at random moments, and processes that are killed while they put."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fakeredis
from support.blocks import check_nothing_left
from support.interrupted import interrupt_sqlite
from support.interrupted_calls import AWAITED, SETTINGS
from support.interrupts import alarms, interrupt_after
from support.servers import RedisServer
from support.sites import WRONG_RESULTS, open_site, run_interrupts, run_kills

from zerograph_redis import InMemorySaver, RedisSaver, SqliteSaver

from .outcome import Outcome

LONGEST = 0.004  # seconds until a signal: longer than a lease block takes
INTERRUPTS_PER_PROCESS = 1000
MOST_KILLS = 200


def divide(count: int) -> list[tuple[str, str, int]]:
    """Divide *count* interrupts: four of five are signals, and every setting gets the same number."""
    signals, cancellations = count * 4 // 5, count - count * 4 // 5
    return [
        *(("signals", each, -(-signals // len(SETTINGS))) for each in SETTINGS),
        *(("awaits", each, -(-cancellations // len(AWAITED))) for each in AWAITED),
    ]


def interrupt_calls(directory: Path, mode: str, setting: str, count: int) -> Outcome:
    """Interrupt *count* calls on a kind of client, by signals or by cancelled tasks; each process has its own seed."""
    outcome = Outcome(f"{mode}: {setting}")
    seen: Counter[str] = Counter()
    with ExitStack() as stack:
        site = open_site(setting, directory, stack)
        while outcome.injected < count:
            seed = random.randrange(2**31)
            most = min(INTERRUPTS_PER_PROCESS, count - outcome.injected)
            found = run_interrupts(mode, setting, site, most, seed)
            outcome.injected += found["interrupts"]
            seen += Counter(found.get("seen", {}))
            outcome.broken += [f"seed {seed}: {each}" for each in found["broken"]]
            if not found["interrupts"]:
                break
    outcome.operations, outcome.lost = seen["returned"] + seen["refused"], seen["lost"]
    outcome.acknowledged = seen["acknowledged"]
    outcome.found = outcome.acknowledged - outcome.lost
    outcome.notes.append(f"{sum(seen[each] for each in WRONG_RESULTS)} wrong results, {seen['refused']} refused")
    return outcome


def interrupt_savers(directory: Path, kind: str, count: int) -> Outcome:
    """Interrupt *count* operations of a SQLite or memory saver that OS threads and another process use too."""
    outcome = Outcome(f"{kind} interrupts")
    directory.mkdir()
    path = directory / "c.db" if kind == "sqlite" else None
    seed = random.randrange(2**32)
    with InMemorySaver() if path is None else SqliteSaver(path) as saver:
        seen = interrupt_sqlite(saver, path, count, seed)
    outcome.operations, outcome.injected = seen.operations, seen.interrupts
    outcome.acknowledged = outcome.found = seen.acknowledged
    outcome.notes.append(f"seed {seed}")
    outcome.broken += seen.broken
    return outcome


def interrupt_leases(directory: Path, kind: str, count: int) -> Outcome:
    """Interrupt *count* lease blocks, and check after each that no lease is left."""
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
            except Exception as error:  # noqa: BLE001 - it is reported
                outcome.broken.append(f"no lease outlives its block: {error!r}")
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


def kill_writers(directory: Path, kind: str, count: int) -> Outcome:
    """Kill *count* processes, at most 200, that put with ``durability="async"``: a prefix of their puts is stored."""
    outcome = Outcome(f"durability, {kind}")
    directory.mkdir()
    seed = random.randrange(2**31)
    with ExitStack() as stack:
        url = f"sqlite:///{directory}/c.db"
        if kind == "redis":
            url = stack.enter_context(RedisServer(directory / "redis")).url
        found = run_kills(url, min(count, MOST_KILLS), seed)
    seen = found["seen"]
    outcome.injected = seen.get("killed", 0)
    outcome.operations = outcome.acknowledged = seen.get("acknowledged", 0)
    outcome.found, outcome.lost = seen.get("found", 0), seen.get("lost", 0)
    outcome.notes.append(f"seed {seed}; lost writes were queued, and later than all that were found")
    outcome.broken += found["broken"]
    return outcome
