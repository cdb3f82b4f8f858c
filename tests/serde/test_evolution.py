"""Classes change after their objects were stored."""

from __future__ import annotations

import dataclasses
import enum

import attr
import pydantic
import pytest
from serde_samples import Opaque

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde import MsgpackSerializer, Registered


def reread(value, old, new):
    return MsgpackSerializer([Registered("x", new)]).unpack(MsgpackSerializer([Registered("x", old)]).pack(value))


def dataclass(*fields):
    return dataclasses.make_dataclass("X", fields)


def model(**fields):
    return pydantic.create_model("X", **fields)


ONE = {
    "dataclass": dataclass(("a", int)),
    "attrs": attr.make_class("X", {"a": attr.ib()}),
    "pydantic": model(a=(int, ...)),
}
MORE = {
    "dataclass": dataclass(("a", int), ("b", list, dataclasses.field(default_factory=list)), ("c", int, 5)),
    "attrs": attr.make_class("X", {"a": attr.ib(), "b": attr.ib(factory=list), "c": attr.ib(default=5)}),
    "pydantic": model(a=(int, ...), b=(list, pydantic.Field(default_factory=list)), c=(int, 5)),
}
REQUIRED = {
    "dataclass": dataclass(("a", int), ("b", int)),
    "attrs": attr.make_class("X", {"a": attr.ib(), "b": attr.ib()}),
    "pydantic": model(a=(int, ...), b=(int, ...)),
}


@pytest.mark.parametrize("kind", ONE)
def test_a_missing_field_gets_its_default(kind):
    back = reread(ONE[kind](a=1), ONE[kind], MORE[kind])
    assert (type(back), back.a, back.b, back.c) == (MORE[kind], 1, [], 5)


@pytest.mark.parametrize("kind", ONE)
def test_a_missing_field_without_default_is_named(kind):
    with pytest.raises(SerializationError, match="lacks the field 'b'"):
        reread(ONE[kind](a=1), ONE[kind], REQUIRED[kind])


@pytest.mark.parametrize("kind", ONE)
def test_a_field_that_the_class_no_longer_has_is_named(kind):
    with pytest.raises(SerializationError, match="has a field 'b', which the class no longer has"):
        reread(MORE[kind](a=1), MORE[kind], ONE[kind])


def test_a_removed_enum_member_is_named():
    old = enum.Enum("X", "A B")
    with pytest.raises(SerializationError, match="is 'B', which the class no longer has"):
        reread(old.B, old, enum.Enum("X", "A"))


def test_the_message_about_an_unregistered_name_has_the_line_that_registers_it():
    data = MsgpackSerializer([Registered("x", ONE["dataclass"])]).pack([ONE["dataclass"](1)])
    with pytest.raises(SerializationError) as caught:
        MsgpackSerializer().unpack(data)
    assert str(caught.value) == (
        "the stored value has the type 'x' with the fields a, which is not registered here; register its class: "
        "MsgpackSerializer(types=[Registered('x', …)])"
    )


def test_a_decode_function_that_raises_is_the_cause():
    old = MsgpackSerializer([Registered("o", Opaque, lambda v: v.value, Opaque)])
    new = MsgpackSerializer([Registered("o", Opaque, lambda v: v.value, lambda v: 1 / v)])
    with pytest.raises(SerializationError, match="decode function of 'o' raised ZeroDivisionError") as caught:
        new.unpack(old.pack(Opaque(0)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
