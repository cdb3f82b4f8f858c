"""A workload of steps: its cost on the server, then the waiting time of its worker, who writes and then reads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgpack

from .backends import ServerStore, Store
from .measure import BASE, Clocks, Figures, Progress, check_results, quiet
from .workloads import Scale, Step, Workload, config


def measure(
    workload: Workload, servers: Sequence[ServerStore], local: Sequence[Store], scale: Scale, progress: Progress
) -> Figures:
    """Measure *servers* round by round with one another, then *local* stores likewise."""
    steps = list(workload.steps(scale))
    sizes = [len(msgpack.packb(step.checkpoint)) for step in steps]
    stores: dict[str, Figures] = {store.name: {} for store in (*servers, *local)}
    for store in servers:
        progress(f"{store.name}: the server")
        stores[store.name] |= server_side(store, steps)
    for group in (servers, local):
        progress(f"{', '.join(store.name for store in group)}: the worker")
        for store, figures in client_side({store.name: store for store in group}, steps, scale).items():
            stores[store] |= figures
    return {
        "about": workload.about,
        "checkpoints": len(steps),
        "state_bytes": {"last": sizes[-1], "mean": round(sum(sizes) / len(sizes))},
        "stores": stores,
    }


def warm_up(store: Store, steps: Sequence[Step]) -> None:
    """Load every script and allocate every buffer; leaves the store empty."""
    thread = steps[0].thread
    write(store.worker, steps)
    store.worker.get_tuple(config(thread))
    store.worker.get_tuple(steps[0].config)
    store.worker.list(config(thread), limit=10)
    store.worker.delete_thread(thread)
    store.replace_worker()


def write(worker: Any, steps: Sequence[Step]) -> None:
    """Store steps one after the other."""
    for step in steps:
        worker.put(step.parent, step.checkpoint, step.metadata)
        worker.put_writes(step.config, step.writes, step.task)


def server_side(store: ServerStore, steps: Sequence[Step]) -> Figures:
    """Memory, bytes, CPU time and keys of one store alone; leaves the server empty."""
    warm_up(store, steps[:3])
    server, threads = store.server, list(dict.fromkeys(step.thread for step in steps))
    server.clear()
    before = server.memory()
    with quiet(), server.metered() as whole:
        write(store.worker, steps)
    memory = server.memory() - before
    with server.metered() as writes:
        # Repeated writes replace themselves, and send the same bytes.
        for step in steps:
            store.worker.put_writes(step.config, step.writes, step.task)
    received = {str(limit): listed_bytes(store, threads[-1], limit) for limit in (10, 100)}
    keys = server.keys(threads[-1])
    took = []
    for thread in threads[:100]:
        begin = time.perf_counter()
        store.worker.delete_thread(thread)
        took.append(time.perf_counter() - begin)
    left = server.keys(threads[0])
    if left:
        raise AssertionError(f"{store.name}: {left} keys are left of a deleted thread")
    server.clear()
    store.replace_worker()
    count = len(steps)
    return {
        "memory": memory,
        "sent_put": round((whole.received - writes.received) / count),
        "sent_step": round(whole.received / count),
        "cpu_step": round(whole.cpu / count, 1),
        "script_step": round(whole.scripts / count, 1),
        "scripts_a_step": round(whole.script_calls / count, 2),
        "received_list": received,
        "keys": keys,
        "delete": round(sorted(took)[len(took) // 2] * 1e6, 1),
    }


def listed_bytes(store: ServerStore, thread: str, limit: int) -> int:
    """How many bytes a new worker receives for a list."""
    worker = store.new_worker()
    with store.server.metered() as meter:
        worker.list(config(thread), limit=limit)
    store.close_worker(worker)
    return meter.sent


class Read(NamedTuple):
    """A call, and the steps that it must return."""

    call: Callable[[Any], Any]
    expected: Sequence[Step]


def client_side(stores: Mapping[str, Store], steps: Sequence[Step], scale: Scale) -> dict[str, Figures]:
    """Times of every call, round by round, and the final sizes of files. Leaves the stores empty."""
    found: dict[str, Figures] = {name: {} for name in stores}
    before = {name: store.size() for name, store in stores.items()}
    puts, writes = Clocks(BASE), Clocks(BASE)
    with quiet():
        for step in steps:
            puts.run({n: partial(s.worker.put, step.parent, step.checkpoint, step.metadata) for n, s in stores.items()})
            writes.run(
                {n: partial(s.worker.put_writes, step.config, step.writes, step.task) for n, s in stores.items()}
            )
    add_times(found, "put", puts)
    add_times(found, "put_writes", writes)
    for name, store in stores.items():
        size = None if isinstance(store, ServerStore) else store.size()
        if size is not None:
            found[name]["memory"] = size - (before[name] or 0)
    for what, reads in plan(steps, scale):
        same, another = Clocks(BASE), Clocks(BASE)
        with quiet():
            for number, read in enumerate(reads):
                results = same.run({n: partial(read.call, s.worker) for n, s in stores.items()})
                check_results(results, read.expected, number, whole=True)
                # Only workers on servers cache what they read.
                fresh = {name: store.new_worker() for name, store in stores.items() if isinstance(store, ServerStore)}
                results = another.run({n: partial(read.call, w) for n, w in fresh.items()})
                check_results(results, read.expected, number, whole=True)
                for name, worker in fresh.items():
                    stores[name].close_worker(worker)
        add_times(found, f"{what}/same", same)
        add_times(found, f"{what}/another", another)
    for store in stores.values():
        for thread in dict.fromkeys(step.thread for step in steps):
            store.worker.delete_thread(thread)
        store.replace_worker()
    return found


def plan(steps: Sequence[Step], scale: Scale) -> Iterator[tuple[str, Iterator[Read]]]:
    """By name, the reads to measure, each of a random thread."""
    choose = random.Random(11)
    threads: dict[str, list[Step]] = {}
    for step in steps:
        threads.setdefault(step.thread, []).append(step)
    names = list(threads)

    def newest() -> Read:
        thread = choose.choice(names)
        return Read(lambda worker: worker.get_tuple(config(thread)), threads[thread][-1:])

    def named() -> Read:
        step = choose.choice(steps)
        return Read(lambda worker: worker.get_tuple(step.config), [step])

    def listed(limit: int) -> Read:
        thread = choose.choice(names)
        return Read(lambda worker: worker.list(config(thread), limit=limit), threads[thread][: -limit - 1 : -1])

    yield "newest", (newest() for _ in range(scale.reads))
    yield "by_id", (named() for _ in range(scale.reads))
    yield "list_10", (listed(10) for _ in range(scale.lists))
    yield "list_100", (listed(100) for _ in range(scale.long_lists))


def add_times(found: dict[str, Figures], what: str, clocks: Clocks) -> None:
    """Add a summary to the figures of its stores."""
    for name, figures in clocks.waited.summary().items():
        found[name][what] = figures
