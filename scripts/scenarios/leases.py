"""Workers that take turns on threads while some are suspended for longer than their lease, and some are killed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.data import at, place
from support.polling import LONG, repeat_for
from support.servers import RedisServer

from zerograph_redis import LeaseError, RedisSaver

from .outcome import Outcome, count_forks
from .pool import WorkerPool

TTL = 1.0  # of a lease, in seconds


def take_turns(directory: Path, seconds: float, *, leased: bool, workers: int = 4, threads: int = 200) -> Outcome:
    """Check the threads in the end; with leases, each must be one chain that has each step once."""
    outcome = Outcome("leases" if leased else "no leases")
    with RedisServer(directory / "redis") as server:
        task = {"kind": "turns", "url": server.url, "prefix": "p", "leased": leased, "ttl": TTL, "threads": threads}
        with WorkerPool(directory / "pool", workers, **task) as pool:
            outcome.promise("workers start", kept=pool.wait_until_all_wrote())
            _disturb(pool, seconds, _refused if leased else _repeated)
            outcome.broken += pool.shut_down()
            entries = list(pool.entries())
        outcome.injected = pool.killed + pool.suspended
        outcome.notes.append(f"{pool.suspended} suspended, {pool.killed} killed")
        _judge(outcome, server, entries, threads, leased=leased)
    return outcome


def _disturb(pool: WorkerPool, seconds: float, shown: Callable[[WorkerPool], bool]) -> None:
    """Suspend and kill workers for so long, and longer until both happened and the logs show a consequence."""
    dice = random.Random()
    suspended: dict[int, float] = {}
    for _ in repeat_for(seconds, lambda: pool.killed > 0 and pool.suspended > 0 and shown(pool)):
        now = time.monotonic()
        for number in [number for number, until in suspended.items() if until <= now]:
            pool.resume(number)
            del suspended[number]
        number = dice.randrange(len(pool.workers))
        # One worker keeps running: without it, a late writer meets nobody.
        if number not in suspended and len(suspended) < len(pool.workers) - 1 and pool.has_logged(number):
            if (pool.suspended + pool.killed) % 3 < 2:
                pool.suspend(number)
                suspended[number] = now + TTL * dice.uniform(1.2, 2)
            else:
                pool.kill(number)
        time.sleep(dice.uniform(0.2, 0.8))


def _refused(pool: WorkerPool) -> bool:
    """Whether a worker resumed too late, and was refused."""
    return any(kind == "refused" for kind, *_ in pool.entries())


def _repeated(pool: WorkerPool) -> bool:
    """Whether two workers stored the same step of a thread."""
    done = Counter((each[1], each[3]) for each in pool.entries() if each[0] == "put")
    return any(count > 1 for count in done.values())


def _judge(outcome: Outcome, server: RedisServer, entries: list[list[Any]], threads: int, *, leased: bool) -> None:
    kinds = Counter(each[0] for each in entries)
    acknowledged = {(thread, name) for kind, thread, name, *_ in entries if kind == "put"}
    found: set[tuple[str, str]] = set()
    worked = chains = steps = twice = stuck = 0
    with RedisSaver.from_url(server.url, prefix="p") as saver:
        for number in range(threads):
            thread = f"thread-{number}"
            history = saver.list(at(thread), limit=None)
            found |= {(thread, each.checkpoint["id"]) for each in history}
            outcome.forks += count_forks(history)
            steps += len(history)
            twice += len(history) - len({each.metadata["step"] for each in history})
            worked += bool(history)
            chains += bool(history) and _is_chain(history)
            if leased:
                stuck += _is_stuck(saver, thread)
    outcome.operations = len(entries)
    outcome.acknowledged, outcome.found = len(acknowledged), len(acknowledged & found)
    outcome.lost = len(acknowledged - found)
    outcome.notes.append(f"{chains} of {worked} threads are one chain, {twice:,} of {steps:,} steps stored twice")
    outcome.promise("no acknowledged write is lost", kept=outcome.lost == 0)
    if leased:
        outcome.notes.append(f"{kinds['refused']} late writers refused")
        outcome.promise("late writers are refused", kept=kinds["refused"] > 0)
        outcome.promise("each history is one chain", kept=chains == worked > 0 == outcome.forks)
        outcome.promise("each step is stored once", kept=twice == 0)
        outcome.promise("no thread is stuck", kept=stuck == 0)
    else:
        outcome.promise("threads fork without leases", kept=outcome.forks > 0)


def _is_stuck(saver: RedisSaver, thread: str) -> bool:
    """Whether a thread cannot be leased and written to, once the leases of killed workers have expired."""
    try:
        with saver.lease(thread, 60, wait=LONG) as lease:
            saver.put(lease.config(), {"channel_values": {"steps": []}}, {})
    except LeaseError:
        return True
    return False


def _is_chain(history: list[Any]) -> bool:
    """Whether each checkpoint's parent is the one stored before it, and its state has every step up to its own."""
    for index, (each, older) in enumerate(zip(history, [*history[1:], None], strict=True)):
        parent = each.parent_config and place(each.parent_config)[2]
        if parent != (older and older.checkpoint["id"]):
            return False
        if each.checkpoint["channel_values"]["steps"] != list(range(len(history) - index)):
            return False
    return True
