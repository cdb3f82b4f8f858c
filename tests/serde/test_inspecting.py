"""Values of types that are not registered here can be read all the same, to show them."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from enum import Enum

import msgpack
import numpy as np
import pytest

from zerograph_redis import CorruptCheckpointError, MsgpackSerializer, Registered, SerializationError
from zerograph_redis.serde.inspecting import StandIn, inspecting


@dataclass(frozen=True)
class Point:
    x: int
    y: object


class Colour(Enum):
    RED = 1


class Weight:
    def __init__(self, grams):
        if grams < 0:
            raise RuntimeError("no such weight")
        self.grams = grams


KNOWN = MsgpackSerializer(
    types=[Point, Colour, Registered("w", Weight, encode=lambda value: value.grams, decode=Weight)]
)
INSPECTING = inspecting(MsgpackSerializer())


def test_what_is_known_comes_back_as_itself():
    value = {"at": [Point(1, (2,))], "colour": Colour.RED}
    assert inspecting(KNOWN).unpack(KNOWN.pack(value)) == value


def test_what_is_not_known_is_shown_by_its_name_and_fields():
    found = INSPECTING.unpack(KNOWN.pack({"at": (Point(1, [Point(2, None)]),), "colour": Colour.RED, "w": Weight(5)}))
    assert repr(found) == "{'at': (Point(x=1, y=[Point(x=2, y=None)]),), 'colour': Colour('RED'), 'w': w(5)}"
    assert found["at"][0].fields["x"] == 1
    assert found["colour"].fields is None


def test_stand_ins_may_be_keys_and_members_of_sets():
    found = INSPECTING.unpack(KNOWN.pack({"set": {Point(1, 2), Point(3, 4)}, Point(1, 2): 1}))
    assert found["set"] == {StandIn("Point", [{"x": 1, "y": 2}]), StandIn("Point", [{"x": 3, "y": 4}])}
    assert found[StandIn("Point", [{"x": 1, "y": 2}])] == 1


def test_a_type_that_has_other_fields_today_is_shown_as_it_was_stored():
    today = MsgpackSerializer(types=[Registered("Point", make_dataclass("Point", [("z", int)]))])
    packed = KNOWN.pack(Point(1, 2))
    with pytest.raises(SerializationError):
        today.unpack(packed)
    assert repr(inspecting(today).unpack(packed)) == "Point(x=1, y=2)"


def test_a_decode_function_that_raises_is_no_error():
    packed = KNOWN.pack(Weight(5)).replace(b"\x05", b"\xff")
    assert repr(inspecting(KNOWN).unpack(packed)) == "w(-1)"


def test_a_code_of_a_later_version_is_shown_by_its_number():
    assert repr(INSPECTING.unpack(msgpack.packb([1, msgpack.ExtType(99, b"ab")]))) == "[1, code 99(b'ab')]"


def test_an_array_without_numpy_is_shown_by_its_bytes(monkeypatch):
    packed = KNOWN.pack({"a": np.zeros(2)})
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    assert repr(INSPECTING.unpack(packed)["a"]).startswith("code 32(")


def test_damaged_bytes_are_an_error_all_the_same():
    with pytest.raises(CorruptCheckpointError):
        INSPECTING.unpack(b"\xc1")
    with pytest.raises(CorruptCheckpointError):
        INSPECTING.unpack(KNOWN.pack([1, 2])[:-1])


def test_a_stand_in_is_never_stored():
    with pytest.raises(SerializationError, match="StandIn"):
        INSPECTING.pack(StandIn("Point", [{"x": 1}]))


def test_a_serializer_of_another_class_stays_as_it_is():
    class Mine(MsgpackSerializer):
        pass

    mine = Mine()
    assert inspecting(mine) is mine
