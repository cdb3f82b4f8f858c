"""Workers that take turns on threads while some stand still for longer than their lease, and some are killed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.servers import RedisServer

from zerograph_redis import LeaseError, RedisSaver

from .crew import Crew
from .outcome import Outcome, forks
from .patience import PATIENCE, going_on

__all__ = ("take_turns",)

TTL = 1.0  # seconds that a lease outlives a worker


def take_turns(directory: Path, seconds: float, *, leased: bool, workers: int = 4, threads: int = 200) -> Outcome:
    """Count what became of the threads; with leases, each must be one chain with each step once."""
    outcome = Outcome("leases" if leased else "no leases")
    with RedisServer(directory / "redis") as server:
        task = {"kind": "turns", "url": server.url, "prefix": "p", "leased": leased, "ttl": TTL, "threads": threads}
        with Crew(directory / "crew", workers, **task) as crew:
            outcome.promise("workers begin", kept=crew.stores())
            _harm(crew, seconds, _refused if leased else _repeated)
            for failure in crew.dismiss():
                outcome.promise(failure, kept=False)
            entries = list(crew.entries())
        outcome.injected = crew.killed + crew.stopped
        outcome.notes.append(f"{crew.stopped} stopped, {crew.killed} killed")
        _judge(outcome, server, entries, threads, leased=leased)
    return outcome


def _harm(crew: Crew, seconds: float, shown: Callable[[Crew], bool]) -> None:
    """Stop and kill workers for so long, and longer until both were done and the log shows what comes of it."""
    dice = random.Random()
    standing: dict[int, float] = {}
    for _ in going_on(seconds, lambda: crew.killed > 0 and crew.stopped > 0 and shown(crew)):
        now = time.monotonic()
        for place in [place for place, until in standing.items() if until <= now]:
            crew.go_on(place)
            del standing[place]
        place = dice.randrange(len(crew.workers))
        # One goes on always: a thread that everybody left shows nothing. Neither does one who has not begun.
        if place not in standing and len(standing) < len(crew.workers) - 1 and crew.is_at_work(place):
            if (crew.stopped + crew.killed) % 3 < 2:
                crew.stop(place)
                standing[place] = now + TTL * dice.uniform(1.2, 2)
            else:
                crew.kill(place)
        time.sleep(dice.uniform(0.2, 0.8))


def _refused(crew: Crew) -> bool:
    """Whether a worker came back too late to write."""
    return any(kind == "refused" for kind, *_ in crew.entries())


def _repeated(crew: Crew) -> bool:
    """Whether two workers stored the same step of a thread."""
    done = Counter((each[1], each[3]) for each in crew.entries() if each[0] == "stored")
    return any(count > 1 for count in done.values())


def _judge(outcome: Outcome, server: RedisServer, entries: list[list[Any]], threads: int, *, leased: bool) -> None:
    kinds = Counter(each[0] for each in entries)
    acknowledged = {(thread, name) for kind, thread, name, *_ in entries if kind == "stored"}
    found: set[tuple[str, str]] = set()
    worked = chains = steps = twice = stuck = 0
    with RedisSaver.from_url(server.url, prefix="p") as saver:
        for number in range(threads):
            thread = f"thread-{number}"
            history = saver.list({"configurable": {"thread_id": thread}}, limit=None)
            found |= {(thread, each.checkpoint["id"]) for each in history}
            outcome.forks += forks(history)
            steps += len(history)
            twice += len(history) - len({each.metadata["step"] for each in history})
            worked += bool(history)
            chains += bool(history) and _is_chain(history)
            if leased:
                stuck += _is_stuck(saver, thread)
    outcome.operations = len(entries)
    outcome.acknowledged, outcome.found = len(acknowledged), len(acknowledged & found)
    outcome.lost = len(acknowledged - found)
    outcome.notes.append(f"{chains} of {worked} threads are one chain, {twice:,} of {steps:,} steps stored again")
    outcome.promise("nothing acknowledged is lost", kept=outcome.lost == 0)
    if leased:
        outcome.notes.append(f"{kinds['refused']} late writers refused")
        outcome.promise("late writers are refused", kept=kinds["refused"] > 0)
        outcome.promise("each history is one chain", kept=chains == worked > 0 == outcome.forks)
        outcome.promise("each step is stored once", kept=twice == 0)
        outcome.promise("no thread is stuck", kept=stuck == 0)
    else:
        outcome.promise("the same without leases shows forks", kept=outcome.forks > 0)


def _is_stuck(saver: RedisSaver, thread: str) -> bool:
    """Whether a thread cannot be taken and written to, when the leases of all who died are over."""
    try:
        with saver.lease(thread, 60, wait=PATIENCE) as lease:
            saver.put(lease.config(), {"channel_values": {"steps": []}}, {})
    except LeaseError:
        return True
    return False


def _is_chain(history: list[Any]) -> bool:
    """Whether each checkpoint's parent is the one before, and its steps are all up to its own."""
    for place, each in enumerate(history):
        older = history[place + 1] if place + 1 < len(history) else None
        parent = each.parent_config and each.parent_config["configurable"]["checkpoint_id"]
        if parent != (older and older.checkpoint["id"]):
            return False
        if each.checkpoint["channel_values"]["steps"] != list(range(len(history) - place)):
            return False
    return True
