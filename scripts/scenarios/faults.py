"""Connections that are dropped at random under load, also between a request and its reply."""

from __future__ import annotations

import random
import time
from pathlib import Path

from support.polling import repeat_for
from support.proxy import AFTER, BEFORE, HALF, TRUNCATE, Proxy
from support.servers import RedisServer

from zerograph_redis import RedisSaver

from .outcome import Outcome, judge_writes
from .pool import WorkerPool

ENOUGH = 20  # faults: with fewer a run proves little


def drop_connections(directory: Path, seconds: float, *, workers: int = 3, share: float = 0.05) -> Outcome:
    """Have workers write through a proxy that drops a *share* of all requests or replies; their clients retry."""
    outcome = Outcome("faults")
    with RedisServer(directory / "redis") as server, Proxy(server.port) as proxy:
        proxy.disturb(share, (BEFORE, HALF, AFTER, TRUNCATE), random.randrange(2**32))
        task = {"kind": "write", "url": f"redis://127.0.0.1:{proxy.port}/0", "prefix": "p"}
        with WorkerPool(directory / "pool", workers, **task) as pool:
            outcome.promise("workers start", kept=pool.wait_until_all_wrote())
            for _ in repeat_for(seconds, lambda: proxy.faults.total() >= ENOUGH):
                time.sleep(0.1)
            outcome.broken += pool.shut_down()
            entries = list(pool.entries())
        outcome.injected = proxy.faults.total()
        with RedisSaver.from_url(server.url, prefix="p") as saver:
            wrong = judge_writes(outcome, saver, entries).wrong
    failed = sum(each[0] == "failed" for each in entries)
    outcome.notes.append(f"{wrong} wrong, {failed} errors")
    outcome.promise("no acknowledged write is lost", kept=outcome.lost == 0)
    outcome.promise("each checkpoint is stored once, as it was written", kept=wrong == 0 and outcome.forks == 0)
    outcome.promise("no error reaches the user", kept=failed == 0)
    return outcome
