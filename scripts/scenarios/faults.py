"""Connections that are dropped at random under load, between a request and its reply too."""

from __future__ import annotations

import random
import time
from pathlib import Path

from support.proxy import AFTER, BEFORE, HALF, TRUNCATE, Proxy
from support.servers import RedisServer

from zerograph_redis import RedisSaver

from .crew import Crew
from .outcome import Outcome
from .patience import going_on
from .writing import judge_writing

__all__ = ("drop_connections",)

ENOUGH = 20  # faults that show something


def drop_connections(directory: Path, seconds: float, *, workers: int = 3, share: float = 0.05) -> Outcome:
    """Have workers write through a proxy that drops a *share* of all requests or replies; their clients repeat."""
    outcome = Outcome("faults")
    with RedisServer(directory / "redis") as server, Proxy(server.port) as proxy:
        proxy.disturb(share, (BEFORE, HALF, AFTER, TRUNCATE), random.randrange(2**32))
        task = {"kind": "write", "url": f"redis://127.0.0.1:{proxy.port}/0", "prefix": "p"}
        with Crew(directory / "crew", workers, **task) as crew:
            outcome.promise("workers begin", kept=crew.stores())
            for _ in going_on(seconds, lambda: proxy.faults.total() >= ENOUGH):
                time.sleep(0.1)
            for failure in crew.dismiss():
                outcome.promise(failure, kept=False)
            entries = list(crew.entries())
        outcome.injected = sum(proxy.faults.values())
        with RedisSaver.from_url(server.url, prefix="p") as saver:
            wrong = judge_writing(outcome, saver, entries).wrong
    failed = sum(each[0] == "failed" for each in entries)
    outcome.notes.append(f"{wrong} wrong, {failed} errors")
    outcome.promise("nothing acknowledged is lost", kept=outcome.lost == 0)
    outcome.promise("each is there once, and as it was written", kept=wrong == 0 and outcome.forks == 0)
    outcome.promise("no error reaches the user", kept=failed == 0)
    return outcome
