"""Ints with more decimal digits than Python converts: every command shows them."""

from __future__ import annotations

import json
from collections import ChainMap, Counter
from fractions import Fraction

import pytest
from support.data import at
from zerograph import Interrupt

HUGE = 10**6000
HEX = hex(HUGE)


@pytest.fixture
def thread(saver):
    """A thread with such ints wherever a user may put some."""
    config = at("t")
    for step, more in enumerate((HUGE, -HUGE)):
        channels = {
            "n": more,
            "by key": {more: 1, (more, 1): 2, (more, 2): 3},
            "list": [more, {"deep": (more,)}],
            "count": Counter({"x": more, more: 2}),
            "chain": ChainMap({"x": more}, {}),
            "others": [Fraction(more, 3), range(more), slice(more), frozenset({more})],
        }
        values = {"channel_values": channels, "_step": more, "_next_nodes": [more]}
        config = saver.put(config, {"id": f"c{step}", **values}, {"step": more, "source": "loop", "more": [more]})
        saver.put_writes(
            config, [("task", "n", more), ("task", "__interrupt__", Interrupt({"ask": more}, "i"))], "task"
        )
    return "t"


@pytest.mark.parametrize(
    "command", [["history"], ["show"], ["diff"], ["show", "--full"], ["diff", "--full"]], ids=" ".join
)
def test_a_command_shows_them(cli, thread, command):
    shown = cli(*command, thread)
    assert shown.code == 0, shown
    assert "repr" not in shown.out
    assert HEX[:20] in shown.out
    if "--full" not in command:
        assert max(map(len, shown.out.split())) < 400  # and in a bounded way


def test_json_has_them_exactly(cli, thread):
    channels = json.loads(cli("show", thread, "--json").out)["channels"]
    assert channels["n"] == hex(-HUGE)
    assert channels["by key"] == {hex(-HUGE): 1, f"({hex(-HUGE)}, 1)": 2, f"({hex(-HUGE)}, 2)": 3}
    assert channels["others"] == [
        f"Fraction({hex(-HUGE)}, 3)",
        f"range(0, {hex(-HUGE)}, 1)",
        f"slice(None, {hex(-HUGE)}, None)",
        [hex(-HUGE)],
    ]
    assert channels["count"] == {"x": hex(-HUGE), hex(-HUGE): 2}
    assert channels["chain"] == {"type": "ChainMap", "fields": {"maps": [{"x": hex(-HUGE)}, {}]}}
    (newest, _) = json.loads(cli("history", thread, "--json").out)["namespaces"][0]["entries"]
    assert newest["interrupts"] == [{"ask": hex(-HUGE)}]
    changes = json.loads(cli("diff", thread, "--json").out)["changes"]
    assert [HEX, hex(-HUGE)] in [[each.get("before"), each.get("after")] for each in changes]


def test_ints_that_python_converts_stay_numbers_in_json(cli, saver):
    values = [10**4299, -(10**4299), 2**64, True]
    saver.put(at("t"), {"id": "c", "channel_values": {"n": values}}, {})
    assert json.loads(cli("show", "t", "--json").out)["channels"]["n"] == values
    assert "(4,300 digits)" in cli("show", "t").out
