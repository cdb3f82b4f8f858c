"""Connections that are lost at every step of every operation: repeated it is done once, alone it is done or it is not."""

from __future__ import annotations

import pytest
import redis
from support.operations import CASES, MANY_REQUESTS, prepared, reference
from support.proxy import AFTER, DELAY, HALF, PATIENCE, TRUNCATE, WAYS

from zerograph_redis import BackendUnavailableError

_WAYS = [pytest.param(way, marks=pytest.mark.full) if way in {HALF, TRUNCATE} else way for way in WAYS]


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", CASES)
def test_with_retries_an_operation_is_done_exactly_once_whichever_request_is_lost(rig, opened, name, way):
    case = CASES[name]
    answer, _, after, count = reference(rig, opened, case)
    assert (count > 1) == (name in MANY_REQUESTS)
    faults = 0
    for number in range(1, count + 1):
        prefix, saver = prepared(rig, opened, case, patience=PATIENCE[way])
        rig.proxy.arm(number, way)
        assert case.call(saver) == answer, number
        faults += rig.proxy.faults[way]
        rig.proxy.calm()
        assert rig.contents(prefix) == after, number
    assert faults == count


@pytest.mark.parametrize(
    "way", [each if each == AFTER else pytest.param(each, marks=pytest.mark.full) for each in WAYS]
)
@pytest.mark.parametrize("name", CASES)
def test_without_retries_an_operation_is_done_or_it_is_not_whichever_request_is_lost(rig, opened, name, way):
    case = CASES[name]
    _, before, after, count = reference(rig, opened, case)
    for number in range(1, count + 1):
        prefix = harmed(rig, opened, case, number, way)
        found = rig.contents(prefix)
        done = way in WAYS[WAYS.index(AFTER) :] and number == count
        if case.whole:
            assert found == (after if done else before), number
        elif name.startswith("prune"):
            between(found, before, after)
        staged = rig.client.keys(f"{prefix}:*:copy:*")
        assert all(rig.client.pttl(key) > 0 for key in staged), "a copy that was cut short must go by itself"


def harmed(rig, opened, case, number, way):
    """Let an operation fail at one of its requests; returns the prefix that it has."""
    for _ in range(20):
        prefix, saver = prepared(rig, opened, case, retries=False, patience=PATIENCE[way])
        rig.proxy.arm(number, way)
        with pytest.raises(BackendUnavailableError) as caught:
            case.call(saver)
        assert isinstance(caught.value.__cause__, redis.RedisError | OSError)
        harm = rig.proxy.faults[way]
        rig.proxy.calm()
        if harm:
            return prefix
        # The machine was slower than the saver waits, at an earlier request.
        assert way == DELAY
    raise AssertionError(number)


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
    assert rig.contents(prefix) == after


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
        assert rig.contents(prefix) == after
