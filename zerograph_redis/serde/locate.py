"""Where in a value the part is that cannot be stored: a slow walk, after packing has failed."""

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any, Final

from zerograph_redis.serde import arrays, codes
from zerograph_redis.serde.packing import MAX_DEPTH, NATIVE, ThreadPackers
from zerograph_redis.serde.registered import describe, how_to_register
from zerograph_redis.serde.spelling import reason, spell
from zerograph_redis.serde.table import Checks, Encoders, RefusedError

_LEAVES: Final[frozenset[type]] = frozenset({type(None), bool, float, str, bytes, bytearray})
_MAPS: Final[frozenset[type]] = frozenset({dict, Counter, OrderedDict, defaultdict})
_LEVELS: Final = 1024  # of dicts and lists, that msgpack packs and unpacks
_SHOWN: Final = 8  # parts of a path, at each of its ends
_REPR: Final = 60

_Step = tuple[str, Any]


def explain(value: Any, root: str, encoders: Encoders, checks: Checks, packers: ThreadPackers, error: Exception) -> str:
    """Return the message for the *error* that packing *value* raised.

    Args:
        value: What was packed.
        root: What to call it.
        encoders: The look-up of the serializer.
        checks: The types whose objects are checked.
        packers: Pack, and check.
        error: Explains it if the walk finds nothing.
    """
    try:
        found = _Walk(encoders, checks, packers).find(value, root)
    except Exception:  # noqa: BLE001 - whatever the user's own types raise while they are looked at
        found = None
    if found is not None:
        return found
    if isinstance(error, RecursionError):
        return f"{root or 'the value'} is nested too deeply to be stored"
    return f"{root or 'the value'} cannot be stored: {reason(error)}"


class _Walk:
    """One depth-first walk; not recursive, since what it looks for may be depth."""

    def __init__(self, encoders: Encoders, checks: Checks, packers: ThreadPackers) -> None:
        self._encoders = encoders
        self._checks = checks
        self._packers = packers
        self._done: dict[int, Any] = {}  # also keeps what encoders return alive, so that no id is used twice

    def find(self, value: Any, root: str) -> str | None:
        path = [root]
        open_ids: dict[int, Any] = {}
        stack: list[tuple[Iterator[_Step], int, int, int]] = []  # members, id of their holder, levels, depth

        def enter(item: Any, levels: int, depth: int) -> str | None:
            kind = type(item)
            if kind in _LEAVES or id(item) in self._done:
                return None
            if id(item) in open_ids:
                return f"{_place(path)} is a {describe(kind)} that contains itself, and cannot be stored"
            if kind is dict or kind is list:
                levels += 1
            elif kind is not int or not -(1 << 63) <= item < 1 << 64:
                levels, depth = 1, depth + 1
            if levels > _LEVELS or depth > MAX_DEPTH:
                return f"{_place(path)}, a {describe(kind)}, is nested too deeply to be stored"
            steps, problem = self._members(item)
            if problem:
                return f"{_place(path)} {problem}"
            open_ids[id(item)] = item
            stack.append((steps, id(item), levels, depth))
            return None

        problem = enter(value, 0, 0)
        while stack and problem is None:
            steps, holder, levels, depth = stack[-1]
            step = next(steps, None)
            if step is None:
                stack.pop()
                self._done[holder] = item = open_ids.pop(holder)
                problem = self._check(item, path)
                path.pop()
                continue
            path.append(step[0])
            size = len(stack)
            problem = enter(step[1], levels, depth)
            if problem is None and len(stack) == size:
                path.pop()
        return problem

    def _check(self, item: Any, path: list[str]) -> str | None:
        """Say what is wrong with an *item* whose members are all right."""
        if type(item) not in self._checks:
            return None
        try:
            self._packers.pack(item)
        except RefusedError as error:
            return f"{_place(path)} is a {describe(type(item))} that cannot be stored: {error}"
        return None

    def _members(self, item: Any) -> tuple[Iterator[_Step], str]:
        """Return the members of *item* with what they add to the path, or else what is wrong with it."""
        kind = type(item)
        if kind in NATIVE:
            return iter(()), f"is a {describe(kind)}, which cannot be stored"
        if kind is list or kind is tuple:
            return _indexed(item), ""
        if kind is dict:
            return _items(item), ""
        entry = self._encoders.get(kind) or arrays.entry(kind)
        if entry is None:
            if kind.__module__.startswith("numpy"):
                return iter(()), f"is a {describe(kind)}, which cannot be stored"
            return iter(()), f"is a {describe(kind)}, which is not registered; {how_to_register(kind)}"
        code, encode = entry
        try:
            stored = encode(item)
        except RefusedError as error:
            return iter(()), f"is a {describe(kind)} that cannot be stored: {error}"
        except Exception as error:  # noqa: BLE001 - the function is the user's
            raised = "whose encode function raised" if kind in self._checks else "that cannot be stored:"
            return iter(()), f"is a {describe(kind)} {raised} {reason(error)}"
        self._done[id(stored)] = stored
        if kind is int:
            return iter(()), ""
        if code == codes.REGISTERED:
            return _fields(stored[1:]), ""
        if kind in _MAPS:
            return _items(item), ""
        if kind is deque:
            return _indexed(item), ""
        if kind is ChainMap:
            return ((f".maps{place}", each) for place, each in _indexed(stored)), ""
        if kind is set or kind is frozenset:
            return (("{…}", member) for member in item), ""
        if kind is slice:
            return iter([(".start", item.start), (".stop", item.stop), (".step", item.step)]), ""
        zone = getattr(item, "tzinfo", None)
        return iter([(".tzinfo", zone)] if zone is not None else []), ""


def _indexed(items: Any) -> Iterator[_Step]:
    return ((f"[{index}]", member) for index, member in enumerate(items))


def _items(items: dict[Any, Any]) -> Iterator[_Step]:
    for key, member in items.items():
        shown = _shown(key)
        yield f"[key {shown}]", key
        yield f"[{shown}]", member


def _fields(parts: list[Any]) -> Iterator[_Step]:
    for part in parts:
        if type(part) is dict:
            yield from ((f".{name}", member) for name, member in part.items())
        else:
            yield "", part


def _shown(key: Any) -> str:
    if type(key) not in (str, bytes, int, float, bool, type(None)):
        return f"<{type(key).__name__}>"
    text = spell(key)
    return text if len(text) <= _REPR else f"{text[:_REPR]}…"


def _place(path: list[str]) -> str:
    root, *steps = path
    if not root and steps and steps[0][:2] in ("['", '["'):
        steps[0] = steps[0][2:-2]
    if len(steps) > 2 * _SHOWN:
        steps = [*steps[:_SHOWN], "…", *steps[-_SHOWN:]]
    return (root + "".join(steps)).lstrip(".") or "the value"
