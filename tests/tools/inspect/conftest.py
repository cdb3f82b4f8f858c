"""Stores that are looked into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.stores import Store, make_store


@pytest.fixture(params=["fakeredis-sync", "redis-sync", "sqlite-sync", "redis-encrypted-sync"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One of every kind."""
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture
def redis_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A Redis."""
    made = make_store("redis-sync", request)
    yield made
    made.close()
