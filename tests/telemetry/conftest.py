"""Savers that are observed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.exporters import Exported
from support.stores import Store, make_store


@pytest.fixture
def exported() -> Iterator[Exported]:
    """What the savers of the test export."""
    made = Exported()
    yield made
    made.close()


@pytest.fixture(
    params=["sqlite-sync", "sqlite-async", "memory-async", "redis-sync", "redis-async", "cluster-sync", "cluster-async"]
)
def store(request) -> Iterator[Store]:
    """Every backend, through both faces."""
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture
def saver(store: Store, exported: Exported) -> Any:
    """A saver that is observed."""
    return store.open(telemetry=exported.telemetry)
