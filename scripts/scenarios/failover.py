"""A primary that is killed, hangs or restarts under load, again and again, while Sentinels promote its replicas."""

from __future__ import annotations

import time
from bisect import bisect
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from zerograph_redis import RedisSaver

from .deployment import REPLICAS, Deployment
from .outcome import Outcome, judge_writes
from .pool import WorkerPool


@dataclass(frozen=True)
class Setting:
    """A failure of the primary, and the options that protect against it."""

    failure: str
    """A method of `Deployment`."""
    replicas: int = 0
    """The saver's `wait_replicas`."""
    servers: dict[str, str] = field(default_factory=dict)
    """Options of the servers."""

    @property
    def is_safe(self) -> bool:
        """Whether no acknowledged write may be lost: all servers have it, and no primary restarts without it."""
        return self.replicas >= REPLICAS and (self.failure != "restart" or self.servers.get("appendonly") == "yes")

    def __str__(self) -> str:
        """The name in the table."""
        return ", ".join(
            (f"{self.failure} wait_replicas={self.replicas}", *(f"{n} {v}" for n, v in self.servers.items()))
        )


KILLS = [Setting("kill", replicas) for replicas in range(REPLICAS + 1)]
STALLS = [
    *(Setting("stall", replicas) for replicas in range(REPLICAS + 1)),
    *(Setting("stall", servers={"min-replicas-to-write": str(replicas)}) for replicas in range(1, REPLICAS + 1)),
]
RESTARTS = [Setting("restart", REPLICAS, {"appendonly": kept}) for kept in ("no", "yes")]


def fail_over(
    directory: Path, seconds: float, setting: Setting, *, workers: int = 8, times: int | None = None
) -> Outcome:
    """Make the primary fail for so many *seconds*, or so many *times*, while workers write."""
    outcome = Outcome(str(setting))
    failures: list[float] = []
    with ExitStack() as stack:
        options = (word for name, value in setting.servers.items() for word in (f"--{name}", value))
        deployment = Deployment(directory, stack, *options)
        task = {"kind": "write", "url": deployment.url, "prefix": "p", "options": {"wait_replicas": setting.replicas}}
        pool = stack.enter_context(WorkerPool(directory / "pool", workers, **task))
        outcome.promise("workers start", kept=pool.wait_until_all_wrote())
        end = time.monotonic() + seconds
        continued = True
        while continued and (len(failures) < times if times is not None else time.monotonic() < end):
            time.sleep(0.5)
            failures.append(time.time())
            getattr(deployment, setting.failure)()
            deployment.settle()
            continued = pool.wait_until_all_wrote()
        outcome.broken += pool.shut_down()
        entries = list(pool.entries())
        deployment.settle()
        with RedisSaver.from_url(deployment.url, prefix="p") as saver:
            judged = judge_writes(outcome, saver, entries)
        unnecessary = deployment.failovers() - (len(failures) if setting.failure != "restart" else 0)
    outcome.injected = len(failures)
    outcome.notes += [_errors(entries), f"longest pause {_longest_pause(entries):.1f} s"]
    if judged.lost:
        after = Counter(bisect(failures, moment) for moment in judged.lost)
        outcome.notes.append(f"at most {max(after.values()):,} lost at once")
    if unnecessary > 0:
        outcome.notes.append(f"{unnecessary} unnecessary failovers")
    outcome.promise("workers continue by themselves", kept=continued)
    outcome.promise("checkpoints are stored as they were written", kept=judged.wrong == 0)
    outcome.promise("no thread forks", kept=outcome.forks == 0)
    if setting.is_safe:
        outcome.promise("no acknowledged write is lost", kept=outcome.lost == 0)
    return outcome


def _errors(entries: list[list[Any]]) -> str:
    """How often each error reached the user."""
    failed = Counter(each[3].partition(":")[0] for each in entries if each[0] == "failed")
    if unconfirmed := sum(each[0] == "unconfirmed" for each in entries):
        failed["unconfirmed"] = unconfirmed
    return ", ".join(f"{count} {name}" for name, count in failed.items()) or "no errors"


def _longest_pause(entries: list[list[Any]]) -> float:
    """The longest time in seconds between two puts of a worker."""
    puts: dict[str, list[float]] = {}
    for each in entries:
        if each[0] == "put":
            puts.setdefault(each[-2], []).append(each[-1])
    return max((later - earlier for times in puts.values() for earlier, later in pairwise(times)), default=0.0)
