"""Many worker processes at once, each on threads of its own: how many small states they store in a second."""

from __future__ import annotations

import multiprocessing
import queue
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from .backends import OurRedis, ServerStore, opened
from .baselines import RawStore
from .calls import small_steps
from .measure import quiet
from .peers import usable
from .workloads import Scale

__all__ = ("workers",)

COUNTS = (1, 4, 8)
PATIENCE = 300  # seconds


def workers(scale: Scale, say: Callable[[str], None]) -> dict[str, Any]:
    """Puts a second by number of processes: medians over rounds, which turn the order of the stores."""
    with opened(RawStore, OurRedis, *usable()) as stores:
        counts = COUNTS[-1:] if scale.quick else COUNTS
        return {str(count): crowd(count, list(stores.values()), scale, say) for count in counts}


def crowd(count: int, stores: Sequence[ServerStore], scale: Scale, say: Callable[[str], None]) -> dict[str, Any]:
    """Have *count* processes store at the same time, on one server after the other."""
    say(f"{count} processes")
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    puts = scale.puts * 2 // count
    kinds = [(type(store), store.server.url) for store in stores]
    processes = [
        context.Process(target=work, args=(number, kinds, puts, scale.turns, start, results), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    spans: dict[tuple[int, str], list[tuple[float, float]]] = {}
    try:
        for _ in range(count * scale.turns * len(stores)):
            turn, name, begin, end = answer(results, processes)
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


def answer(results: Any, processes: Sequence[Any]) -> tuple[int, str, float, float]:
    """Wait for one result, for as long as all processes are well."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return results.get(timeout=0.5)
        except queue.Empty:
            if any(process.exitcode for process in processes) or time.monotonic() > until:
                raise RuntimeError("a worker process failed, or hangs") from None


def work(
    number: int, kinds: Sequence[tuple[type[ServerStore], str]], puts: int, turns: int, start: Any, results: Any
) -> None:
    """Be one of the processes."""
    stored = {kind.name: kind.connect(url) for kind, url in kinds}
    for turn in range(turns):
        steps = small_steps(f"worker-{number}-{turn}", puts)
        first = turn % len(kinds)
        for kind, _ in (*kinds[first:], *kinds[:first]):
            calls = [kind.putting(stored[kind.name], step) for step in steps]
            calls[0]()
            with quiet():
                start.wait(PATIENCE)
                begin = time.monotonic()
                for call in calls:
                    call()
                end = time.monotonic()
            results.put((turn, kind.name, begin, end))
