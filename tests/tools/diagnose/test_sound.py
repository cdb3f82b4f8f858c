"""A checkup finds nothing in what is in order: each case of the contract is done, and what it leaves is looked over."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.checking import amiss, check

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
