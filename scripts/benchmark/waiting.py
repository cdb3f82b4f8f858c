"""How long a worker waits: writes, then reads by the worker that wrote and by one that knows nothing yet."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .backends import ServerStore, Store, state_of
from .measure import Rounds, quiet
from .workloads import Scale, Step, config

__all__ = ("BASE", "client_side")

BASE = "raw"


class Read(NamedTuple):
    """A call, and the steps that it must return."""

    call: Callable[[Any], Any]
    expected: Sequence[Step]


def client_side(stores: Mapping[str, Store], steps: Sequence[Step], scale: Scale) -> dict[str, dict[str, Any]]:
    """Times of every call, round by round, and the sizes of files in the end. Leaves the stores empty."""
    found: dict[str, dict[str, Any]] = {name: {} for name in stores}
    before = {name: store.size() for name, store in stores.items()}
    puts, writes = Rounds(BASE), Rounds(BASE)
    with quiet():
        for step in steps:
            puts.run({n: partial(s.worker.put, step.parent, step.checkpoint, step.metadata) for n, s in stores.items()})
            writes.run(
                {n: partial(s.worker.put_writes, step.config, step.writes, step.task) for n, s in stores.items()}
            )
    note(found, "put", puts)
    note(found, "put_writes", writes)
    for name, store in stores.items():
        size = None if isinstance(store, ServerStore) else store.size()
        if size is not None:
            found[name]["memory"] = size - (before[name] or 0)
    for what, reads in plan(steps, scale):
        same, another = Rounds(BASE), Rounds(BASE)
        with quiet():
            for number, read in enumerate(reads):
                check(what, read, same.run({n: partial(read.call, s.worker) for n, s in stores.items()}), number)
                # Only those who keep what they know are worth asking again without it.
                fresh = {name: store.another() for name, store in stores.items() if isinstance(store, ServerStore)}
                check(what, read, another.run({n: partial(read.call, w) for n, w in fresh.items()}), number)
                for name, worker in fresh.items():
                    stores[name].leave(worker)
        note(found, f"{what}/same", same)
        note(found, f"{what}/another", another)
    for store in stores.values():
        for thread in dict.fromkeys(step.thread for step in steps):
            store.worker.delete_thread(thread)
        store.renew()
    return found


def plan(steps: Sequence[Step], scale: Scale) -> Iterator[tuple[str, Iterator[Read]]]:
    """What is read, and how often, each on a thread at random."""
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


def check(what: str, read: Read, results: Mapping[str, Any], number: int) -> None:
    """See now and then that every store returned what was stored."""
    if number % 10:
        return
    for name, result in results.items():
        found = result if isinstance(result, list) else [result]
        if [state_of(each) for each in found] != [step.checkpoint for step in read.expected]:
            raise AssertionError(f"{name}: {what} did not return what was stored")
        for each, step in zip(found, read.expected, strict=True):
            writes = getattr(each, "pending_writes", None)
            if writes is not None and sorted(map(tuple, writes)) != sorted(step.writes):
                raise AssertionError(f"{name}: {what} did not return the pending writes that were stored")


def note(found: dict[str, dict[str, Any]], what: str, rounds: Rounds) -> None:
    """File times under the stores that they belong to."""
    for name, figures in rounds.summary().items():
        found[name][what] = figures
