"""Whether an object comes back exactly, checked past every hook of its class.

Run it as a script to try many more objects: ``python tests/serde/exactness.py --objects 100000 --seed 1``.
"""

from __future__ import annotations

import argparse
import functools
import struct
import types
from collections import Counter, defaultdict, deque
from enum import Enum
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from odd_classes import MAKERS, some_objects

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde import MsgpackSerializer


def storage(value: Any) -> dict[Any, Any]:
    """Return all that an object holds: its ``__dict__`` and every slot of every base, without caches."""
    held: dict[Any, Any] = {}
    cached = {"_attrs_cached_hash"}
    for base in type(value).__mro__:
        found = vars(base)
        cached |= {name for name, each in found.items() if isinstance(each, functools.cached_property)}
        defaults = getattr(found.get("__getattr__"), "__defaults__", None) or ({},)
        cached |= set(defaults[0])  # of attrs, in classes with slots
        for name, slot in found.items():
            if isinstance(slot, types.MemberDescriptorType):
                try:
                    held[slot.__objclass__, name] = slot.__get__(value)
                except AttributeError:
                    pass
    try:
        held |= object.__getattribute__(value, "__dict__")
    except AttributeError:
        pass
    return {key: each for key, each in held.items() if (key if isinstance(key, str) else key[1]) not in cached}


def difference(before: Any, after: Any, path: str = "") -> str | None:
    """Return where two objects differ, in type or in content; None if nowhere."""
    if type(before) is not type(after):
        return f"{path}: {type(before).__name__} became {type(after).__name__}"
    if before is after:
        return None
    if isinstance(before, Enum | ZoneInfo):
        return f"{path}: is another object"
    if isinstance(before, float) and struct.pack("d", float(before)) != struct.pack("d", float(after)):
        return f"{path}: {before!r} became {after!r}"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(before, dict | deque | list | tuple):
        if len(before) != len(after):
            return f"{path}: another length"
        pairs = [(before.items(), after.items())] if isinstance(before, dict) else [(before, after)]
        if isinstance(before, tuple):
            pairs = [(tuple.__iter__(before), tuple.__iter__(after))]
        parts += [
            (old, new, f"{path}[{at}]") for both in pairs for at, (old, new) in enumerate(zip(*both, strict=True))
        ]
        for name in ("maxlen", "default_factory"):
            parts.append((getattr(before, name, None), getattr(after, name, None), f"{path}.{name}"))
    elif isinstance(before, str | bytes | bytearray | int | set) and before != after:
        return f"{path}: {before!r} became {after!r}"
    old, new = storage(before), storage(after)
    if old.keys() != new.keys():
        return f"{path}: holds {sorted(map(str, new))}, not {sorted(map(str, old))}"
    parts += [(old[key], new[key], f"{path}.{key}") for key in old if not callable(old[key])]
    return next((found for found in (difference(*each) for each in parts) if found), None)


def shown(value: Any) -> dict[str, str]:
    """Return the public attributes as the class itself shows them."""
    names = [*getattr(type(value), "__annotations__", ()), *getattr(type(value), "model_fields", ())]
    return {name: repr(getattr(value, name, "unset")) for name in names if not name.startswith("_")}


def attempt(registered: Any, value: Any) -> str:
    """Pack and unpack *value*. Return what happened: ``exact``, ``refused …``, or else a fault."""
    known, elsewhere = registered if isinstance(registered, tuple) else (registered, None)
    try:
        serializer = MsgpackSerializer([] if known is None else [known])
    except TypeError:
        return "refused when registered"
    before = shown(value)
    try:
        data = serializer.pack({"channel": [0, value]})
    except SerializationError as error:
        return "refused" if str(error).startswith("channel[1]") else f"FAULT: no place: {error}"
    except Exception as error:  # noqa: BLE001 - a fault that this searches for
        return f"FAULT: pack raised {type(error).__name__}: {error}"
    try:
        back = serializer.unpack(data)["channel"][1]
        if elsewhere is not None and MsgpackSerializer([elsewhere]).unpack(data)["channel"][1]._value_ != value._value_:
            return "FAULT: stored, and came back changed in another worker"
    except Exception as error:  # noqa: BLE001 - a fault that this searches for
        return f"FAULT: stored, and unpack raised {type(error).__name__}: {error}"
    changed = difference(value, back)
    if changed is not None:
        return f"FAULT: stored, and came back changed{changed}"
    return "exact" if shown(back) == before else f"FAULT: shows {shown(back)}, not {before}"


def survey(instances: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Try *instances* objects, as many of each kind. Return the outcomes with their counts, and the faults."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    faults = []
    for kind in MAKERS:
        random = Random(f"{seed} {kind}")
        for registered, value in some_objects(random, kind, instances // len(MAKERS)):
            outcome = attempt(registered, value)
            counts[kind][outcome if outcome[:5] != "FAULT" else "fault"] += 1
            if outcome.startswith("FAULT"):
                faults.append(f"{kind}: {outcome[:300]}")
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, faults = survey(arguments.objects, arguments.seed)
    for kind, outcomes in counts.items():
        print(kind, dict(outcomes))  # noqa: T201 - the output of a script
    print(*faults[:20], f"{len(faults)} faults", sep="\n")  # noqa: T201 - as above
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
