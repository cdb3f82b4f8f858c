"""Many worker processes at once, each on threads of its own: how many small states they store in a second."""

from __future__ import annotations

import multiprocessing
import queue
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from .backends import ServerStore
from .measure import quiet
from .workloads import Scale, Small, Step

__all__ = ("workers",)

COUNTS = (1, 4, 8)
PATIENCE = 120  # seconds


def workers(stores: Sequence[ServerStore], scale: Scale, say: Callable[[str], None]) -> dict[str, Any]:
    """Puts a second by number of processes: medians over rounds, which turn the order of the stores."""
    return {str(count): crowd(count, stores, scale, say) for count in COUNTS}


def crowd(count: int, stores: Sequence[ServerStore], scale: Scale, say: Callable[[str], None]) -> dict[str, Any]:
    """Have *count* processes store at the same time, on one server after the other."""
    say(f"{count} processes")
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    kinds = [(type(store), store.server.url) for store in stores]
    processes = [
        context.Process(target=work, args=(number, kinds, scale, start, results), daemon=True)
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
        rates.setdefault(name, []).append(count * scale.puts / took)
    for store in stores:
        store.server.clear()
        store.renew()
    base = rates[stores[0].name]
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


def work(number: int, kinds: Sequence[tuple[type[ServerStore], str]], scale: Scale, start: Any, results: Any) -> None:
    """Be one of the processes."""
    stored = {name.__name__: name.connect(url) for name, url in kinds}
    for turn in range(scale.turns):
        steps = list(small_steps(number, turn, scale.puts))
        order = kinds if turn % 2 == 0 else kinds[::-1]
        for kind, _ in order:
            worker = stored[kind.__name__]
            worker.put(steps[0].parent, steps[0].checkpoint, steps[0].metadata)
            with quiet():
                start.wait(PATIENCE)
                begin = time.monotonic()
                for step in steps:
                    worker.put(step.parent, step.checkpoint, step.metadata)
                end = time.monotonic()
            results.put((turn, kind.name, begin, end))


def small_steps(number: int, turn: int, puts: int) -> list[Step]:
    """Steps of small threads that no other process has."""
    steps: list[Step] = []
    thread = 0
    while len(steps) < puts:
        made = Small().thread(f"worker-{number}-{turn}-{thread}", thread % 50)
        steps += [next(made) for _ in range(5)]
        thread += 1
    return steps[:puts]
