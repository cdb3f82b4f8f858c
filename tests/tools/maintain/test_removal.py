"""Selecting threads, deleting them, and pruning their checkpoints."""

from __future__ import annotations

import pytest
from support.aging import make_idle, make_older, where_orders_can_be_changed
from support.data import at, fill, ids, state, thread_ids, thread_info

from zerograph_redis.tools.maintain.removal import (
    RemovalOutcome,
    delete_threads,
    plan_deletions,
    plan_prunings,
    prune_threads,
)
from zerograph_redis.tools.maintain.selection import find_targets

HOUR = 3_600_000_000


def find(saver, threads=(), match="", idle=None):
    return saver.ask(find_targets(threads, match, idle, lambda: None))[0]


def names(targets):
    return sorted(each.thread for each in targets)


def plan(saver, keep, max_age=None, **selection):
    found = []
    saver.ask(plan_prunings(find(saver, **selection), keep, max_age, found.append))
    return found


def prune(saver, keep, max_age=None, **selection):
    found = []
    saver.ask(prune_threads(find(saver, **selection), keep, max_age, saver.saver.store.operations, found.append))
    return found


def delete(saver, targets, *, unless_written=False):
    found = []
    saver.ask(delete_threads(targets, found.append, unless_written=unless_written))
    return {each.target.thread: each.outcome for each in found}


def test_threads_are_selected_by_id_by_prefix_and_by_idle_time(store, saver):
    for name in ("a-1", "a-2", "b-1", "a*"):
        fill(saver, 1, name)
    make_idle(store, saver, 7200, "a-1")
    make_idle(store, saver, 7200, "b-1")
    assert names(find(saver)) == ["a*", "a-1", "a-2", "b-1"]
    assert names(find(saver, match="a-")) == ["a-1", "a-2"]
    assert names(find(saver, match="a*")) == ["a*"]
    assert names(find(saver, idle=HOUR)) == ["a-1", "b-1"]
    assert names(find(saver, idle=HOUR, match="a")) == ["a-1"]
    assert names(find(saver, threads=["a-2", "b-1"], idle=HOUR)) == ["b-1"]
    assert names(find(saver, idle=3 * HOUR)) == []


def test_given_ids_that_are_not_stored_are_returned(saver):
    fill(saver, 1, "a")
    targets, missing = saver.ask(find_targets(["a", "b", "a"], "", None, lambda: None))
    assert (names(targets), missing) == (["a"], ["b"])


def test_many_threads_are_found_each_once(saver):
    for number in range(130):
        fill(saver, 1, f"t{number:03}")
    assert names(find(saver)) == [f"t{number:03}" for number in range(130)]


def test_threads_are_deleted_except_those_that_are_held(saver):
    for name in "abc":
        fill(saver, 2, name)
    with saver.lease("b", owner="worker"):
        targets = find(saver)
        planned = {each.target.thread: each.outcome for each in plan_deletions(targets)}
        assert planned == {"a": RemovalOutcome.PLANNED, "b": RemovalOutcome.HELD, "c": RemovalOutcome.PLANNED}
        stranger = saver.stranger()
        assert delete(stranger, targets) == {
            "a": RemovalOutcome.DONE,
            "b": RemovalOutcome.HELD,
            "c": RemovalOutcome.DONE,
        }
    assert thread_ids(saver) == ["b"]
    assert ids(saver.list(at("b"))) == ["c1", "c0"]


def test_an_idle_thread_that_was_written_since_it_was_selected_stays(store, saver):
    for name in "ab":
        fill(saver, 1, name)
        make_idle(store, saver, 7200, name)
    targets = find(saver, idle=HOUR)
    fill(saver, 1, "a", start=1)
    assert delete(saver, targets, unless_written=True) == {"a": RemovalOutcome.WRITTEN, "b": RemovalOutcome.DONE}
    assert ids(saver.list(at("a"))) == ["c1", "c0"]
    assert thread_ids(saver) == ["a"]


def put_various(store, saver):
    """Store threads with several namespaces, logs, pending writes and ages."""
    history = [f"message {number} " * 30 for number in range(40)]
    for number in range(12):
        saver.put(at("a"), state(f"c{number}", messages=history[: number + 20], n=number), {})
        if number % 3 == 0:
            saver.put_writes(at("a", id=f"c{number}"), [("t", "x", "y" * 100), ("u", "x", number)], "")
    fill(saver, 5, "a", ns="inner")
    # States that have nothing in common begin new logs.
    for number in range(8):
        saver.put(at("b"), state(f"c{number}", text=f"{number}" * 20_000), {})
        saver.prune("b", 3)
    fill(saver, 1, "c")
    saver.put_writes(at("c", id="later"), [("t", "a", 1)], "")
    make_older(store, saver, 7200, "a", only=[f"c{number}" for number in range(7)])
    make_older(store, saver, 7200, "b", only=["c5"])
    make_older(store, saver, 7200, "c")


@pytest.mark.parametrize(
    ("keep", "max_age"), [(0, None), (1, None), (3, None), (100, None), (0, HOUR), (1, HOUR), (6, HOUR), (0, 3 * HOUR)]
)
@where_orders_can_be_changed
def test_a_plan_to_prune_has_exactly_what_is_pruned(store, saver, keep, max_age):
    put_various(store, saver)

    def stored():
        return {
            (thread, ns, name): each
            for thread in "abc"
            for ns in ("", "inner")
            for each in saver.list(at(thread, ns), limit=None)
            for name in [each.checkpoint["id"]]
        }

    def sizes():
        return {thread: getattr(thread_info(saver, thread), "bytes", 0) for thread in "abc"}

    before, bytes_before = stored(), sizes()
    planned = plan(saver, keep, max_age)
    assert (stored(), sizes()) == (before, bytes_before)
    done = prune(saver, keep, max_age)
    planned_ids = {(each.target.thread, one.namespace, one.checkpoint_id) for each in planned for one in each.outlines}
    assert planned_ids == before.keys() - stored().keys()
    after = sizes()
    assert {each.target.thread: each.bytes for each in planned} == {
        thread: bytes_before[thread] - after[thread] for thread in "abc"
    }
    for each in done:
        (twin,) = [other for other in planned if other.target.thread == each.target.thread]
        assert (each.outcome, each.checkpoints, each.bytes) == (RemovalOutcome.DONE, twin.checkpoints, twin.bytes)
    assert all(not each.checkpoints for each in plan(saver, keep, max_age))


def test_a_thread_that_is_held_is_not_pruned(saver):
    fill(saver, 3)
    with saver.lease("thread", owner="worker"):
        stranger = saver.stranger()
        for found in (plan(stranger, 1), prune(stranger, 1)):
            assert [(each.outcome, each.owner, each.checkpoints) for each in found] == [
                (RemovalOutcome.HELD, "worker", 0)
            ]
    assert len(saver.list(at())) == 3


def test_a_damaged_thread_is_not_pruned_and_can_be_deleted(redis_store):
    saver = redis_store.open()
    fill(saver, 3)
    fill(saver, 3, "other")
    client = redis_store.client()
    for kind in ("checkpoints", "thread"):
        client.delete(f"{redis_store.prefix}:{{thread}}:{kind}")
        for found in (plan(saver, 1, threads=["thread"]), prune(saver, 1, threads=["thread"])):
            assert [each.outcome for each in found] == [RemovalOutcome.DAMAGED]
    assert delete(saver, find(saver, threads=["thread"])) == {"thread": RemovalOutcome.DONE}
    assert not [key for key in redis_store.all_keys() if b"{thread}" in key]
    assert find(saver, threads=["thread"]) == []
    assert names(find(saver)) == ["other"]


@pytest.mark.unchecked
def test_a_thread_with_a_key_of_another_type_does_not_disturb_others(redis_store):
    saver = redis_store.open()
    for name in "abc":
        fill(saver, 3, name)
    client = redis_store.client()
    for name, kind in (("a", "index"), ("b", "thread")):
        client.delete(f"{redis_store.prefix}:{{{name}}}:{kind}")
        client.set(f"{redis_store.prefix}:{{{name}}}:{kind}", "not a saver's")
    targets = find(saver)
    planned = []
    saver.ask(plan_prunings(targets, 1, None, planned.append))
    outcomes = {each.target.thread: each.outcome for each in planned}
    assert outcomes == {"a": RemovalOutcome.DAMAGED, "b": RemovalOutcome.DAMAGED, "c": RemovalOutcome.PLANNED}
    # Without the facts of thread b nobody knows whether a worker holds it.
    assert delete(saver, targets) == {"a": RemovalOutcome.DONE, "b": RemovalOutcome.DAMAGED, "c": RemovalOutcome.DONE}
