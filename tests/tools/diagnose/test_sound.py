"""A checkup finds nothing in what is in order; the contract, too, ends each test with one (see `support.stores`)."""

from __future__ import annotations

import pytest
from support.checking import amiss, look
from support.data import at, fill, state


@pytest.mark.parametrize("options", [{}, {"ttl": 1000}, {"compression": "zstd"}, {"keep_last": 3}])
def test_large_and_changing_states_are_in_order(checked, options):
    saver = checked.open(**options)
    history = [f"message {number} " * 40 for number in range(80)]
    for number in range(25):
        saver.put(at(), state(f"c{number}", messages=history[number : number + 40], text=f"{number}" * 3000), {})
        saver.put_writes(at(id=f"c{number}"), [("t", "a", history[:20]), ("u", "b", number)], "")
    saver.copy_thread("thread", "copy")
    saver.prune("copy", 2)
    for number in range(3):
        saver.put(at("copy"), state(f"d{number}", text=f"{number}" * 100_000), {})
    report = look(saver)
    assert amiss(report.within) == {}
    assert (report.tally.threads, report.tally.closed, report.tally.busy) == (2, {}, [])
    assert report.tally.logs > 0


def test_quickly_it_looks_at_facts_alone(checked):
    saver = checked.open()
    fill(saver, 3)
    report = look(saver, deep=False)
    assert amiss(report.within) == {}
    assert (report.tally.threads, report.tally.checkpoints, report.tally.logs) == (1, 3, 0)
    assert "logs" not in {each.check for each in report.within}


def test_a_thread_that_is_held_is_looked_at_as_any_other(checked):
    saver = checked.open(ttl=10)
    with saver.lease("thread", ttl=1000):
        fill(saver, 3)
        assert amiss(look(saver).within) == {}
    with saver.lease("nothing else", ttl=1000):
        assert amiss(look(saver).within) == {}
