"""A private server with its counters, times taken in rounds, and a check of what was read."""

from __future__ import annotations

import gc
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import redis

from .workloads import Step

BASE = "raw"
"""The name of the store that others are compared with."""
Figures = dict[str, Any]
Progress = Callable[[str], None]
"""Reports what is measured now."""
_COMMAND = Path(__file__).parent.parent / "redis"


class Counters(NamedTuple):
    """Counters of a server since its start."""

    received: int
    sent: int
    cpu: float
    scripts: int
    script_calls: int


@dataclass
class Meter:
    """What a server did in a block: bytes, µs of CPU time, and µs in scripts (by the clock)."""

    received: int = 0
    sent: int = 0
    cpu: float = 0.0
    scripts: float = 0.0
    script_calls: int = 0


class Server:
    """A private `redis-server` on a free loopback port, without persistence."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen([str(_COMMAND)], stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            sys.exit("A private redis-server did not start.")
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        # Both allocate memory at unpredictable moments.
        self.client.config_set("latency-tracking", "no")
        self.client.config_set("slowlog-log-slower-than", "-1")

    def close(self) -> None:
        """Stop it."""
        self.client.close()
        self._process.terminate()
        self._process.wait()

    def memory(self) -> int:
        """Bytes in use without those of clients, whose buffers follow the size of recent commands."""
        while self.client.info("memory").get("lazyfree_pending_objects", 0):
            time.sleep(0.01)
        with self.client.pipeline(transaction=False) as pipeline:
            clients, memory = pipeline.client_list().info("memory").execute()
        return int(memory["used_memory"]) - sum(int(each.get("tot-mem", 0)) for each in clients)

    def clear(self) -> None:
        """Remove all data; scripts stay."""
        self.client.flushall(asynchronous=False)

    def keys(self, thread: str) -> int:
        """How many keys a thread has."""
        return sum(1 for _ in self.client.scan_iter(match=f"*:{{{thread}}}:*", count=1000))

    @contextmanager
    def metered(self) -> Iterator[Meter]:
        """Count what the server does in the block, without the cost of counting."""
        meter = Meter()
        earlier, before = self._counters(), self._counters()
        yield meter
        after = self._counters()
        meter.received = after.received - before.received - (before.received - earlier.received)
        meter.sent = after.sent - before.sent - (before.sent - earlier.sent)
        meter.cpu = (after.cpu - before.cpu - (before.cpu - earlier.cpu)) * 1e6
        meter.scripts = after.scripts - before.scripts
        meter.script_calls = after.script_calls - before.script_calls

    def _counters(self) -> Counters:
        info = self.client.info("all")
        scripts = [info[name] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in info]
        return Counters(
            info["total_net_input_bytes"],
            info["total_net_output_bytes"],
            info["used_cpu_user"] + info["used_cpu_sys"],
            sum(each["usec"] for each in scripts),
            sum(each["calls"] for each in scripts),
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Disable the garbage collector in the block: it would charge one store for another's garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def spread(times: list[float]) -> dict[str, Any]:
    """Median and 95th percentile of seconds, in µs."""
    ordered = sorted(times)
    return {
        "p50": round(statistics.median(ordered) * 1e6, 1),
        "p95": round(ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)] * 1e6, 1),
        "n": len(ordered),
    }


def check_results(results: Mapping[str, Any], expected: Sequence[Step], number: int, *, whole: bool = False) -> None:
    """In every tenth round, check that every store returned the *expected* steps.

    Args:
        results: By store, what it returned: one or a list of tuples, of checkpoints, or of packed checkpoints.
        expected: The steps that were stored.
        number: The number of the round.
        whole: Compare checkpoints and pending writes, not only the values of channels.
    """
    if number % 10:
        return
    for name, result in results.items():
        unpacked = [
            msgpack.unpackb(each) if isinstance(each, bytes) else each
            for each in (result if isinstance(result, list) else [result])
        ]
        if len(unpacked) != len(expected):
            raise AssertionError(f"{name} returned {len(unpacked)} checkpoints instead of {len(expected)}")
        for each, step in zip(unpacked, expected, strict=True):
            found, stored = getattr(each, "checkpoint", each), step.checkpoint
            if (found != stored) if whole else (found["channel_values"] != stored["channel_values"]):
                raise AssertionError(f"{name} did not return what was stored")
            writes = getattr(each, "pending_writes", None) if whole else None
            if writes is not None and sorted(map(tuple, writes)) != sorted(step.writes):
                raise AssertionError(f"{name} did not return the pending writes that were stored")


@dataclass
class Times:
    """Times of one call by store."""

    base: str
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def summary(self) -> dict[str, dict[str, Any]]:
        """Of each store: `spread`, and its `ratio` to the base."""
        found = {}
        for name, times in self.times.items():
            found[name] = spread(times)
            if self.base in self.times and name != self.base:
                found[name]["ratio"] = self.ratio(name, self.base)
        return found

    def ratio(self, name: str, other: str) -> float:
        """The median over rounds of the time of *name* divided by that of *other*."""
        pairs = zip(self.times[name], self.times[other], strict=True)
        return round(statistics.median(one / two for one, two in pairs), 3)


class Clocks:
    """Times of one call by two clocks: wall time, and CPU time of the calling OS thread.

    A round calls each store once, in random order.
    """

    def __init__(self, base: str) -> None:
        """Take ratios by the times of *base*."""
        self.waited, self.computed = Times(base), Times(base)
        self._random = random.Random(3)

    def run(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Make the calls of one round, and return what they returned."""
        found = {}
        for name in self._random.sample(list(calls), len(calls)):
            call, begin, before = calls[name], time.perf_counter(), time.thread_time()
            found[name] = call()
            self.waited.times[name].append(time.perf_counter() - begin)
            self.computed.times[name].append(time.thread_time() - before)
        return found

    async def arun(self, calls: Mapping[str, Callable[[], Awaitable[Any]]]) -> dict[str, Any]:
        """Await the calls of one round, one after the other, and return what they returned."""
        found = {}
        for name in self._random.sample(list(calls), len(calls)):
            call, begin, before = calls[name], time.perf_counter(), time.thread_time()
            found[name] = await call()
            self.waited.times[name].append(time.perf_counter() - begin)
            self.computed.times[name].append(time.thread_time() - before)
        return found

    def summary(self) -> dict[str, Any]:
        """`Times.summary` of both clocks."""
        return {"waited": self.waited.summary(), "computed": self.computed.summary()}
