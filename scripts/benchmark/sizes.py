"""Two sizes of states against their bytes alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import msgpack

from .backends import OurRedis
from .baselines import RawStore
from .measure import Rounds, quiet
from .waiting import BASE
from .workloads import Chat, Scale, Small, Step, config

__all__ = ("sizes",)


def sizes(raw: RawStore, ours: OurRedis, scale: Scale) -> dict[str, Any]:
    """Put and get_tuple of states of two sizes, by one EVALSHA that stores or returns as many bytes, packed already."""
    small = list(islice(Small().thread("2 KB", 9), 3))[-1]
    large = list(islice(Chat().thread("150 KB", 9), 450))[-1]
    found: dict[str, Any] = {}
    for step in (small, large):
        packed = msgpack.packb(step.checkpoint)
        put, first, same, another = Rounds(BASE), Rounds(BASE), Rounds(BASE), Rounds(BASE)
        with quiet():
            for number in range(scale.rounds):
                calls = [putting(raw, ours, each, packed) for each in (again(step, number), anew(step, number))]
                put.run(calls[0])
                first.run(calls[1])
                same.run(getting(raw.worker, ours.worker, step.thread))
                if number % 2 == 0:
                    fresh = [raw.another(), ours.another()]
                    another.run(getting(*fresh, step.thread))
                    for each in fresh:
                        each.close()
        rounds = {"put": put, "first_put": first, "newest/same": same, "newest/another": another}
        found[step.thread] = {"bytes": len(packed), **{name: each.summary() for name, each in rounds.items()}}
        for store in (raw, ours):
            store.server.clear()
            store.renew()
    return found


def putting(raw: RawStore, ours: OurRedis, step: Step, packed: bytes) -> dict[str, Callable[[], Any]]:
    """Ways to store a step."""
    return {
        raw.name: partial(raw.worker.bytes.put, step.thread, step.checkpoint_id, packed),
        ours.name: partial(ours.worker.put, step.parent, step.checkpoint, step.metadata),
    }


def getting(raw: Any, ours: Any, thread: str) -> dict[str, Callable[[], Any]]:
    """Ways to read the newest."""
    return {RawStore.name: partial(raw.bytes.newest, thread), OurRedis.name: partial(ours.get_tuple, config(thread))}


def again(step: Step, number: int) -> Step:
    """The next step of the thread, with nearly the same state."""
    checkpoint_id = f"{step.checkpoint_id[:-6]}{number:06}"
    values = {**step.checkpoint["channel_values"], "turn": number}
    checkpoint = {**step.checkpoint, "id": checkpoint_id, "channel_values": values}
    return step._replace(checkpoint_id=checkpoint_id, checkpoint=checkpoint)


def anew(step: Step, number: int) -> Step:
    """The same as the first step of a thread."""
    thread = f"{step.thread} {number}"
    return step._replace(thread=thread, parent=config(thread))
