"""The same calls awaited: put, and get_tuple of the newest, on an event loop that has nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from .backends import ServerStore, state_of
from .measure import Rounds, quiet
from .waiting import BASE
from .workloads import Scale, Step, config

__all__ = ("awaited",)


async def awaited(stores: Sequence[ServerStore], steps: Sequence[Step], scale: Scale) -> dict[str, dict[str, Any]]:
    """Times of the awaited methods, round by round. Leaves the servers empty."""
    workers = {store.name: store.connect_async(store.server.url) for store in stores}
    puts, gets = Rounds(BASE), Rounds(BASE)
    newest = config(steps[-1].thread)
    for worker in workers.values():
        await worker.aget_tuple(config("nobody"))
    with quiet():
        for step in steps:
            await take(puts, {n: w.aput(step.parent, step.checkpoint, step.metadata) for n, w in workers.items()})
        for _ in range(scale.reads):
            found = await take(gets, {n: w.aget_tuple(newest) for n, w in workers.items()})
    for name, result in found.items():
        if state_of(result) != steps[-1].checkpoint:
            raise AssertionError(f"{name}: aget_tuple did not return what was stored")
    for worker in workers.values():
        await worker.aclose()
    for store in stores:
        store.server.clear()
    summaries = {"put/async": puts.summary(), "newest/same/async": gets.summary()}
    return {n: {what: summary[n] for what, summary in summaries.items()} for n in workers}


async def take(rounds: Rounds, calls: Mapping[str, Awaitable[Any]]) -> dict[str, Any]:
    """Await the calls of one round, one after the other."""
    found = {}
    for name in rounds.order(calls):
        begin = time.perf_counter()
        found[name] = await calls[name]
        rounds.add(name, time.perf_counter() - begin)
    return found
