"""What a scenario counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ("Outcome", "forks")


@dataclass
class Outcome:
    """One row of the table."""

    scenario: str
    operations: int = 0
    injected: int = 0
    acknowledged: int = 0
    found: int = 0
    lost: int = 0
    forks: int = 0
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """The promises that did not hold."""

    def promise(self, what: str, *, kept: bool) -> None:
        """Note a promise that was not kept."""
        if not kept:
            self.broken.append(what)


def forks(history: Iterable[Any]) -> int:
    """How many checkpoints of a thread have an elder sibling: a child too many of one parent, or a root too many."""
    parents = [each.parent_config and each.parent_config["configurable"]["checkpoint_id"] for each in history]
    return sum(count - 1 for count in Counter(parents).values())
