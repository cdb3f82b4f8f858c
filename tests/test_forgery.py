"""An attacker with write access and no key: readers get an error, or what was stored at some moment."""

from __future__ import annotations

import pytest
from support.forging import ATTACKS, forge
from support.stored_thread import AttackedRedis, AttackedSqlite

ROUNDS = 40


@pytest.fixture(params=["redis", "sqlite"])
def target(request, tmp_path):
    if request.param == "sqlite":
        yield AttackedSqlite(tmp_path)
        return
    client = request.getfixturevalue("redis_server").client()
    client.flushall()
    yield AttackedRedis(client)
    client.flushall()
    client.close()


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_an_attacker_changes_is_read_as_a_state_that_was_never_stored(target, seed):
    found = forge(target, seed, rounds=ROUNDS)
    assert not found.wrong
    assert len(found.made) > len(ATTACKS) / 2
    assert found.read > ROUNDS  # not every read was refused
