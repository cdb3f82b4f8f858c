"""What cannot be stored is refused, and the message names its place and the fix."""

from __future__ import annotations

import collections
import dataclasses
import enum
import re
import threading

import msgpack
import numpy as np
import pytest
from serde_samples import Opaque, Person, Point, build

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde import MsgpackSerializer, Registered


class Dict(dict): ...


class List(list): ...


class Str(str): ...


class Int(int): ...


class Float(float): ...


class Bytes(bytes): ...


class Tuple(tuple): ...


class Set(set): ...


class Letter(str, enum.Enum):
    A = "a"


class Sub(Point): ...


class Array(np.ndarray): ...


class Number(np.float64): ...


def message(value, types=(), root=""):
    with pytest.raises(SerializationError) as caught:
        MsgpackSerializer(types).pack(value, root=root)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        Dict(),
        List(),
        Str("a"),
        Int(1),
        Float(1),
        Bytes(b""),
        Tuple(),
        Set(),
        Letter.A,
        Sub(1),
        type("SubCounter", (collections.Counter,), {})(),
        msgpack.ExtType(5, b""),
        msgpack.Timestamp(1),
        memoryview(b"a"),
        object(),
        int,
        len,
        ValueError("x"),
        ...,
        np.array([object()]),
        np.zeros(2).view(Array),
        Number(1),
        np.ma.array([1]),
        np.rec.array([(1,)]),
        collections.defaultdict(lambda: 1),
        re.compile("a", re.UNICODE | 0).sub,
        {msgpack.ExtType(1, b"")},
        {msgpack.Timestamp(1): 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_of_an_exact_known_type_is_refused(value):
    for each in (value, [value], {"a": (value,)}, bytearray_beside(value)):
        message(each, [Point])


def bytearray_beside(value):
    return [bytearray(b"a"), value]


def test_a_pattern_compiled_for_debugging_is_refused(capsys):
    assert "re.DEBUG" in message(re.compile("a", re.DEBUG))


def test_the_message_names_place_type_and_line():
    name = f"{Person.__module__}.Person"
    state = {"channel_values": {"messages": [0, 1, 2, Point(1, build(Person))]}}
    assert message(state, [Point]) == (
        f"channel_values['messages'][3].y is a {name}, which is not registered; "
        "register it: MsgpackSerializer(types=[Person])"
    )
    assert message([Opaque(1)], root="writes[0]") == (
        f"writes[0][0] is a {Opaque.__module__}.Opaque, which is not registered; "
        'register it: MsgpackSerializer(types=[Registered("opaque", Opaque, encode=…, decode=…)])'
    )
    assert message(Point(1)).startswith(f"the value is a {Point.__module__}.Point, which is not registered")
    assert message({"s": {Letter.A}}).startswith("s{…} is a ")
    assert message({"a": {(1, Letter.A): 2}}).startswith("a[key <tuple>][1] is a ")
    assert message({"a": np.array([None])}).startswith("a is a numpy.ndarray that cannot be stored: its dtype")


def test_the_message_of_an_encode_function_names_the_place_and_has_the_cause():
    def encode(_value):
        raise ZeroDivisionError("oh")

    serializer = MsgpackSerializer([Registered("opaque", Opaque, encode, Opaque)])
    with pytest.raises(SerializationError) as caught:
        serializer.pack({"a": [Opaque(1)]})
    assert (
        str(caught.value) == f"a[0] is a {Opaque.__module__}.Opaque whose encode function raised ZeroDivisionError: oh"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert serializer.unpack(serializer.pack({"a": (1,)})) == {"a": (1,)}


def test_a_cycle_is_refused_with_its_place():
    ring: list = [1]
    ring.append({"me": (ring,)})
    assert message({"a": ring}) == "a[1]['me'][0] is a list that contains itself; refer to it by an id instead"


def nest(levels, wrap):
    value = 0
    for _ in range(levels):
        value = wrap(value)
    return value


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


def unwrap(value, levels, step):
    for _ in range(levels):
        value = step(value)
    return value


def test_a_hundred_nested_types_fit_and_more_do_not():
    serializer = MsgpackSerializer()
    value = nest(100, lambda v: (v,))
    assert in_thread(lambda: serializer.unpack(serializer.pack(value)) == value)
    assert "nested too deeply" in message(nest(101, lambda v: (v,)))
    assert "nested too deeply" in message(wrap_around([bytearray(b"x")], 100, lambda v: (v,)))
    held = wrap_around([bytearray(b"x")], 99, lambda v: (v,))
    assert in_thread(lambda: serializer.unpack(serializer.pack(held)) == held)
    wide = nest(100, lambda v: (nest(99, lambda w: [w]) if v == 0 else nest_in(v, 99),))
    assert in_thread(lambda: len(serializer.unpack(serializer.pack(wide)))) == 1
    in_thread(lambda: message(nest(100, lambda v: (nest_in(v, 1000),))))


def nest_in(value, levels):
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {1: v}], ids=["lists", "dicts"])
def test_whatever_depth_of_lists_and_dicts_packs_also_unpacks(wrap):
    serializer = MsgpackSerializer()
    for levels in (100, 500, 512, 1000, 1023, 1024):
        for leaf in (wrap, lambda v: (v,), lambda v: [{1: (v, bytearray(b"x"))}]):
            value = nest(levels, wrap) if leaf is wrap else wrap_around(leaf(1), levels, wrap)
            try:
                data = serializer.pack(value)
            except SerializationError:
                assert levels > 500
            else:
                serializer.unpack(data)
    assert "nested too deeply" in message(nest(1100, wrap))
    assert "nested too deeply" in message(nest(100_000, wrap))


def wrap_around(value, levels, wrap):
    for _ in range(levels):
        value = wrap(value)
    return value


def test_an_attribute_besides_the_fields_is_refused():
    person = build(Person, name="a", age=1, tags=[], other=1)
    assert "its attribute 'other' is not a field of the class" in message([person], [Person])
    assert "its field 'name' is not set" in message([build(Person, age=1)], [Person])


@dataclasses.dataclass
class Both(dict):
    a: int = 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MsgpackSerializer([Point, Registered("Point", Person)]), ValueError, "'Point' is registered twice"),
        (lambda: MsgpackSerializer([Point, Registered("p", Point)]), ValueError, "Point is registered twice"),
        (lambda: MsgpackSerializer([Opaque]), TypeError, "encode=…, decode=…"),
        (lambda: MsgpackSerializer([Both]), TypeError, "encode=…, decode=…"),
        (lambda: Registered("o", Opaque, encode=str), TypeError, "only one of encode and decode"),
        (lambda: Registered("", Point), ValueError, "is empty"),
        (lambda: Registered(5, Point), TypeError, "must be a str, not int"),
        (lambda: MsgpackSerializer(["x"]), TypeError, "not a class"),
        (lambda: MsgpackSerializer([Registered("x", set, list, set)]), ValueError, "needs no registration"),
        (
            lambda: MsgpackSerializer([Registered("x", bytearray, bytes, bytearray)]),
            ValueError,
            "needs no registration",
        ),
        (lambda: MsgpackSerializer([Registered("x", np.ndarray, bytes, bytes)]), ValueError, "needs no registration"),
        (lambda: MsgpackSerializer([Registered("zerograph.Send", Point)]), ValueError, "registered twice"),
    ],
)
def test_a_wrong_registration_is_refused_when_it_is_made(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()
