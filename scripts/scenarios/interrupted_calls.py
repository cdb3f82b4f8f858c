"""Calls that signal handlers interrupt, or whose tasks are cancelled, at any moment, on every kind of client."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from support.interrupted_calls import AWAITED, SETTINGS
from support.sites import HARM, open_site, run_interrupts

from .outcome import Outcome

__all__ = ("interrupt_calls", "shares")

AT_A_TIME = 1000  # interrupts of one process


def shares(count: int) -> list[tuple[str, str, int]]:
    """Divide so many interrupts: four of five are signals, and every setting gets as many."""
    signals, cancellations = count * 4 // 5, count - count * 4 // 5
    return [
        *(("signals", each, -(-signals // len(SETTINGS))) for each in SETTINGS),
        *(("awaits", each, -(-cancellations // len(AWAITED))) for each in AWAITED),
    ]


def interrupt_calls(directory: Path, face: str, setting: str, count: int) -> Outcome:
    """Interrupt so many calls of a setting, each process with its own seed."""
    outcome = Outcome(f"{face}: {setting}")
    seen: Counter[str] = Counter()
    with ExitStack() as stack:
        site = open_site(setting, directory, stack)
        while outcome.injected < count:
            seed = random.randrange(2**31)
            found = run_interrupts(face, setting, site, min(AT_A_TIME, count - outcome.injected), seed)
            outcome.injected += found["interrupts"]
            seen += Counter(found.get("seen", {}))
            for each in found["broken"]:
                outcome.promise(f"seed {seed}: {each}", kept=False)
            if not found["interrupts"]:
                break
    outcome.operations, outcome.lost = seen["returned"] + seen["refused"], seen["lost"]
    outcome.acknowledged = seen["acknowledged"]
    outcome.found = outcome.acknowledged - outcome.lost
    outcome.notes.append(f"{sum(seen[each] for each in HARM)} wrong answers, {seen['refused']} refused")
    return outcome
