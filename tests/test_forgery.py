"""An attacker with write access and no key: what readers get is an error, or what was there at some moment."""

from __future__ import annotations

import pytest
from support.forging import ATTACKS, forge
from support.kept import RedisTarget, SqliteTarget

ROUNDS = 40


@pytest.fixture(params=["redis", "sqlite"])
def target(request, tmp_path):
    if request.param == "sqlite":
        yield SqliteTarget(tmp_path)
        return
    client = request.getfixturevalue("redis_server").client()
    client.flushall()
    yield RedisTarget(client)
    client.flushall()
    client.close()


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_an_attacker_makes_of_what_is_stored_is_taken_for_a_state_that_never_was(target, seed):
    found = forge(target, seed, rounds=ROUNDS)
    assert not found.wrong
    assert len(found.made) > len(ATTACKS) / 2
    assert found.read > ROUNDS  # not all of it was refused
