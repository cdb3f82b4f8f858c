"""The simulation of workers, failures and time travel, for as long as a test may take; `scripts/simulate` runs longer."""

from __future__ import annotations

from functools import partial

import pytest
from simulation import sabotage
from simulation.search import KINDS, run, search, steps_of
from simulation.worlds import make_world
from support.sizes import scaled

RUNS = {"memory": scaled(120), "fakeredis": scaled(12), "redis": scaled(24)}


@pytest.mark.parametrize("name", RUNS)
def test_any_worker_reads_what_was_acknowledged_whatever_the_store_loses_or_repeats(name, request):
    port = request.getfixturevalue("new_server")().port if name == "redis" else None
    counts, found = search(partial(make_world, name, port), KINDS, 1, lambda counts: counts.runs >= RUNS[name])
    assert found is None
    assert counts.puts > counts.runs


def test_a_seed_does_the_same_each_time():
    with sabotage.MEMORY["bytes go while others need them"]():
        found = [run(partial(make_world, "memory"), KINDS[0], steps_of(1)) for _ in range(2)]
    assert found[0] is not None
    assert (found[0].problem, found[0].log) == (found[1].problem, found[1].log)


FIRST_SEEDS = {
    "a proof without the name of the put": 6,
    "a proof without the offset": 21,
    "a copy goes on although its source changed": 1,
    "a reader does not read again": 1,
    "the known log is not checked": 1,
}
"""The seeds that find a fault soon; any seed finds the others."""


@pytest.mark.parametrize("fault", sabotage.MEMORY)
def test_a_fault_in_the_code_is_found(fault):
    seed = FIRST_SEEDS.get(fault, 0)
    with sabotage.MEMORY[fault]():
        _, found = search(partial(make_world, "memory"), KINDS, seed, lambda counts: counts.runs >= len(KINDS))
    assert found is not None


@pytest.mark.parametrize("fault", ["a base is taken without proof", "bytes go while others need them"])
def test_a_fault_in_a_script_is_found(fault):
    with sabotage.LUA[fault]():
        _, found = search(partial(make_world, "fakeredis"), KINDS, 0, lambda counts: counts.runs >= 3 * len(KINDS))
    assert found is not None
