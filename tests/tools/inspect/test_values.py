"""Any value can be shown, compared and converted for JSON."""

from __future__ import annotations

import json
from collections import ChainMap, Counter, OrderedDict, deque
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

import attrs
import hypothesis.strategies as st
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from zerograph import Interrupt

from zerograph_redis.cli.values import ALL, SHORT, brief, to_node
from zerograph_redis.serde.inspecting import StandIn
from zerograph_redis.tools.inspect.changes import find_differences
from zerograph_redis.tools.inspect.values import fields_of, key_of, plain


@attrs.define
class Attrs:
    a: int


class Model(pydantic.BaseModel, extra="allow"):
    a: int


class Named(NamedTuple):
    a: int


class Colour(Enum):
    RED = 1


class Rude:
    def __repr__(self):
        raise RuntimeError


ODD = [
    *(Attrs(1), Model(a=1, b=2), Named(1), Colour.RED, Interrupt("q"), StandIn("x", [{"a": 1}])),
    *(StandIn("x\x00\ud800", ["y"]), StandIn("", []), StandIn("m", [{"a": 1}, {"a"}, {"b": 2}, None])),
    *(np.arange(9.0), np.array("x"), np.zeros((2, 0)), np.float64(1), np.datetime64("2026-01-01")),
    *(Decimal(1), timedelta(1), deque([1]), OrderedDict(a=1), range(3), slice(1), 1j, object, "\ud800", b"\xff"),
]

values = st.recursive(
    st.one_of(st.sampled_from(ODD), st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none()), inner, max_size=5),
        st.tuples(inner, inner),
        st.lists(inner, max_size=3).map(deque),
    ),
    max_leaves=20,
)


HUGE = [  # has no repr, so hypothesis cannot have it
    *(
        10**6000,
        (-(10**6000),),
        Fraction(10**6000, 7),
        range(10**6000),
        slice(10**6000),
        {10**6000, 1},
        Attrs(10**6000),
    ),
    *(
        Counter({10**6000: 2}),
        ChainMap({1: 10**6000}),
        Model(a=10**6000, b={(10**6000, 1): 2}),
        StandIn("x", [10**6000]),
    ),
]


@settings(deadline=None)
@given(values)
def test_any_value_can_be_shown_and_converted(value):
    show_and_convert(value)


@pytest.mark.parametrize("place", range(len(HUGE)))
def test_a_value_with_huge_ints_can_be_shown_and_converted(place):
    show_and_convert(HUGE[place])
    show_and_convert({"a": [HUGE[place]]})
    assert "repr" not in brief(HUGE[place])


def show_and_convert(value):
    for limits in (SHORT, ALL):
        assert to_node(value, limits).render(max_width=40)
    json.dumps(plain(value), allow_nan=False)
    assert key_of(value) == key_of(value)
    assert find_differences({"x": value}, {"x": value}) == []


def test_an_object_whose_repr_raises_is_shown_as_what_it_is():
    assert brief([Rude()]) == "[<Rude whose repr raised RuntimeError>]"
    assert plain({"a": Rude()}) == {"a": "<Rude whose repr raised RuntimeError>"}


@pytest.mark.parametrize("limits", [SHORT, ALL])
def test_a_value_nested_too_deeply_is_truncated(limits):
    value = []
    for _ in range(5000):
        value = [value]
    assert "…" in to_node(value, limits).render()
    assert "…" in json.dumps(plain(value), ensure_ascii=False)
    assert find_differences({"x": value}, {"x": value}) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Attrs(1), ("Attrs", {"a": 1})),
        (Model(a=1, b=2), ("Model", {"a": 1, "b": 2})),
        (Named(1), ("Named", {"a": 1})),
        (Interrupt("q", "1"), ("Interrupt", {"value": "q", "id": "1"})),
        (StandIn("m", [{"a": 1}, {"a"}, {"b": 2}, None]), ("m", {"a": 1, "b": 2})),
        (StandIn("m", [1]), None),
        ({"a": 1}, None),
        (Attrs, None),
    ],
)
def test_objects_have_fields(value, found):
    assert fields_of(value) == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [True]), ({"a": [0.0]}, {"a": [-0.0]}), ([b""], [bytearray()]), ([[1]], [(1,)]),
        (1, True), (1, 1.0), (0.0, -0.0), ([], ()), ({1}, frozenset({1})), (b"", bytearray()), ("1", 1),
        (np.zeros(2), np.zeros(2, "f4")), (np.zeros(2), np.zeros((1, 2))), (Attrs(1), Attrs(2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)  # fmt: skip
def test_values_that_are_not_exactly_alike_differ(one, other):
    assert key_of(one) != key_of(other)
    assert {each.channel for each in find_differences({"x": one}, {"x": other})} == {"x"}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ([1, 2], [1, 2, 3], [("appended", [], None, [3], 2)]),
        ([1, 2, 3], [2, 3, 4], [("removed", [], [1], None, 0), ("appended", [], None, [4], 2)]),
        ([1, 2, 3], [1, 3], [("removed", [], [2], None, 1)]),
        ([1, 3], [1, 2, 3], [("added", [], None, [2], 1)]),
        ([1, 2, 3], [1, 9, 3], [("changed", [1], 2, 9, 0)]),
        ([1], [], [("removed", [], [1], None, 0)]),
        ((1, 2), (1, 2, 3), [("appended", [], None, [3], 2)]),
        ({"a": [1]}, {"a": [2]}, [("changed", ["a", 0], 1, 2, 0)]),
        (Attrs(1), Attrs(2), [("changed", ["a"], 1, 2, 0)]),
        ([1], (1,), [("changed", [], [1], (1,), 0)]),
        ([[1, 2]] * 3, [[1, 2]] * 2 + [[1, 2, 3]], [("appended", [2], None, [3], 2)]),
    ],
)
def test_lists_are_compared_by_their_members(before, after, found):
    differences = find_differences({"x": before}, {"x": after})
    assert [(each.kind, each.path, each.before, each.after, each.place) for each in differences] == found


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.lists(st.integers(0, 4), max_size=12))
def test_the_differences_of_two_lists_make_one_of_the_other(before, after):
    made = list(before)
    shift = 0
    for each in find_differences({"x": before}, {"x": after}):
        if each.kind == "changed":
            made[each.path[0]] = each.after
        elif each.kind == "removed":
            first = each.place + shift
            assert made[first : first + len(each.before)] == each.before
            del made[first : first + len(each.before)]
            shift -= len(each.before)
        else:
            made[each.place : each.place] = each.after
            shift += len(each.after)
    assert made == after
