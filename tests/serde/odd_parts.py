"""Values, bases and descriptors for random classes, and odd changes to their objects."""

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from random import Random
from typing import Any

NAMES = ("a", "b", "c", "d")


def some_value(random: Random, depth: int = 0) -> Any:
    """Return any value that can be stored."""
    makers: list[Callable[[], Any]] = [
        lambda: random.choice([None, True, False, 0, 10, -1, 2**70, 0.0, -0.0, float("nan"), "", "é", "\ud800", b"x"]),
        lambda: random.randrange(-5, 5),
        lambda: bytearray(b"abc"),
    ]
    if depth < 2:

        def inner() -> Any:
            return some_value(random, depth + 1)

        makers += [
            lambda: [inner() for _ in range(random.randrange(3))],
            lambda: (inner(), inner()),
            lambda: {"k": inner(), random.randrange(3): inner()},
            lambda: deque([inner()], 3),
            lambda: Counter({"x": inner(), random.randrange(9): 2, -1.5: -3}),
            lambda: ChainMap({"x": inner()}, OrderedDict(y=inner()), *([{}] * random.randrange(2))),
            lambda: defaultdict(random.choice([None, int, Counter, ChainMap]), {"x": inner()}),
        ]
    return random.choice(makers)()


class Doubling:
    """A descriptor that changes what is set, and keeps it in the place that *place* names."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.elsewhere: dict[int, tuple[Any, Any]] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, value: Any, owner: Any = None) -> Any:
        if value is None:
            raise AttributeError(self.name)  # so that it is no default of a dataclass
        if self.place == "unknown":
            return self.elsewhere.get(id(value), (None, None))[1]
        return value.__dict__.get(self.name if self.place == "same" else f"_{self.name}")

    def __set__(self, value: Any, held: Any) -> None:
        doubled = held * 2 if type(held) is int else held
        if self.place == "unknown":
            self.elsewhere[id(value)] = value, doubled
        else:
            value.__dict__[self.name if self.place == "same" else f"_{self.name}"] = doubled


class Slotted:
    __slots__ = ("hidden",)


class Shadowed:
    __slots__ = ("a",)


class Loud:
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value + 1 if type(value) is int else value)


class Liar:
    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return found * 2 if type(found) is int else found


class Empty:
    __slots__ = ()


class Plain:
    pass


def some_base(random: Random) -> tuple[type, ...]:
    return random.choice([(), (), (), (Slotted,), (Shadowed,), (Loud,), (Liar,), (Empty,), (Plain,)])


def disturb(random: Random, value: Any, names: tuple[str, ...]) -> Any:
    """Change an object in a way that its class does not expect, or leave it as it is."""
    acts: list[Callable[[], Any]] = [
        *[lambda: None] * 6,
        lambda: object.__delattr__(value, random.choice(names)),
        lambda: object.__setattr__(value, random.choice(names), 10),
        lambda: object.__setattr__(value, "extra", 1),
        lambda: object.__setattr__(value, "hidden", 10),
        lambda: Shadowed.a.__set__(value, 10),  # type: ignore[attr-defined]
        lambda: value.__dict__.update({random.choice(names): 10}),
        lambda: value.__dict__.pop(random.choice(names)),
        lambda: value.cached,
    ]
    try:
        random.choice(acts)()
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return value


def made(make: Callable[[], Any], random: Random, names: tuple[str, ...]) -> Callable[[], Any]:
    """Return a function that makes objects with *make*, and sometimes changes them past every hook."""

    def build() -> Any:
        try:
            return disturb(random, make(), names)
        except (AttributeError, TypeError, ValueError):
            return None  # the class itself does not allow it

    return build
