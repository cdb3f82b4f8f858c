"""Run seeds for a while, and shorten a run that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from random import Random
from time import monotonic

from zerograph_redis import EncryptedSerializer
from zerograph_redis.core.settings import Settings

from .simulation import MOODS, FindingError, Simulation
from .worlds import World

STEPS = 200
KEY = bytes(range(32))

Kind = tuple[str, str]
"""How states are stored, and what workers do most."""

KINDS: tuple[Kind, ...] = tuple(product(("plain", "zstd", "encrypted", "keep_last"), MOODS))


@dataclass
class Found:
    """A run that failed: its steps, the problem, and the log of events before it."""

    kind: Kind
    steps: list[int]
    problem: str
    log: list[str]


@dataclass
class Counts:
    """How much was run."""

    runs: int = 0
    steps: int = 0
    puts: int = 0


def settings_of(coding: str) -> Settings:
    """The options of all workers of a run."""
    match coding:
        case "zstd":
            return Settings.check(compression="zstd")
        case "encrypted":
            return Settings.check(serializer=EncryptedSerializer({"k": KEY}))
        case "keep_last":
            return Settings.check(keep_last=3)
        case _:
            return Settings.check()


def run(make: Callable[[], World], kind: Kind, steps: list[int], counts: Counts | None = None) -> Found | None:
    """Run *steps* in an empty world."""
    with ExitStack() as stack:
        world = make()
        stack.callback(world.close)
        simulation = Simulation(world, lambda: settings_of(kind[0]), kind[1])
        done = 0
        try:
            for step in steps:
                done += 1
                simulation.step(step)
            simulation.finish()
        except FindingError as error:
            return Found(kind, steps[:done], str(error), simulation.log)
        finally:
            if counts is not None:
                counts.runs += 1
                counts.steps += len(steps)
                counts.puts += simulation.puts
    return None


def steps_of(seed: int, count: int = STEPS) -> list[int]:
    """Return the steps of a seed."""
    rng = Random(seed)
    return [rng.getrandbits(48) for _ in range(count)]


def shrink(make: Callable[[], World], found: Found, most: float) -> Found:
    """Remove steps while the run still fails, for at most *most* seconds."""
    end = monotonic() + most
    size = len(found.steps) // 2
    while size and monotonic() < end:
        start = 0
        while start < len(found.steps) and monotonic() < end:
            shorter = run(make, found.kind, found.steps[:start] + found.steps[start + size :])
            if shorter is None:
                start += size
            else:
                found = shorter
        size //= 2
    return found


def search(
    make: Callable[[], World], kinds: Sequence[Kind], seed: int, until: Callable[[Counts], bool]
) -> tuple[Counts, Found | None]:
    """Run seeds from *seed* on, each with all *kinds*, until *until* returns True or a run fails."""
    counts = Counts()
    while not until(counts):
        for kind in kinds:
            found = run(make, kind, steps_of(seed), counts)
            if found is not None:
                return counts, found
        seed += 1
    return counts, None
