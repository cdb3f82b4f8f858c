"""Many worker processes at once, each on its own threads: how many small states they store per second."""

from __future__ import annotations

import multiprocessing
import queue
import statistics
import time
from collections.abc import Sequence
from typing import Any

from .backends import OurRedis, ServerStore, opened
from .baselines import RawStore
from .calls import small_steps
from .measure import Progress, quiet
from .peers import usable
from .workloads import Scale

COUNTS = (1, 4, 8)
PATIENCE = 300  # seconds


def workers(scale: Scale, progress: Progress) -> dict[str, Any]:
    """Puts per second by number of processes: medians over rounds that rotate the order of the stores."""
    with opened(RawStore, OurRedis, *usable()) as stores:
        counts = COUNTS[-1:] if scale.quick else COUNTS
        return {str(count): run_processes(count, list(stores.values()), scale, progress) for count in counts}


def run_processes(count: int, stores: Sequence[ServerStore], scale: Scale, progress: Progress) -> dict[str, Any]:
    """Run *count* processes that put at the same time, on one server after the other."""
    progress(f"{count} processes")
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    puts = scale.puts * 2 // count
    kinds = [(type(store), store.server.url) for store in stores]
    processes = [
        context.Process(target=run_process, args=(number, kinds, puts, scale.turns, start, results), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    spans: dict[tuple[int, str], list[tuple[float, float]]] = {}
    try:
        for _ in range(count * scale.turns * len(stores)):
            turn, name, begin, end = wait_for_result(results, processes)
            spans.setdefault((turn, name), []).append((begin, end))
        for process in processes:
            process.join(PATIENCE)
    finally:
        for process in processes:
            process.kill()
    rates: dict[str, list[float]] = {}
    for (_, name), times in sorted(spans.items()):
        took = max(end for _, end in times) - min(begin for begin, _ in times)
        rates.setdefault(name, []).append(count * puts / took)
    for store in stores:
        store.server.clear()
    base = rates[RawStore.name]
    return {
        name: {
            "puts_s": round(statistics.median(found)),
            "ratio": round(statistics.median(a / b for a, b in zip(found, base, strict=True)), 3),
        }
        for name, found in rates.items()
    }


def wait_for_result(results: Any, processes: Sequence[Any]) -> tuple[int, str, float, float]:
    """Wait for one result; fails when a process fails."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return results.get(timeout=0.5)
        except queue.Empty:
            if any(process.exitcode for process in processes) or time.monotonic() > until:
                raise RuntimeError("a worker process failed, or hangs") from None


def run_process(
    number: int, kinds: Sequence[tuple[type[ServerStore], str]], puts: int, turns: int, start: Any, results: Any
) -> None:
    """The main function of one process."""
    stored = {kind.name: kind.connect(url) for kind, url in kinds}
    for turn in range(turns):
        steps = small_steps(f"worker-{number}-{turn}", puts)
        first = turn % len(kinds)
        for kind, _ in (*kinds[first:], *kinds[:first]):
            calls = [kind.put_call(stored[kind.name], step) for step in steps]
            calls[0]()
            with quiet():
                start.wait(PATIENCE)
                begin = time.monotonic()
                for call in calls:
                    call()
                end = time.monotonic()
            results.put((turn, kind.name, begin, end))
