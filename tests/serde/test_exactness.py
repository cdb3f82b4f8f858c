"""What is stored comes back exactly, or is refused with its place: random classes, and objects changed in odd ways."""

from __future__ import annotations

import enum
from collections import ChainMap, Counter, OrderedDict, defaultdict
from typing import Any

import pydantic
import pytest
from exactness import difference, survey
from serde_samples import Opaque

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde import MsgpackSerializer, Registered


def test_any_object_of_any_class_comes_back_exactly_or_is_refused_with_its_place():
    counts, faults = survey(2400, seed=5)  # many more: run exactness.py
    assert faults == []
    for kind, outcomes in counts.items():  # so that not everything is simply refused
        assert outcomes["exact"] or kind == "strange"
        assert outcomes["refused"] + outcomes["refused when registered"]


@pytest.mark.parametrize(
    "value",
    [
        Counter(),
        Counter({"b": 2, "a": -1, (1,): 2.5}),
        ChainMap(),
        ChainMap({"a": 1}, OrderedDict(b=2), Counter("xx"), ChainMap({}, {"c": (1,)})),
        defaultdict(Counter, {"a": Counter("aab")}),
        defaultdict(ChainMap),
    ],
    ids=repr,
)
def test_counters_and_chain_maps_come_back_exactly(value):
    serializer = MsgpackSerializer()
    assert difference(value, serializer.unpack(serializer.pack(value))) is None
    assert difference([{"a": value}], serializer.unpack(serializer.pack([{"a": value}]))) is None


def refusal(value: Any, *types: Any) -> str:
    with pytest.raises(SerializationError) as caught:
        MsgpackSerializer(types).pack({"state": [value]})
    return str(caught.value)


class Model(pydantic.BaseModel):
    a: int
    b: int = 2


class Colour(enum.Enum):
    RED = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        member = object.__new__(cls)
        member._name_, member._value_ = f"C{value}", value
        return member


def test_the_message_names_the_cause_and_the_fix():
    message = refusal(Model.model_construct(b=1), Model)
    assert message.startswith("state[0] is a ")
    assert "its field 'a' is not set" in message
    assert "set it, or give the class an encode and a decode function" in message
    assert "defines no such member, so other workers may not have it; store its value" in refusal(Colour(5), Colour)
    assert refusal(ChainMap({"a": object()})).startswith("state[0].maps[0]['a'] is a object")


@pytest.mark.parametrize(
    ("encode", "decode", "words"),
    [
        (lambda v: v.value, lambda v: 1 / v, "decode function of 'opaque' raised ZeroDivisionError"),
        (lambda v: v.value, lambda v: [v], "its decode function returns a list"),
        (lambda v: 7, Opaque, "its decode function returns an object that is not equal to it"),
        (lambda v: 1 / v.value, Opaque, "whose encode function raised ZeroDivisionError"),
    ],
)
def test_a_pair_of_functions_that_does_not_return_what_was_put_is_refused(encode, decode, words):
    message = refusal((1, Opaque(0)), Registered("opaque", Opaque, encode, decode))
    assert message.startswith("state[0][1] is a ")
    assert words in message


def test_a_pair_within_a_pair_is_decoded_once_for_each_level():
    decoded = []

    def decode(stored: Any) -> Opaque:
        decoded.append(stored)
        return Opaque(stored)

    serializer = MsgpackSerializer([Registered("opaque", Opaque, lambda v: v.value, decode)])
    value: Any = 0
    for _ in range(20):
        value = Opaque(value)
    serializer.pack(value)
    assert len(decoded) == 20 * 21 / 2  # each object with those inside it, and not twice as often at each level


def test_no_value_makes_the_message_itself_fail():
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError

        def __call__(self) -> None: ...

    assert "state[0][0x" in refusal({10**6000: object()})

    def encode(value: Any) -> Any:
        raise KeyError(10**6000)

    assert refusal(Opaque(1), Registered("opaque", Opaque, encode, Opaque)).endswith("raised KeyError")
    assert refusal(defaultdict(Mute())).startswith("state[0] is a ")
