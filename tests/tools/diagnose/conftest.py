"""The stores that checkups run on, through blocking methods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.stores import Store, make_store


@pytest.fixture(params=["redis-sync", "cluster-sync", "sqlite-sync"])
def checked(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every kind of store."""
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture(params=["redis-sync", "cluster-sync"])
def checked_redis(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A server, and a cluster."""
    made = make_store(request.param, request)
    yield made
    made.close()


@pytest.fixture
def cluster_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A cluster alone."""
    made = make_store("cluster-sync", request)
    yield made
    made.close()
