"""Simulate many workers on a store that loses and repeats requests, until a run fails or the time is over."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic

from support.servers import RedisServer

from . import sabotage
from .search import KINDS, Found, search, shrink
from .worlds import World, make_world

WORLDS = ("memory", "fakeredis", "redis")


def main() -> int:
    """Run the simulation; returns 1 if a run failed, or a bug was not found."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60,
        help="for how long, over all stores (default 60); with --sabotage, for each bug",
    )
    parser.add_argument(
        "--seed", type=int, help="the first seed (default: a random one); a seed always gives the same run"
    )
    parser.add_argument("--on", default=",".join(WORLDS), help=f"a comma-separated list of {', '.join(WORLDS)}")
    parser.add_argument("--sabotage", action="store_true", help="put bugs into the code, and check that each is found")
    given = parser.parse_args()
    names = given.on.split(",")
    if unknown := set(names) - set(WORLDS):
        parser.error(f"unknown store: {', '.join(sorted(unknown))}")
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    with ExitStack() as stack:
        port = None
        if "redis" in names:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zerograph-simulate-")))
            port = stack.enter_context(RedisServer(directory)).port
        if given.sabotage:
            return _check_sabotage(names, port, seed, given.seconds)
        return _search(names, port, seed, given.seconds)


def _search(names: list[str], port: int | None, seed: int, seconds: float) -> int:
    for name in names:
        end = monotonic() + seconds / len(names)
        make = partial(make_world, name, port)
        counts, found = search(make, KINDS, seed, lambda _, end=end: monotonic() > end)
        print(f"{name}: seed {seed}, {counts.runs:,} runs, {counts.steps:,} steps, {counts.puts:,} puts stored")
        if found is not None:
            _show(make, found, seed + (counts.runs - 1) // len(KINDS))
            return 1
    print("no run failed")
    return 0


def _show(make: Callable[[], World], found: Found, seed: int) -> None:
    print(f"failed with seed {seed}, {found.kind}: {found.problem}\nshortened run:")
    shorter = shrink(make, found, 60)
    print("\n".join(f"  {line}" for line in shorter.log))
    print(f"  => {shorter.problem}")


def _check_sabotage(names: list[str], port: int | None, seed: int, seconds: float) -> int:
    missed = 0
    for name in names:
        for bug, change in (sabotage.MEMORY if name == "memory" else sabotage.LUA).items():
            end = monotonic() + seconds
            with change():
                counts, found = search(
                    partial(make_world, name, port), KINDS, seed, lambda _, end=end: monotonic() > end
                )
            missed += found is None
            result = "not found" if found is None else found.problem[:100]
            print(f"{name}: {bug}: {counts.runs} runs, {counts.puts:,} puts: {result}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
