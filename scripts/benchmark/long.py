"""A very long thread compared with short ones, and how long its scripts block the server."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import Any, Self

from .backends import OurRedis
from .measure import Clocks, Progress, Server, quiet
from .stepping import write
from .workloads import Scale, Small, config


def long(ours: OurRedis, scale: Scale, progress: Progress) -> dict[str, Any]:
    """One thread of very many checkpoints compared with threads of 100, and how long its scripts block the server."""
    server, worker = ours.server, ours.worker
    steps = Small().thread("long", 1)
    names = ("short", "long")
    shorts = [list(islice(Small().thread(f"short-{n}", n), 100 + scale.rounds // 10)) for n in range(10)]
    held: dict[str, Any] = {}
    progress(f"storing {scale.long_thread:,} checkpoints")
    with Held(server) as held["put"]:
        for step in islice(steps, scale.long_thread - 1):
            worker.put(step.parent, step.checkpoint, step.metadata)
    write(worker, list(islice(steps, 1)))
    for short in shorts:
        write(worker, short[:100])
    puts, gets, lists = (Clocks(names[0]) for _ in range(3))
    progress("put, get_tuple and list on both")
    with quiet(), Held(server) as held["put, get, list"]:
        for number in range(scale.rounds):
            short = shorts[number % 10]
            if 100 + number // 10 < len(short):
                pair = dict(zip(names, (short[100 + number // 10], next(steps)), strict=True))
                puts.run({n: partial(worker.put, s.parent, s.checkpoint, s.metadata) for n, s in pair.items()})
            both = dict(zip(names, (config(short[0].thread), config("long")), strict=True))
            gets.run({n: partial(worker.get_tuple, each) for n, each in both.items()})
            lists.run({n: partial(worker.list, each, limit=10) for n, each in both.items()})
    keys = {"100": server.keys(shorts[0][0].thread), str(scale.long_thread): server.keys("long")}
    progress("prune(keep=10)")
    with Held(server) as held["prune"]:
        begin = time.perf_counter()
        removed = worker.prune("long", 10)
        pruned = time.perf_counter() - begin
    with Held(server) as machine:
        # As many scripts of about the same length that touch no data: the noise of a busy machine.
        sha = server.client.script_load("local sum = 0 for i = 1, 10000 do sum = sum + i end return sum")
        for _ in range(scale.long_thread):
            server.client.evalsha(sha, 0)
    left = len(worker.list(config("long"), limit=None))
    if left != 10 or removed != scale.long_thread + len(puts.waited.times["long"]) - 10:
        raise AssertionError(f"prune removed {removed}, and left {left}")
    return {
        "checkpoints": scale.long_thread,
        "put": puts.waited.summary(),
        "newest/same": gets.waited.summary(),
        "list_10/same": lists.waited.summary(),
        "prune_seconds": round(pruned, 2),
        "held": {name: each.found for name, each in held.items()},
        "held_by_machine": machine.found,
        "keys": keys,
    }


class Held:
    """How long scripts blocked the server in the block, by its own clock, which includes the noise of a busy machine."""

    def __init__(self, server: Server) -> None:
        """Measure on *server*."""
        self._client = server.client
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Start to measure."""
        self._client.config_set("latency-tracking", "yes")
        self._client.config_set("latency-tracking-info-percentiles", "50 99 99.9 100")
        self._client.config_resetstat()
        return self

    def __exit__(self, *error: object) -> None:
        """Read the µs by percentile; the last is the longest."""
        stats = self._client.info("latencystats")
        self._client.config_set("latency-tracking", "no")
        for name, found in stats.items():
            if name == "latency_percentiles_usec_evalsha":
                self.found = {percentile: float(value) for percentile, value in found.items()}
