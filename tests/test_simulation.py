"""Short runs of the simulation of workers and failures; `scripts/simulate` runs longer."""

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
    with sabotage.MEMORY["bytes are dropped while others need them"]():
        found = [run(partial(make_world, "memory"), KINDS[0], steps_of(1)) for _ in range(2)]
    assert found[0] is not None
    assert (found[0].problem, found[0].log) == (found[1].problem, found[1].log)


FIRST_SEEDS = {
    "a proof without the name of the put": 6,
    "a proof without the offset": 21,
    "a copy continues although its source changed": 1,
    "a reader does not read again": 1,
    "the known log is not checked": 1,
}
"""Seeds that find a bug soon; any seed finds the other bugs."""


@pytest.mark.parametrize("bug", sabotage.MEMORY)
def test_a_bug_in_the_code_is_found(bug):
    seed = FIRST_SEEDS.get(bug, 0)
    with sabotage.MEMORY[bug]():
        _, found = search(partial(make_world, "memory"), KINDS, seed, lambda counts: counts.runs >= len(KINDS))
    assert found is not None


@pytest.mark.parametrize("bug", ["a base is taken without proof", "bytes are dropped while others need them"])
def test_a_bug_in_a_script_is_found(bug):
    with sabotage.LUA[bug]():
        _, found = search(partial(make_world, "fakeredis"), KINDS, 0, lambda counts: counts.runs >= 3 * len(KINDS))
    assert found is not None
