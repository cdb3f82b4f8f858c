"""What a checkup reports: one finding for each check, ok or not."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It may do harm, or does a little."""
    PROBLEM = "problem"
    """Something does not work, or data will be lost."""


@dataclass(slots=True)
class Finding:
    """What one check found."""

    check: str
    """The name of the check, in one word."""
    level: Level
    message: str
    fix: str = ""
    """What to do about it."""
    nodes: list[str] = field(default_factory=list)
    """The servers that it is about, if there are several."""
    items: list[str] = field(default_factory=list)
    """The threads or keys that it is about."""
    fixable: bool = False
    """Whether ``--fix`` repairs it."""
    fixed: bool = False
    """Whether it was repaired."""


def ok(check: str, message: str, **details: Any) -> Finding:
    """Report that nothing is wrong."""
    return Finding(check, Level.OK, message, **details)


def warning(check: str, message: str, fix: str = "", **details: Any) -> Finding:
    """Report what may do harm, and what to do about it."""
    return Finding(check, Level.WARNING, message, fix, **details)


def problem(check: str, message: str, fix: str = "", **details: Any) -> Finding:
    """Report what does not work, and what to do about it."""
    return Finding(check, Level.PROBLEM, message, fix, **details)


def merge(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Take the name of each server with a finding about it; join findings that are the same for several."""
    merged: dict[tuple[str, Level, str, str], Finding] = {}
    for node, each in found:
        merged.setdefault((each.check, each.level, each.message, each.fix), each).nodes.append(node)
    return list(merged.values())


def count(things: Sized, singular: str, plural: str = "") -> str:
    """Count things in words: ``1 thread``, ``2,000 threads``."""
    return f"{len(things):,} {singular if len(things) == 1 else plural or f'{singular}s'}"
