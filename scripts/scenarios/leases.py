"""Workers that take turns on threads while some stand still for longer than their lease, and some are killed."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from support.servers import RedisServer

from zerograph_redis import LeaseHeldError, RedisSaver

from .crew import Crew
from .outcome import Outcome, forks

__all__ = ("take_turns",)

TTL = 1.0  # seconds that a lease outlives a worker


def take_turns(directory: Path, seconds: float, *, leased: bool, workers: int = 4, threads: int = 200) -> Outcome:
    """Count what became of the threads; with leases, each must be one chain with each step once."""
    outcome = Outcome("leases" if leased else "no leases")
    with RedisServer(directory / "redis") as server:
        task = {"kind": "turns", "url": server.url, "prefix": "p", "leased": leased, "ttl": TTL, "threads": threads}
        with Crew(directory / "crew", workers, **task) as crew:
            outcome.promise("workers begin", kept=crew.working())
            _harm(crew, seconds)
            for failure in crew.dismiss():
                outcome.promise(failure, kept=False)
            entries = list(crew.entries())
            outcome.injected = crew.killed + crew.stopped
            outcome.notes.append(f"{crew.stopped} stopped, {crew.killed} killed")
        _judge(outcome, server, entries, threads, leased=leased)
    return outcome


def _harm(crew: Crew, seconds: float) -> None:
    dice = random.Random()
    end = time.monotonic() + seconds
    standing: dict[int, float] = {}
    while (now := time.monotonic()) < end:
        for place in [place for place, until in standing.items() if until <= now]:
            crew.go_on(place)
            del standing[place]
        place = dice.randrange(len(crew.workers))
        # One goes on always: a thread that everybody left shows nothing.
        if place not in standing and len(standing) < len(crew.workers) - 1:
            if dice.random() < 0.7:
                crew.stop(place)
                standing[place] = now + TTL * dice.uniform(1.2, 2)
            else:
                crew.kill(place)
        time.sleep(dice.uniform(0.1, 0.5))


def _judge(outcome: Outcome, server: RedisServer, entries: list[list], threads: int, *, leased: bool) -> None:
    kinds = Counter(each[0] for each in entries)
    acknowledged = {(thread, name) for kind, thread, name, *_ in entries if kind == "stored"}
    found: set[tuple[str, str]] = set()
    chains = twice = stuck = 0
    with RedisSaver.from_url(server.url, prefix="p") as saver:
        for number in range(threads):
            thread = f"thread-{number}"
            config = {"configurable": {"thread_id": thread}}
            history = saver.list(config, limit=None)
            found |= {(thread, each.checkpoint["id"]) for each in history}
            outcome.forks += forks(history)
            steps = [each.metadata["step"] for each in history]
            twice += len(steps) - len(set(steps))
            chains += _is_chain(history)
            if leased:
                try:
                    with saver.lease(thread, TTL, wait=TTL + 1) as lease:
                        saver.put(lease.config(), {"channel_values": {"steps": []}}, {})
                except LeaseHeldError:
                    stuck += 1
    outcome.operations = sum(kinds.values())
    outcome.acknowledged, outcome.found = len(acknowledged), len(found)
    outcome.lost = len(acknowledged - found)
    outcome.notes.append(f"{kinds['refused']} late writers refused" if leased else f"{twice} steps stored again")
    outcome.promise("nothing acknowledged is lost", kept=outcome.lost == 0)
    if leased:
        outcome.promise("each history is one chain", kept=chains == threads and outcome.forks == 0)
        outcome.promise("each step is stored once", kept=twice == 0)
        outcome.promise("no thread is stuck", kept=stuck == 0)


def _is_chain(history: list) -> bool:
    """Whether each checkpoint's parent is the one before, and its steps are all up to its own."""
    for place, each in enumerate(history):
        older = history[place + 1] if place + 1 < len(history) else None
        parent = each.parent_config and each.parent_config["configurable"]["checkpoint_id"]
        if parent != (older and older.checkpoint["id"]):
            return False
        if each.checkpoint["channel_values"]["steps"] != list(range(len(history) - place)):
            return False
    return True
