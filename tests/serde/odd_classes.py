"""Random classes, and random objects of them: what users write, and what they do to their objects.

Each ``make_…`` returns what to register, a class or a `Registered`, and a function that makes objects of it. The objects may
be broken on purpose: fields deleted, attributes added, slots of bases filled, enum members made at run time.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import io
import ipaddress
import itertools
import struct
import warnings
from collections import ChainMap, Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import attr
import pydantic
from odd_parts import NAMES, Doubling, disturb, made, some_base, some_value

from zerograph_redis.serde import Registered

Made = tuple[Any, Callable[[], Any]]
"""What to register: None for nothing, a pair for a class and its twin in another worker. And what makes an object."""

_numbers = itertools.count()


def make_dataclass(random: Random) -> Made:
    names = NAMES[: random.randrange(1, 5)]
    slots = random.random() < 0.3
    members: dict[str, Any] = {"__annotations__": {}}
    bases = some_base(random)
    inits = []
    defaulted = False
    for name in names:
        members["__annotations__"][name] = Any
        choice = random.choice(
            ["bare", "bare", "default", "factory", "unset", "unset default", "descriptor", "property"]
        )
        if choice == "bare" and defaulted:
            choice = "default"
        if choice == "default":
            members[name] = random.randrange(5)
        elif choice == "factory":
            members[name] = dataclasses.field(default_factory=list)
        elif choice == "unset":
            members[name] = dataclasses.field(init=False)
        elif choice == "unset default":
            members[name] = dataclasses.field(init=False, default=5)
        elif choice == "descriptor" and not slots:
            members[name] = Doubling(random.choice(["same", "other", "unknown"]))
        elif choice == "property" and not slots:
            place = f"_{name}"
            members[name] = property(
                lambda self, place=place: self.__dict__.get(place),
                lambda self, held, place=place: self.__dict__.update({place: held}),
            )
        defaulted |= choice in ("default", "factory", "descriptor", "property")
        if not choice.startswith("unset"):
            inits.append(name)
    if random.random() < 0.15:
        members["__annotations__"]["given"] = dataclasses.InitVar[Any]
        members["given"] = 3
        members["__post_init__"] = lambda self, given: object.__setattr__(self, random.choice([*names, "more"]), given)
    elif random.random() < 0.3:
        target = random.choice([*names, "more"])
        members["__post_init__"] = lambda self: object.__setattr__(self, target, 77)
    if not slots and random.random() < 0.3:
        cached: Any = functools.cached_property(lambda self: 5)
        cached.__set_name__(None, "cached")
        members["cached"] = cached
    options = {"slots": slots, "frozen": random.random() < 0.3, "eq": random.random() < 0.6}
    try:
        cls = dataclasses.dataclass(**options)(type(f"Data{next(_numbers)}", bases, members))
        if random.random() < 0.2:
            cls = dataclasses.dataclass(type(f"Sub{next(_numbers)}", (cls,), {"a": 9, "__annotations__": {"a": Any}}))
    except (TypeError, ValueError):
        return make_dataclass(random)

    def make() -> Any:
        if random.random() < 0.15:
            value = object.__new__(cls)
            for name in names:
                if random.random() < 0.8:
                    object.__setattr__(value, name, some_value(random))
            return value
        return cls(*[some_value(random) for _ in inits])

    return cls, made(make, random, names)


def make_attrs(random: Random) -> Made:
    names = NAMES[: random.randrange(1, 5)]
    fields: dict[str, Any] = {}
    for name in names:
        more: dict[str, Any] = {
            "converter": random.choice([None, None, lambda held: held * 2 if type(held) is int else held]),
            "validator": random.choice([None, lambda self, field, held: None]),
            "on_setattr": random.choice([None, lambda self, field, held: held]),
            "init": random.random() < 0.85,
        }
        choice = random.choice(["bare", "default", "factory", "self"])
        if choice != "bare":
            more["default"] = {"default": 5, "factory": attr.Factory(list)}.get(
                choice, attr.Factory(lambda self: id(self) % 7, takes_self=True)
            )
        fields[name] = attr.ib(kw_only=True, **more)
    options = {"slots": random.random() < 0.5, "frozen": random.random() < 0.3, "cache_hash": False}
    if options["frozen"]:
        for each in fields.values():
            each.on_setattr = None
        options["cache_hash"] = random.random() < 0.5
    members: dict[str, Any] = {}
    if random.random() < 0.3:
        cached: Any = functools.cached_property(lambda self: 5)
        cached.__set_name__(None, "cached")
        members["cached"] = cached
    try:
        bare = type(f"Attrs{next(_numbers)}", some_base(random), {**fields, **members})
        cls = attr.s(**options, **({"unsafe_hash": True} if options["cache_hash"] else {}))(bare)
    except (TypeError, ValueError):
        return make_attrs(random)
    wanted = [name for name in names if fields[name].init]

    def make() -> Any:
        if random.random() < 0.1:
            return object.__new__(cls)
        return cls(**{name: some_value(random) for name in wanted})

    return cls, made(make, random, names)


def make_pydantic(random: Random) -> Made:
    names = NAMES[: random.randrange(1, 5)]
    definitions: dict[str, Any] = {
        name: (Any, random.choice([..., 5, pydantic.Field(default_factory=list)])) for name in names
    }
    definitions["_secret"] = (
        Any,
        random.choice([3, pydantic.PrivateAttr(), pydantic.PrivateAttr(default_factory=list)]),
    )
    if random.random() < 0.5:
        del definitions["_secret"]
    validators: dict[str, Any] = {}
    if random.random() < 0.4:
        mode = random.choice(["before", "after"])
        validators["double"] = pydantic.field_validator("a", mode=mode)(
            lambda held: held * 2 if type(held) is int else held
        )
    if random.random() < 0.2:

        def refuse(held: Any) -> Any:
            if held is None:
                raise ValueError("no")
            return held

        validators["refuse"] = pydantic.field_validator("a")(refuse)
    config = {
        "extra": random.choice(["allow", "allow", "ignore", "forbid"]),
        "validate_assignment": random.random() < 0.3,
        "frozen": random.random() < 0.2,
    }
    base = type("Base", (pydantic.BaseModel,), {"model_config": config, "__module__": __name__})
    if random.random() < 0.2:
        base = type("Slots", (base,), {"__slots__": ("hidden",), "__module__": __name__})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cls = pydantic.create_model(f"Model{next(_numbers)}", __base__=base, __validators__=validators, **definitions)
    names = tuple(cls.model_fields)

    def odd(model: Any) -> Any:
        private = {"_secret": 1, "_unknown": 2} if random.random() < 0.5 else {}
        name, held = random.choice(
            [
                ("__pydantic_fields_set__", random.choice([{"a", 5}, ["a"], frozenset(), {"unknown"}])),
                ("__pydantic_extra__", random.choice([None, {"x": 1}, OrderedDict(x=1)])),
                ("__pydantic_private__", random.choice([None, private])),
            ]
        )
        object.__setattr__(model, name, held)
        return model

    def make() -> Any:
        values = {name: some_value(random) for name in names if random.random() < 0.9}
        more = {"more": 1} if random.random() < 0.2 else {}
        if random.random() < 0.4:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = cls.model_construct(**values, **more)
        else:
            model = cls(**values, **more)
        if "_secret" in definitions and random.random() < 0.3:
            model._secret = some_value(random)
        if random.random() < 0.1:
            del model._secret
        return odd(model) if random.random() < 0.1 else model

    return cls, made(make, random, names)


def make_enum(random: Random) -> Made:
    kind: Any = random.choice([enum.Enum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag])
    name = f"Enum{next(_numbers)}"
    way = random.choice(["none", "fresh", "by value", "by name"])

    def missing(cls: Any, value: Any) -> Any:
        if way == "none":
            return super(kind, cls)._missing_(value)
        base = next(each for each in (int, str, object) if issubclass(cls, each))
        member = base.__new__(cls, *(() if base is object else (value,)))
        member._name_, member._value_ = f"M{value}", value
        if way != "fresh":
            cls._value2member_map_[value] = member
        if way == "by name":
            cls._member_map_[member._name_] = member
        return member

    flags = issubclass(kind, enum.Flag)
    alias = random.random() < 0.3
    options = {"boundary": random.choice(list(enum.FlagBoundary))} if flags else {}

    def define() -> Any:
        space: Any = type(kind).__prepare__(name, (kind,))
        space["_missing_"] = classmethod(missing)
        for place, member in enumerate("RWX"):
            space[member] = 1 << place if flags or issubclass(kind, int) else f"v{member}"
        if alias:
            space["ALIAS"] = space["R"]
        return type(kind)(name, (kind,), space, **options)

    cls = define()
    twin = define()  # the class as another worker has it

    def make() -> Any:
        if random.random() < 0.6 and not flags:
            return random.choice(list(cls))
        value = random.randrange(64) if flags or issubclass(kind, int) else f"x{random.randrange(9)}"
        try:
            member = cls(value)
        except (ValueError, TypeError, AttributeError):
            member = None
        return member if type(member) is cls else random.choice(list(cls))

    return (cls, twin), make


def make_namedtuple(random: Random) -> Made:
    names = NAMES[: random.randrange(1, 5)]
    defaults = [0] * random.randrange(len(names) + 1)
    base = namedtuple(f"Named{next(_numbers)}", names, defaults=defaults)  # noqa: PYI024 - made at run time
    members: dict[str, Any] = {"__slots__": ()} if random.random() < 0.3 else {}
    if random.random() < 0.3:
        members["__iter__"] = lambda self: iter([0] * tuple.__len__(self))
    if random.random() < 0.3:
        members["__new__"] = lambda cls, *held: base.__new__(cls, *[0 if each is None else each for each in held])
    cls: Any = type(f"Tuple{next(_numbers)}", (base,), members) if random.random() < 0.7 else base

    def make() -> Any:
        count = len(names) if random.random() < 0.9 else random.randrange(6)
        return tuple.__new__(cls, [some_value(random) for _ in range(count)])

    return cls, made(make, random, names)


def make_builtin(random: Random) -> Made:
    """Make objects of known types, and of their subclasses, with more in them than their value."""
    base = random.choice([int, str, float, bytes, list, dict, set, OrderedDict, Counter, ChainMap, deque, datetime])
    with_attributes: list[Callable[[], Any]] = [
        lambda: OrderedDict(a=some_value(random)),
        lambda: Counter(a=some_value(random)),
        lambda: ChainMap({"a": some_value(random)}),
        lambda: ipaddress.ip_network("10.0.0.0/8"),
        lambda: ipaddress.ip_interface("10.0.0.1/31"),
    ]
    values: list[Callable[[], Any]] = [
        *with_attributes,
        lambda: ipaddress.ip_network(random.choice(["10.0.0.0/31", "10.0.0.0/32", "fe80::/64"])),
        lambda: some_zone(random),
        lambda: type(f"Sub{next(_numbers)}", (base,), {})(*((2026, 1, 1) if base is datetime else ())),
    ]

    def make() -> Any:
        value = random.choice(values)()
        if random.random() < 0.3:
            for name in ("broadcast_address", "is_private", "hostmask"):
                getattr(value, name, None)
        if random.random() < 0.2:
            try:
                setattr(value, random.choice(["extra", "maps"]), random.choice([1, [], ({},), [{}, 1]]))
            except AttributeError:
                pass
        return value

    return None, make


def some_zone(random: Random) -> ZoneInfo:
    if random.random() < 0.5:
        return ZoneInfo("Europe/Berlin")
    content = b"TZif" + bytes(16) + struct.pack(">6llBB4s", 0, 0, 0, 0, 1, 4, 3600, 0, 0, b"ODD\0")
    return ZoneInfo.from_file(io.BytesIO(content), key=random.choice([None, "My/Zone", "Europe/Berlin"]))


def make_strange(random: Random) -> Made:
    """Make a dataclass or an attrs class that is something of C, too."""
    base = random.choice([dict, list, str, int, datetime, OrderedDict, Counter, deque, Exception, ChainMap])
    bare = type(f"Both{next(_numbers)}", (base,), {"a": 1, "__annotations__": {"a": int}})
    cls = (
        dataclasses.dataclass(eq=False, init=False)(bare)
        if random.random() < 0.7
        else attr.s(these={"a": attr.ib()}, init=False)(bare)
    )
    arguments = {datetime: (2026, 1, 1)}.get(base, ())

    def make() -> Any:
        value = cls(*arguments)
        value.a = some_value(random)
        return disturb(random, value, ("a",))

    return cls, make


def make_pair(random: Random) -> Made:
    way = random.choice(["exact", "lossy", "raises", "type", "doubles", "random", "drops", "shares"])
    equal = random.random() < 0.6

    class Opaque:
        def __init__(self, x: Any = 0, y: Any = 0) -> None:
            self.x, self.y = x, y

        if equal:

            def __eq__(self, other: object) -> bool:
                return type(other) is type(self) and (self.x, self.y) == (other.x, other.y)  # type: ignore[attr-defined]

            __hash__ = None  # type: ignore[assignment]

    def encode(value: Any) -> Any:
        if way == "lossy" and equal:  # without __eq__, nothing tells that a part is missing
            return [value.x, 0]
        if way == "random":
            return [value.x, value.y, random.random()]
        return value.__dict__ if way == "shares" else [value.x, value.y]

    def decode(stored: Any) -> Any:
        if way == "raises" and stored[0] is None:
            raise ZeroDivisionError
        if way == "type":
            return tuple(stored)
        if way == "shares":
            value = Opaque(stored.pop("x"), stored.pop("y"))
            stored.clear()
            return value
        if way == "doubles" and type(stored[0]) is int:
            return Opaque(stored[0] * 2, stored[1])
        return Opaque(*stored[:2]) if way != "drops" else Opaque(stored[0])

    def held() -> Any:
        # Values equal to themselves, unlike a nan: only for those is a missing part noticed.
        return random.choice(["", 10, True, (1, 2), [10], None]) if way == "lossy" else some_value(random)

    return Registered(f"pair{next(_numbers)}", Opaque, encode, decode), lambda: Opaque(held(), held())


MAKERS: dict[str, Callable[[Random], Made]] = {
    "dataclass": make_dataclass,
    "attrs": make_attrs,
    "pydantic": make_pydantic,
    "enum": make_enum,
    "namedtuple": make_namedtuple,
    "builtin": make_builtin,
    "strange": make_strange,
    "pair": make_pair,
}


def some_objects(random: Random, kind: str, count: int) -> Iterator[tuple[Any, Any]]:
    """Yield what to register, and an object, *count* times; a class has five objects."""
    while count > 0:
        registered, make = MAKERS[kind](random)
        for _ in range(min(5, count)):
            value = make()
            if value is not None:
                yield registered, value
            count -= 1
