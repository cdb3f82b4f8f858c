"""Connections that are lost at every step of every operation: repeated it is done once, alone it is done or it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from support.data import at, ids, place, state
from support.proxy import AFTER, WAYS
from support.rig import TEXT

from zerograph_redis import BackendUnavailableError
from zerograph_redis.core.drive import run
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
    bare = getattr(saver, "saver", saver)
    # A retry keeps the name of its attempt; a lease that was taken directly has no thread that renews it meanwhile.
    taken = run(take_lease("thread", "attempt", "owner", TTL), bare._backend)
    if step == "renew":
        run(renew_lease("thread", taken.token, 2 * TTL), bare._backend)
    if step == "release":
        run(end_lease("thread", taken.token), bare._backend)
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
    "get_tuple": Case(lambda saver: told(saver.get_tuple(at()))),
    "get_by_id": Case(lambda saver: told(saver.get_by_id("c1"))),
    "list": Case(lambda saver: [told(each) for each in saver.list(at(), limit=None)]),
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


def told(found):
    return place(found.config), found.checkpoint, found.metadata, found.parent_config, found.pending_writes


def prepared(rig, opened, case, *, retries=True):
    """A store of its own, and a saver that knows its log and has a connection."""
    prefix = rig.seeded(case.seed)
    saver = opened(prefix, retries=retries)
    saver.get_tuple(at())
    saver.get_tuple(at(ns="sub"))
    return prefix, saver


def reference(rig, opened, case):
    """What the operation answers and leaves without faults, and of how many requests it is."""
    prefix, saver = prepared(rig, opened, case)
    before = rig.look(prefix)
    rig.proxy.watch(None)
    case.call(saver)  # the server has its scripts from now on
    prefix, saver = prepared(rig, opened, case)
    rig.proxy.watch(None)
    answer = case.call(saver)
    return answer, before, rig.look(prefix), rig.proxy.requests


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_with_retries_an_operation_is_done_exactly_once_whichever_request_is_lost(rig, opened, name, way):
    case = CASES[name]
    answer, _, after, count = reference(rig, opened, case)
    assert (count > 1) == (name in MANY_REQUESTS)
    faults = 0
    for number in range(1, count + 1):
        prefix, saver = prepared(rig, opened, case)
        rig.proxy.arm(number, way)
        assert case.call(saver) == answer, number
        faults += rig.proxy.faults[way]
        assert rig.look(prefix) == after, number
    assert faults == count


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_without_retries_an_operation_is_done_or_it_is_not_whichever_request_is_lost(rig, opened, name, way):
    case = CASES[name]
    _, before, after, count = reference(rig, opened, case)
    for number in range(1, count + 1):
        prefix, saver = prepared(rig, opened, case, retries=False)
        rig.proxy.arm(number, way)
        with pytest.raises(BackendUnavailableError) as caught:
            case.call(saver)
        assert isinstance(caught.value.__cause__, redis.RedisError | OSError)
        assert rig.proxy.faults[way] == 1
        rig.proxy.calm()
        found = rig.look(prefix)
        done = way in WAYS[WAYS.index(AFTER) :] and number == count
        if case.whole:
            assert found == (after if done else before), number
        elif name.startswith("prune"):
            between(found, before, after)
        staged = rig.client.keys(f"{prefix}:*:copy:*")
        assert all(rig.client.pttl(key) > 0 for key in staged), "a copy that was cut short must go by itself"


def between(found, before, after):
    """Each namespace of a thread that was being pruned is a row of its newest checkpoints, each whole with its writes."""
    rows, old, new = ([each[0] for each in view[0]["thread"][0]] for view in (found, before, after))
    assert set(new) <= set(rows) <= set(old)
    whole = {each[0]: each for each in before[0]["thread"][0]}
    assert all(each == whole[each[0]] for each in found[0]["thread"][0])
    for ns in ("", "sub"):
        kept = [each for each in rows if each[0] == ns]
        assert kept == [each for each in old if each[0] == ns][: len(kept)]


@pytest.mark.parametrize("name", CASES)
def test_an_operation_outlives_the_scripts_being_forgotten_before_each_of_its_requests(rig, opened, name):
    case = CASES[name]
    answer, _, after, _ = reference(rig, opened, case)
    prefix, saver = prepared(rig, opened, case)
    rig.proxy.watch(lambda number: rig.client.script_flush())
    assert case.call(saver) == answer
    assert rig.look(prefix) == after


@pytest.mark.parametrize("name", CASES)
def test_an_operation_outlives_its_connections_being_killed_before_any_of_its_requests(rig, opened, name):
    case = CASES[name]
    answer, _, after, count = reference(rig, opened, case)
    for wanted in range(1, count + 1):
        prefix, saver = prepared(rig, opened, case)

        def kill(number, wanted=wanted):
            if number == wanted:
                rig.client.client_kill_filter(_type="normal", skipme=True)

        rig.proxy.watch(kill)
        assert case.call(saver) == answer
        rig.proxy.calm()
        assert rig.look(prefix) == after
