"""Finds the part of a value that cannot be stored, after packing has failed, and names its place and the fix."""

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any, Final

from . import arrays, codes
from .codes import Checks, Encoders, RefusedError
from .packing import MAX_DEPTH, NATIVE, ThreadPackers
from .registered import how_to_register
from .reprs import describe, describe_error, safe_repr

_LEAVES: Final[frozenset[type]] = frozenset({type(None), bool, float, str, bytes, bytearray})
_MAPS: Final[frozenset[type]] = frozenset({dict, Counter, OrderedDict, defaultdict})
_LEVELS: Final = 1024  # of dicts and lists that msgpack packs and unpacks
_SHOWN: Final = 8  # parts of a path, at each of its ends
_REPR: Final = 60
_CONVERT: Final = "which cannot be stored; convert it to bytes, a number, a list or a dict"
_TOO_DEEP: Final = (
    f"is nested too deeply to be stored: at most {_LEVELS:,} dicts and lists, and {MAX_DEPTH} other types"
)

_Step = tuple[str, Any]


def explain(value: Any, root: str, encoders: Encoders, checks: Checks, packers: ThreadPackers, error: Exception) -> str:
    """Return the message for the *error* that packing *value* raised.

    Args:
        value: What was packed.
        root: What to call *value*.
        encoders: How the serializer encodes each type.
        checks: The types whose objects it checks.
        packers: Pack, and run the checks.
        error: Quoted if the walk finds nothing.
    """
    try:
        _Walk(encoders, checks, packers).run(value, root)
    except _FoundError as found:
        return str(found)
    except Exception:  # noqa: BLE001, S110 - the user's own types may raise anything
        pass
    why = _TOO_DEEP if isinstance(error, RecursionError) else f"cannot be stored: {describe_error(error)}"
    return f"{root or 'the value'} {why}"


class _FoundError(Exception):
    """Some part cannot be stored. `_Walk.run` puts its place before the message."""


class _Walk:
    """A depth-first walk, not recursive, since the value may be nested too deeply."""

    def __init__(self, encoders: Encoders, checks: Checks, packers: ThreadPackers) -> None:
        self._encoders = encoders
        self._checks = checks
        self._packers = packers
        self._done: dict[int, Any] = {}  # keeps alive what encoders return, so that no id is used twice
        self._open: dict[int, Any] = {}
        self._stack: list[tuple[Iterator[_Step], int, int, int]] = []  # members, id of their holder, levels, depth

    def run(self, value: Any, root: str) -> None:
        """Raise _FoundError at the first part that cannot be stored."""
        path = [root]
        try:
            self._enter(value, 0, 0)
            while self._stack:
                steps, holder, levels, depth = self._stack[-1]
                step = next(steps, None)
                if step is None:
                    self._stack.pop()
                    self._done[holder] = item = self._open.pop(holder)
                    self._check(item)
                    path.pop()
                    continue
                path.append(step[0])
                if not self._enter(step[1], levels, depth):
                    path.pop()
        except _FoundError as found:
            raise _FoundError(f"{_place(path)}{found}") from found

    def _enter(self, item: Any, levels: int, depth: int) -> bool:
        """Continue with the members of *item*. Returns False if all of them are checked already."""
        kind = type(item)
        if kind in _LEAVES or id(item) in self._done:
            return False
        if id(item) in self._open:
            raise _FoundError(f" is a {describe(kind)} that contains itself; refer to it by an id instead")
        if kind is dict or kind is list:
            levels += 1
        elif kind is not int or not -(1 << 63) <= item < 1 << 64:
            levels, depth = 1, depth + 1
        if levels > _LEVELS or depth > MAX_DEPTH:
            raise _FoundError(f", a {describe(kind)}, {_TOO_DEEP}")
        self._stack.append((self._members(item), id(item), levels, depth))
        self._open[id(item)] = item
        return True

    def _check(self, item: Any) -> None:
        """Run the check of *item*, whose members can all be stored."""
        if type(item) in self._checks:
            try:
                self._packers.pack(item)
            except RefusedError as error:
                raise _FoundError(f" is a {describe(type(item))} that cannot be stored: {error}") from error

    def _members(self, item: Any) -> Iterator[_Step]:
        """Return the members of *item*, each with its step of the path."""
        kind = type(item)
        if kind is list or kind is tuple:
            return _indexed(item)
        if kind is dict:
            return _items(item)
        entry = None if kind in NATIVE else self._encoders.get(kind) or arrays.entry(kind)
        if entry is None:
            is_known = kind in NATIVE or kind.__module__.startswith("numpy")
            fix = _CONVERT if is_known else f"which is not registered; {how_to_register(kind)}"
            raise _FoundError(f" is a {describe(kind)}, {fix}")
        code, encode = entry
        try:
            stored = encode(item)
        except RefusedError as error:
            raise _FoundError(f" is a {describe(kind)} that cannot be stored: {error}") from error
        except Exception as error:
            raised = "whose encode function raised" if kind in self._checks else "that cannot be stored:"
            raise _FoundError(f" is a {describe(kind)} {raised} {describe_error(error)}") from error
        self._done[id(stored)] = stored
        if code == codes.REGISTERED:
            return _fields(stored[1:])
        if kind in _MAPS:
            return _items(item)
        if kind is deque:
            return _indexed(item)
        if kind is ChainMap:
            return ((f".maps{place}", each) for place, each in _indexed(stored))
        if kind is set or kind is frozenset:
            return (("{…}", member) for member in item)
        names = ("start", "stop", "step") if kind is slice else ("tzinfo",) if hasattr(item, "tzinfo") else ()
        return iter([(f".{name}", getattr(item, name)) for name in names])


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
    text = safe_repr(key)
    return text if len(text) <= _REPR else f"{text[:_REPR]}…"


def _place(path: list[str]) -> str:
    root, *steps = path
    if not root and steps and steps[0][:2] in ("['", '["'):
        steps[0] = steps[0][2:-2]
    if len(steps) > 2 * _SHOWN:
        steps = [*steps[:_SHOWN], "…", *steps[-_SHOWN:]]
    return (root + "".join(steps)).lstrip(".") or "the value"
