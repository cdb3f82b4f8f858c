"""The contract also holds for savers that store in the background."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.stores import QUEUED_STORES, STORES, Store, matrix, opened


@pytest.fixture(params=matrix([*STORES, *QUEUED_STORES]))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every backend, through both faces, and some that store in the background."""
    yield from opened(request)
