"""What a checkup says: one finding for each thing that was looked at, be it in order or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It may come to harm, or does a little."""
    PROBLEM = "problem"
    """Something does not work, or will be lost."""


@dataclass(slots=True)
class Finding:
    """What was looked at, and how it is."""

    check: str
    """What was looked at: a word of its own."""
    level: Level
    what: str
    mend: str = ""
    """What to do about it."""
    nodes: list[str] = field(default_factory=list)
    """The servers that it is about, where there are several."""
    items: list[str] = field(default_factory=list)
    """The threads, or keys, that it is about."""
    fixable: bool = False
    """Whether a repair can do it."""
    fixed: bool = False
    """Whether it was done."""


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Say once what holds for several servers."""
    found: dict[tuple[str, Level, str, str], Finding] = {}
    for each in findings:
        first = found.setdefault((each.check, each.level, each.what, each.mend), each)
        if first is not each:
            first.nodes += each.nodes
    return list(found.values())
