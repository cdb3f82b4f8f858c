"""A checkup finds nothing in what is in order: each case of the contract is done, and what it leaves is looked over."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.checking import amiss, check
from support.data import at, fill, state

STORES = {"store", "saver", "shared_store", "redis_store"}
WAITING = {"test_leases", "test_retention"}  # these wait, and leave nothing that others do not


def cases() -> Iterator[Any]:
    """The cases of the contract that need nothing but a store."""
    for path in sorted((Path(__file__).parents[2] / "contract").glob("test_*.py")):
        if path.stem in WAITING:
            continue
        spec = importlib.util.spec_from_file_location(f"contract_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, case in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and inspect.signature(case).parameters.keys() <= STORES:
                yield pytest.param(case, id=f"{path.stem}-{name}")


CASES = list(cases())


def test_there_are_cases():
    assert len(CASES) > 60


@pytest.mark.parametrize("checked", ["redis-sync", "sqlite-sync"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_what_the_contract_leaves_is_in_order(checked, case):
    needed = inspect.signature(case).parameters.keys()
    if "redis_store" in needed and checked.kind == "sqlite":
        return
    saver = checked.open() if "saver" in needed else None
    case(**{name: saver if name == "saver" else checked for name in needed})
    for fix in (False, True):
        found = amiss(check(checked.open(), fix=fix).stored)
        found.pop("order", None)  # a case may store checkpoints before their parents
        assert found == {}


@pytest.mark.parametrize("options", [{}, {"ttl": 1000}, {"compression": "zstd"}, {"keep_last": 3}])
def test_large_and_changing_states_are_in_order(checked, options):
    saver = checked.open(**options)
    history = [f"message {number} " * 40 for number in range(80)]
    for number in range(25):
        saver.put(at(), state(f"c{number}", messages=history[number : number + 40], text=f"{number}" * 3000), {})
        saver.put_writes(at(id=f"c{number}"), [("t", "a", history[:20]), ("u", "b", number)], "")
    saver.copy_thread("thread", "copy")
    saver.prune("copy", 2)
    for number in range(3):
        saver.put(at("copy"), state(f"d{number}", text=f"{number}" * 100_000), {})
    report = check(saver)
    assert amiss(report.stored) == {}
    assert (report.tally.threads, report.tally.undecodable, report.tally.busy) == (2, {}, [])
    assert report.tally.logs > 0


def test_quickly_it_looks_at_facts_alone(checked):
    saver = checked.open()
    fill(saver, 3)
    report = check(saver, deep=False)
    assert amiss(report.stored) == {}
    assert (report.tally.threads, report.tally.checkpoints, report.tally.logs) == (1, 3, 0)
    assert "logs" not in {each.check for each in report.stored}


def test_a_thread_that_is_held_is_looked_at_as_any_other(checked):
    saver = checked.open(ttl=10)
    with saver.lease("thread", ttl=1000):
        fill(saver, 3)
        assert amiss(check(saver).stored) == {}
    with saver.lease("nothing else", ttl=1000):
        assert amiss(check(saver).stored) == {}
