"""Every operation with the store that it finds, for tests in which something goes wrong while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.data import at, ids, place, state
from support.polling import until
from support.rig import TEXT
from zerograph_redis import BackendUnavailableError
from zerograph_redis.core.leasing import end_lease, renew_lease, take_lease

TTL = 60_000


@dataclass(frozen=True)
class Case:
    """An operation, the store that it finds, and whether it is one request."""

    call: Callable[[Any], Any]
    seed: str = "small"
    whole: bool = True
    """Whether it happens at once, so that after a failure the store is as before or as after."""


def _lease(saver, step):
    # A retry keeps the name of its attempt; a lease that was taken directly has no thread that renews it meanwhile.
    taken = saver.run(take_lease("thread", "attempt", "owner", TTL))
    if step == "renew":
        saver.run(renew_lease("thread", taken.token, 2 * TTL))
    if step == "release":
        saver.run(end_lease("thread", "attempt"))
    return taken.owner, taken.attempt


CASES = {
    "put new": Case(lambda saver: saver.put(at(id="c2"), state("new", messages=[*TEXT, "more"]), {"step": 3})),
    "put same id": Case(lambda saver: saver.put(at(id="c1"), state("c2", messages=TEXT), {"step": 2})),
    "put same id changed": Case(lambda saver: saver.put(at(id="c1"), state("c2", messages=TEXT[::-1]), {"step": 9})),
    "put known log changed": Case(
        lambda saver: saver.put(at(id="c2"), state("new", messages=[*TEXT[:5], "y" * 600, *TEXT[6:]]), {})
    ),
    "put expecting": Case(lambda saver: saver.put(at(id="c2", expect_checkpoint_id="c2"), state("new"), {})),
    "put first": Case(lambda saver: saver.put(at("fresh"), state("c0", messages=TEXT), {})),
    "put_writes": Case(lambda saver: saver.put_writes(at(id="c2"), [("t", "a", 7), ("new", "b", TEXT)], "")),
    "put_writes early": Case(lambda saver: saver.put_writes(at(id="later"), [("t", "a", 1), ("t", "b", 2)], "")),
    "get_tuple": Case(lambda saver: shown(saver.get_tuple(at()))),
    "get_by_id": Case(lambda saver: shown(saver.get_by_id("c1"))),
    "list": Case(lambda saver: [shown(each) for each in saver.list(at(), limit=None)]),
    "list filtered": Case(lambda saver: ids(saver.list(at(), limit=150, filter={"odd": True})), seed="long"),
    "get_pending_writes": Case(lambda saver: saver.get_pending_writes(at(id="c2"))),
    "prune": Case(lambda saver: saver.prune("thread", 2), seed="long", whole=False),
    "prune all": Case(lambda saver: saver.prune("thread", 0), seed="long", whole=False),
    "delete_thread": Case(lambda saver: saver.delete_thread("thread")),
    "copy_thread": Case(lambda saver: saver.copy_thread("thread", "copy"), seed="pages"),
    "list_threads": Case(lambda saver: [(each.thread_id, each.checkpoints) for each in saver.list_threads()]),
    "lease take": Case(lambda saver: _lease(saver, "take")),
    "lease renew": Case(lambda saver: _lease(saver, "renew"), whole=False),
    "lease release": Case(lambda saver: _lease(saver, "release"), whole=False),
}


MANY_REQUESTS = {
    "copy_thread", "get_by_id", "lease release", "lease renew", "list filtered", "list_threads", "prune", "prune all",
}  # fmt: skip


def shown(found):
    return place(found.config), found.checkpoint, found.metadata, found.parent_config, found.pending_writes


def prepared(rig, opened, case, **options):
    """A store of its own, and a saver that knows its log and has a connection, to a server that has all scripts."""
    prefix = rig.seeded(case.seed)
    saver = opened(prefix, **options)

    def knows() -> bool:
        with suppress(BackendUnavailableError):  # where the machine is slower than the saver waits
            return bool(saver.get_tuple(at()) and saver.get_tuple(at(ns="sub"))) or case.seed == "small"
        return False

    until(knows)
    rig.load_scripts()
    return prefix, saver


def reference(rig, opened, case):
    """What the operation answers, the store before and after it, and of how many requests it is, without faults."""
    if case not in rig.references:
        prefix, saver = prepared(rig, opened, case)
        before = rig.contents(prefix)
        rig.proxy.watch(None)
        answer = case.call(saver)
        rig.references[case] = answer, before, rig.contents(prefix), rig.proxy.requests
    return rig.references[case]
