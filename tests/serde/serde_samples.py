"""Values of every kind, classes to register, and a comparison of types too."""

from __future__ import annotations

import dataclasses
import enum
import functools
import ipaddress as ip
import math
import pathlib
import re
import uuid
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attr
import numpy as np
import pydantic
from zerograph.channels.messages import RemoveMessage
from zerograph.checkpoint import CheckpointTuple
from zerograph.store import StoreItem
from zerograph.types import Command, Interrupt, Overwrite, PregelTask, Send, StateSnapshot, TimeoutPolicy


def same(a: Any, b: Any) -> bool:
    """Return whether *a* and *b* are of one type and equal, down to their last part."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dict):
        factories = getattr(a, "default_factory", None) is getattr(b, "default_factory", None)
        return factories and len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, deque):
        return a.maxlen == b.maxlen and same(list(a), list(b))
    if isinstance(a, (set, frozenset)):
        rest = list(b)
        for item in a:
            match = next((i for i, other in enumerate(rest) if same(item, other)), None)
            if match is None:
                return False
            del rest[match]
        return not rest
    if isinstance(a, (datetime, time)):
        return a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold and same_zone(a.tzinfo, b.tzinfo)
    if isinstance(a, slice):
        return same([a.start, a.stop, a.step], [b.start, b.stop, b.step])
    if isinstance(a, np.ndarray):
        fortran = [each.flags.f_contiguous and not each.flags.c_contiguous for each in (a, b)]
        return (a.dtype, a.shape, a.tobytes(), fortran[0]) == (b.dtype, b.shape, b.tobytes(), fortran[1])
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, re.Pattern):
        return (a.pattern, a.flags) == (b.pattern, b.flags)
    if dataclasses.is_dataclass(a):
        names = [each.name for each in dataclasses.fields(a)]
        return all(same(getattr(a, name, None), getattr(b, name, None)) for name in names)
    if isinstance(a, Opaque):
        return same(a.value, b.value)
    if hasattr(a, "__slots__") and type(a).__module__.startswith("zerograph"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__slots__)
    return bool(a == b)


def same_zone(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (str(a), getattr(a, "key", None)) == (str(b), getattr(b, "key", None))


@dataclasses.dataclass
class Person:
    name: str
    age: int = 7
    tags: list[str] = dataclasses.field(default_factory=list)
    seen: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        raise AssertionError("__post_init__ must not be called")

    @functools.cached_property
    def greeting(self) -> str:
        return f"hello {self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: Any = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Point3(Point):
    z: Any = 0


@attr.s(auto_attribs=True, slots=True, frozen=True, cache_hash=True)
class Frozen:
    a: int
    b: int = attr.Factory(lambda self: self.a + 1, takes_self=True)


@attr.s(auto_attribs=True)
class Loose:
    a: int
    b: list[int] = attr.Factory(list)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int
    b: list[int] = pydantic.Field(default_factory=lambda: [1])
    _hidden: int = pydantic.PrivateAttr(default=3)


class Pair(NamedTuple):
    left: Any
    right: Any = None


class Color(enum.Enum):
    RED = object()
    BLUE = "blue"
    AZURE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    HI = "hi"


class Perm(enum.Flag):
    R = 1
    W = 2
    X = 4


class Mode(enum.IntFlag):
    A = 1
    B = 2


class Opaque:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Opaque and same(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]


KINDS = (Person, Point, Point3, Frozen, Loose, Model, Pair, Color, Level, Word, Perm, Mode)


def build(cls: type, **fields: Any) -> Any:
    """Return an object without calling its ``__init__``."""
    value = object.__new__(cls)
    for name, member in fields.items():
        object.__setattr__(value, name, member)
    return value


NAMED = timezone(timedelta(hours=5, minutes=30, seconds=7, microseconds=3), "Odd")
BERLIN = ZoneInfo("Europe/Berlin")

VALUES = [
    *(None, True, False, 0, -1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000, -(10**5000)),
    *(0.0, -0.0, float("nan"), float("inf"), -float("inf"), complex(float("nan"), -0.0)),
    *("", "é", "\ud800", "a\udfffb", b"", b"\x00\xff", bytearray(b"abc"), bytearray()),
    *([], (), set(), frozenset(), [bytearray(b"a"), b"a"], {"k": bytearray(b"x"), "l": [bytearray(b"y")]}),
    *((1, (2, [3, (4,)])), {1, "a", (1, 2), frozenset({b"x"})}, deque([1, (2,)], 5), deque(), deque(maxlen=0)),
    *(
        {1: "i", "1": "s", b"1": "b", (1, 2): "t", None: "n", 2.5: "f"},
        {True: 1},
        {1: True},
        {1.0: 1.0},
        {"b": 1, "a": 2},
    ),
    *(OrderedDict([("z", 1), ("a", (2,))]), defaultdict(list, {"a": [1]}), defaultdict(None, {}), defaultdict(deque)),
    *(Decimal("1.10"), Decimal("-0"), Decimal("sNaN12"), Decimal("-NaN"), Decimal("Infinity"), Decimal("1E+999999")),
    *(Fraction(1, 3), Fraction(-7), Fraction(3**50000, 2**90000)),
    *(datetime(1, 1, 1), datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1), datetime(2024, 1, 1, tzinfo=NAMED)),
    *(datetime(2024, 1, 1, 1, 2, 3, 4, UTC), datetime(2024, 1, 1, tzinfo=timezone(-timedelta(hours=3)))),
    *(datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "Zulu")), date.max, time(23, 59, fold=1, tzinfo=UTC)),
    *(time(1, 2, 3, 4), time(1, tzinfo=NAMED), timedelta(-1, 5, 7), timedelta.max, UTC, NAMED),
    *(uuid.uuid4(), uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe)),
    *(pathlib.PurePosixPath("//a/../b\ud800"), pathlib.PureWindowsPath("C:\\a"), pathlib.Path("x"), pathlib.Path()),
    *(ip.ip_address("1.2.3.4"), ip.ip_address("fe80::1%eth0"), ip.ip_network("10.0.0.0/8"), ip.ip_network("fe80::/64")),
    *(ip.ip_interface("10.1.2.3/8"), ip.IPv6Interface("fe80::1%eth0/64")),
    *(
        re.compile("a+", re.IGNORECASE | re.VERBOSE),
        re.compile(b"(?m)x"),
        re.compile("a", re.ASCII),
        re.compile(rb"\w", re.LOCALE),
    ),
    *(range(1, 2**70, 3), slice(None, "a", (1,)), slice(1)),
    *(Interrupt((1,), "i"), Interrupt("v"), Send("n", {"a": (1,)}, timeout=2.5), RemoveMessage("m")),
    *(Command(update={"a": {1}}, goto=(Send("a", 1), "b")), Overwrite([1]), TimeoutPolicy(1.0)),
    *(PregelTask("i", "n", ("a",)), StateSnapshot({}, (), {}, None, None, None, ())),
    *(StoreItem("k", 1), CheckpointTuple({}, {"v": 1}, {"step": 1}, None, [("t", "c", (1,))])),
    *(build(Person, name="a", age=3, tags=["x"]), build(Person, name="a", age=3, tags=[], seen=1)),
    *(Point(1, (2,)), Point3(1, 2, {3}), Loose(1, [2]), Pair(1, (2,)), Opaque((1, [2]))),
    *(Color.RED, Color.AZURE, Level.LOW, Word.HI, Perm.R | Perm.X, Perm(0), Mode.A | Mode.B, Mode(9)),
    {Frozen(1): Frozen(1, 5), Point(1): {Level.LOW}},
]

ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3.5),
    np.zeros((0, 3)),
    np.arange(3, dtype=">i4"),
    np.array(["2024-01-01", "NaT"], "M8[D]"),
    np.array([1], "m8[25s]"),
    np.array(["a", "bé"]),
    np.array([b"a\0b"]),
    np.array([True, False]),
    np.arange(10)[::3],
    np.array([1 + 2j]),
    np.array([1], "g"),
    np.array([(1, 2.5, [1, 2])], dtype=[("a", "<i2"), ("b", ">f8"), ("c", "u1", (2,))]),
    np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True)),
    np.array([1], "q"),
    np.zeros(2, "V5"),
]
SCALARS = [
    np.float32(1.5),
    np.int64(-3),
    np.bool_(True),
    np.str_("a\0"),
    np.bytes_(b"x\0"),
    np.datetime64("2024-01-01T00", "h"),
    np.timedelta64(5, "us"),
    np.longlong(4),
    np.complex64(1j),
    np.float64("nan"),
    np.longdouble(2),
    np.void(b"ab"),
    np.array([(1, 2)], "i4,f8")[0],
    np.datetime64("NaT"),
    np.str_(""),
]
