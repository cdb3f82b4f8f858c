"""What became of each thread of a move, and of all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from .contents import Contents


class Outcome(StrEnum):
    """What became of a thread."""

    MOVED = "moved"
    """It was read, stored, and read back: both are the same."""
    UPDATED = "updated"
    """It was there as it was moved earlier, and was replaced by what the source has now."""
    SAME = "same"
    """It was there already, and both are the same."""
    CONTINUED = "continued"
    """It was there already, and a worker went on with it there."""
    GONE = "gone"
    """It went while it was to be moved."""
    BUSY = "busy"
    """It changed faster than it could be read."""
    BEHIND = "behind"
    """It is there as it was moved earlier, and the source went on since."""
    CONFLICT = "conflict"
    """There is another thread of its id, which was left alone."""
    HELD = "held"
    """A worker holds its lease at the destination."""
    FAILED = "failed"
    """It cannot be stored there."""
    DAMAGED = "damaged"
    """Stored bytes of it are missing or damaged, at either end."""
    MISMATCH = "mismatch"
    """What was read back is not what was stored."""


WELL = frozenset({Outcome.MOVED, Outcome.UPDATED, Outcome.SAME, Outcome.CONTINUED, Outcome.GONE})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one thread."""

    thread: str
    outcome: Outcome
    said: str = ""
    """What went wrong, in words."""
    source: Contents | None = None
    target: Contents | None = None
    """What both sides have: of the target, only what can be compared."""


@dataclass(slots=True)
class Tally:
    """Counts and one digest of many threads, in whichever order they come."""

    threads: int = 0
    checkpoints: int = 0
    writes: int = 0
    _sum: int = 0

    def add(self, contents: Contents) -> None:
        """Count a thread."""
        self.threads += 1
        self.checkpoints += contents.checkpoints
        self.writes += contents.writes
        self._sum = (self._sum + int(contents.digest, 16)) % (1 << 128)

    @property
    def digest(self) -> str:
        """The digests of the threads, added up."""
        return f"{self._sum:032x}"


@dataclass(slots=True)
class Report:
    """What became of all threads, and what both sides have of those that were compared."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    problems: list[Result] = field(default_factory=list)
    """What is not well, without its contents."""
    source: Tally = field(default_factory=Tally)
    target: Tally = field(default_factory=Tally)
    beyond: int = 0
    """Threads that were continued so far that what was moved is no longer all there: their digests are left out."""

    def add(self, result: Result) -> None:
        """Count a thread."""
        self.outcomes[result.outcome] += 1
        if result.outcome not in WELL:
            self.problems.append(Result(result.thread, result.outcome, result.said))
        if result.source is not None and result.target is not None:
            self.source.add(result.source)
            self.target.add(result.target)
        elif result.outcome is Outcome.CONTINUED:
            self.beyond += 1

    @property
    def equal(self) -> bool:
        """Whether both sides have the same."""
        return self.source == self.target
