"""What a worker that was killed leaves is the beginning of what it put: see `support.killed`; scripts/chaos kills more."""

from __future__ import annotations

import random

import pytest
from support.sites import run_kills
from support.sizes import scaled


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_a_killed_worker_loses_a_suffix(kind, new_server, tmp_path):
    seed = random.randrange(2**31)
    url = new_server().url if kind == "redis" else f"sqlite:///{tmp_path}/c.db"
    count = scaled(15)
    found = run_kills(url, count, seed)
    assert found["broken"] == [], seed
    assert found["seen"]["killed"] == count
    assert found["seen"]["found"] > 0
