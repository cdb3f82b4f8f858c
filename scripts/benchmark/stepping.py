"""Runs a workload of steps: first what it costs the server, then how long a worker waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from .backends import ServerStore, Store
from .measure import quiet
from .waiting import client_side
from .workloads import Scale, Step, Workload, config

__all__ = ("measure", "warm_up")

Figures = dict[str, Any]


def measure(
    workload: Workload, servers: Sequence[ServerStore], local: Sequence[Store], scale: Scale, say: Callable[[str], None]
) -> Figures:
    """Measure *servers* round by round with one another, then *local* stores likewise."""
    steps = list(workload.steps(scale))
    sizes = [len(msgpack.packb(step.checkpoint)) for step in steps]
    stores: dict[str, Figures] = {store.name: {} for store in (*servers, *local)}
    for store in servers:
        say(f"{store.name}: what the server sees")
        stores[store.name] |= server_side(store, steps)
    for group in (servers, local):
        say(f"{', '.join(store.name for store in group)}: what a worker waits")
        for store, figures in client_side({store.name: store for store in group}, steps, scale).items():
            stores[store] |= figures
    return {
        "about": workload.about,
        "checkpoints": len(steps),
        "state_bytes": {"last": sizes[-1], "mean": round(sum(sizes) / len(sizes))},
        "stores": stores,
    }


def warm_up(store: Store, steps: Sequence[Step]) -> None:
    """Have every script loaded and every buffer made, and leave nothing behind."""
    thread = steps[0].thread
    write(store.worker, steps)
    store.worker.get_tuple(config(thread))
    store.worker.get_tuple(steps[0].config)
    store.worker.list(config(thread), limit=10)
    store.worker.delete_thread(thread)
    store.renew()


def write(worker: Any, steps: Sequence[Step]) -> None:
    """Store steps one after the other."""
    for step in steps:
        worker.put(step.parent, step.checkpoint, step.metadata)
        worker.put_writes(step.config, step.writes, step.task)


def server_side(store: ServerStore, steps: Sequence[Step]) -> Figures:
    """Memory, bytes, CPU time and keys, with nothing else going on; leaves the server empty."""
    warm_up(store, steps[:3])
    server, threads = store.server, list(dict.fromkeys(step.thread for step in steps))
    server.clear()
    before = server.memory()
    with quiet(), server.metered() as whole:
        write(store.worker, steps)
    memory = server.memory() - before
    with server.metered() as writes:
        # The same again replaces itself, and sends the same bytes.
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
    store.renew()
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
    """How many bytes a worker that knows nothing receives for a list."""
    worker = store.another()
    with store.server.metered() as meter:
        worker.list(config(thread), limit=limit)
    store.leave(worker)
    return meter.sent
