"""How many rounds the generators make: ``ROUNDS=5000 SEED=7 scripts/test tests/words`` makes many more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from support.sizes import scaled

SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture
def rounds() -> Iterator[tuple[int, random.Random]]:
    """Numbers of rounds, each with what decides it by chance: a round comes again by its number and the seed."""
    return ((number, random.Random(f"{SEED} {number}")) for number in range(int(os.environ.get("ROUNDS", scaled(60)))))
