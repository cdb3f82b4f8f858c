"""Short runs of scripts/chaos: real servers, real workers, and workers and servers that are killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="scripts/ does not come with the source distribution")


@pytest.fixture
def scenarios(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from scenarios import failover, faults, leases

    yield {
        "failover": failover,
        "fail_over": failover.fail_over,
        "take_turns": leases.take_turns,
        "drop": faults.drop_connections,
    }
    for name in [name for name in sys.modules if name.partition(".")[0] == "scenarios"]:
        del sys.modules[name]


def test_with_leases_workers_that_stall_and_die_leave_one_chain_on_every_thread(scenarios, tmp_path):
    outcome = scenarios["take_turns"](tmp_path, 6, leased=True, workers=2, threads=5)
    # Some stalled workers came back too late, and were refused.
    assert outcome.broken == []
    assert outcome.forks == outcome.lost == 0
    assert outcome.injected > 1
    assert outcome.found == outcome.acknowledged > 0


@pytest.mark.full
def test_without_leases_such_workers_fork_threads(scenarios, tmp_path):
    outcome = scenarios["take_turns"](tmp_path, 2, leased=False, workers=2, threads=2)
    assert outcome.broken == []
    assert outcome.forks > 0
    assert outcome.lost == 0


@pytest.mark.full
@pytest.mark.parametrize("replicas", [0, 2])
def test_workers_continue_by_themselves_after_their_primary_was_killed(scenarios, tmp_path, replicas):
    setting = scenarios["failover"].Setting("kill", replicas)
    outcome = scenarios["fail_over"](tmp_path, 0, setting, workers=2, times=1)
    assert outcome.broken == []
    assert outcome.injected == 1
    assert outcome.acknowledged > 0
    # Without replicas that confirm a write, a failover may lose it.
    assert outcome.lost == 0 or replicas == 0


@pytest.mark.full
def test_what_all_replicas_confirmed_survives_a_primary_that_stalls(scenarios, tmp_path):
    setting = scenarios["failover"].Setting("stall", 2)
    outcome = scenarios["fail_over"](tmp_path, 0, setting, workers=2, times=1)
    assert outcome.broken == []
    assert outcome.lost == 0 < outcome.acknowledged


@pytest.mark.full
def test_connections_that_are_dropped_under_load_lose_nothing_and_repeat_nothing(scenarios, tmp_path):
    outcome = scenarios["drop"](tmp_path, 3, workers=2)
    assert outcome.broken == []
    assert outcome.lost == outcome.forks == 0
    assert outcome.injected >= 20
    assert outcome.found == outcome.acknowledged > 0
