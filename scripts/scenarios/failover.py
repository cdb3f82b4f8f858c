"""A primary that is killed, stands still or restarts under load, again and again, while Sentinels promote its replicas."""

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

from .crew import Crew
from .outcome import Outcome
from .site import REPLICAS, Site
from .writing import judge_writing

__all__ = ("KILLS", "RESTARTS", "STALLS", "Setting", "fail_over")


@dataclass(frozen=True)
class Setting:
    """What befalls the primary, and what is to make it harmless."""

    harm: str
    """A method of `Site`."""
    replicas: int = 0
    """How many confirm a write: the saver's `wait_replicas`."""
    servers: dict[str, str] = field(default_factory=dict)
    """Options of the servers."""

    @property
    def promises(self) -> bool:
        """Whether nothing acknowledged may be lost: all have it, and none comes back as the primary without it."""
        return self.replicas >= REPLICAS and (self.harm != "restart" or self.servers.get("appendonly") == "yes")

    def __str__(self) -> str:
        """Spell it for the table."""
        return ", ".join((f"{self.harm} wait_replicas={self.replicas}", *(f"{n} {v}" for n, v in self.servers.items())))


KILLS = [Setting("kill", replicas) for replicas in range(REPLICAS + 1)]
STALLS = [
    *(Setting("stall", replicas) for replicas in range(REPLICAS + 1)),
    *(Setting("stall", servers={"min-replicas-to-write": str(replicas)}) for replicas in range(1, REPLICAS + 1)),
]

RESTARTS = [Setting("restart", REPLICAS, {"appendonly": kept}) for kept in ("no", "yes")]


def fail_over(
    directory: Path, seconds: float, setting: Setting, *, workers: int = 8, times: int | None = None
) -> Outcome:
    """Harm the primary as often as there is time for, or so many *times*, while workers write."""
    outcome = Outcome(str(setting))
    harmed: list[float] = []
    with ExitStack() as stack:
        site = Site(
            directory, stack, *(word for name, value in setting.servers.items() for word in (f"--{name}", value))
        )
        task = {"kind": "write", "url": site.url, "prefix": "p", "options": {"wait_replicas": setting.replicas}}
        crew = stack.enter_context(Crew(directory / "crew", workers, **task))
        outcome.promise("workers begin", kept=crew.stores())
        end = time.monotonic() + seconds
        going = True
        while going and (len(harmed) < times if times is not None else time.monotonic() < end):
            time.sleep(0.5)
            harmed.append(time.time())
            getattr(site, setting.harm)()
            site.settle()
            going = crew.stores()
        for failure in crew.dismiss():
            outcome.promise(failure, kept=False)
        entries = list(crew.entries())
        site.settle()
        with RedisSaver.from_url(site.url, prefix="p") as saver:
            judged = judge_writing(outcome, saver, entries)
        unasked = site.failovers() - (len(harmed) if setting.harm != "restart" else 0)
    outcome.injected = len(harmed)
    outcome.notes += [_errors(entries), f"longest pause {_longest_pause(entries):.1f} s"]
    if judged.lost:
        after = Counter(bisect(harmed, moment) for moment in judged.lost)
        outcome.notes.append(f"at most {max(after.values()):,} lost at once")
    if unasked > 0:
        outcome.notes.append(f"{unasked} failovers without need")
    outcome.promise("workers go on by themselves", kept=going)
    outcome.promise("what is there is as it was written", kept=judged.wrong == 0)
    outcome.promise("no thread forks", kept=outcome.forks == 0)
    if setting.promises:
        outcome.promise("nothing acknowledged is lost", kept=outcome.lost == 0)
    return outcome


def _errors(entries: list[list[Any]]) -> str:
    """How often which error reached the user."""
    failed = Counter(each[3].partition(":")[0] for each in entries if each[0] == "failed")
    if unconfirmed := sum(each[0] == "unconfirmed" for each in entries):
        failed["unconfirmed"] = unconfirmed
    return ", ".join(f"{count} {name}" for name, count in failed.items()) or "no errors"


def _longest_pause(entries: list[list[Any]]) -> float:
    """The longest time in seconds that a worker stored nothing."""
    stored: dict[str, list[float]] = {}
    for each in entries:
        if each[0] == "stored":
            stored.setdefault(each[-2], []).append(each[-1])
    return max((later - earlier for times in stored.values() for earlier, later in pairwise(times)), default=0.0)
