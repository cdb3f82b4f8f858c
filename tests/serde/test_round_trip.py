"""Everything comes back as it was, types included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict, deque
from datetime import UTC

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serde_samples import ARRAYS, NAMED, SCALARS, VALUES, Model, Opaque, Pair, Person, Point, build, same
from support.sizes import scaled

from zerograph_redis.serde import MsgpackSerializer, Registered


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_exactly(serializer, value):
    assert same(serializer.unpack(serializer.pack(value)), value)
    nested = {"a": [value, (value, {"b": deque([value])})], "c": OrderedDict(x=value)}
    assert same(serializer.unpack(serializer.pack(nested)), nested)


@pytest.mark.parametrize("value", [*ARRAYS, *SCALARS], ids=repr)
def test_a_numpy_value_comes_back_exactly(value):
    serializer = MsgpackSerializer()
    back = serializer.unpack(serializer.pack([value]))[0]
    assert same(back, value)
    assert back.dtype.char == value.dtype.char
    if isinstance(back, np.ndarray):
        assert back.flags.writeable


def test_a_pydantic_model_comes_back_with_its_state(serializer):
    model = Model(a=1, more=(2,))
    model._hidden = 9
    back = serializer.unpack(serializer.pack(model))
    assert back == model
    assert (back.model_fields_set, back.model_extra, back._hidden) == ({"a", "more"}, {"more": (2,)}, 9)
    odd = Model.model_construct(a=("not", "an int"))
    assert serializer.unpack(serializer.pack(odd)).a == ("not", "an int")


def test_a_cached_property_is_not_stored(serializer):
    person = build(Person, name="a", age=1, tags=[])
    assert person.greeting
    assert vars(serializer.unpack(serializer.pack(person))) == {"name": "a", "age": 1, "tags": []}


KEYS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.uuids()
    | st.fractions()
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3) | inner.map(Point),
    max_leaves=4,
)
TIMES = st.datetimes(timezones=st.none() | st.timezones() | st.just(UTC) | st.just(NAMED))
LEAVES = (
    KEYS
    | st.floats()
    | st.complex_numbers()
    | st.decimals()
    | TIMES
    | st.timedeltas()
    | st.ip_addresses()
    | st.binary().map(bytearray)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict)
        | st.sets(KEYS, max_size=4)
        | inner.map(Point)
        | inner.map(Opaque)
        | inner.map(lambda value: Pair(value))
    ),
    max_leaves=12,
)


@settings(max_examples=scaled(250), deadline=None)
@given(st.data())
def test_any_nested_value_comes_back_exactly(data):
    serializer = MsgpackSerializer([Point, Pair, Registered("opaque", Opaque, lambda v: v.value, Opaque)])
    value = data.draw(TREES)
    assert same(serializer.unpack(serializer.pack(value)), value)


def test_equal_sets_are_the_same_bytes_in_every_process():
    members = "{'a', 'b', 'c', 'dd', 'ee', 1, 2.5, (1, 'x'), frozenset({'p', 'q', 'r', 7})}"
    code = f"from zerograph_redis import MsgpackSerializer as M; print(M().pack([{members}, set('abcdefgh')]).hex())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1
