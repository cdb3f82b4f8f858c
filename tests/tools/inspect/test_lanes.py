"""Trees in lines of text."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from zerograph_redis.tools.inspect.lanes import draw


def drawn(*nodes):
    lines = []
    for (name, _), line in zip(nodes, draw(nodes), strict=True):
        lines += [line.joins] if line.joins else []
        lines.append(f"{line.lanes} {name}")
    return lines


def test_a_chain_is_one_lane():
    assert drawn(("c", "b"), ("b", "a"), ("a", None)) == ["● c", "● b", "○ a"]


def test_a_fork_meets_in_its_parent():
    assert drawn(("e", "c"), ("d", "b"), ("c", "b"), ("b", "a"), ("a", None)) == [
        "● e",
        "│ ● d",
        "● │ c",
        "├─╯",
        "● b",
        "○ a",
    ]


def test_forks_cross_lanes_that_go_on():
    assert drawn(("f", "a"), ("e", "b"), ("d", "a"), ("c", "b"), ("b", "a"), ("a", None)) == [
        "● f",
        "│ ● e",
        "│ │ ● d",
        "│ │ │ ● c",
        "│ ├─┼─╯",
        "│ ● │ b",
        "├─┴─╯",
        "○ a",
    ]


def test_no_line_leads_to_a_missing_parent():
    assert drawn(("b", "missing"), ("a", "missing")) == ["● b", "● a"]


def test_a_node_without_children_takes_the_first_free_lane():
    assert drawn(("d", "c"), ("c", None), ("b", "a"), ("a", None)) == ["● d", "○ c", "● b", "○ a"]


def test_a_parent_that_was_stored_later_than_its_child_has_no_line():
    assert drawn(("a", None), ("b", "a")) == ["○ a", "● b"]


@settings(deadline=None)
@given(st.data(), st.integers(1, 30))
def test_every_lane_ends_in_its_parent(data, count):
    nodes = [
        (number, data.draw(st.one_of(st.none(), st.integers(number + 1, count - 1))) if number < count - 1 else None)
        for number in range(count)
    ]
    lines = draw([(str(name), None if parent is None else str(parent)) for name, parent in nodes])
    children = {parent for _, parent in nodes}
    for (name, parent), line in zip(nodes, lines, strict=True):
        assert line.lanes.count("●") + line.lanes.count("○") == 1
        assert ("○" in line.lanes) is (parent is None)
        assert (line.joins is not None) is (sum(each == name for _, each in nodes) > 1)
    # After the last node no lane is open.
    assert set(lines[-1].lanes) <= {"○", "●", " "}
    assert children <= {name for name, _ in nodes} | {None}
