"""What a worker that was killed leaves is the beginning of what it put: see `support.killed`; scripts/chaos kills more."""

from __future__ import annotations

import random

import pytest
from support.sites import run_kills


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_a_killed_worker_loses_a_suffix(kind, new_server, tmp_path):
    seed = random.randrange(2**31)
    url = new_server().url if kind == "redis" else f"sqlite:///{tmp_path}/c.db"
    found = run_kills(url, 15, seed)
    assert found["broken"] == [], seed
    assert found["seen"]["killed"] == 15
    assert found["seen"]["found"] > 0
