"""Letting go of threads, and of checkpoints of threads: what would go, and doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from zerograph_redis.core.bundles import together
from zerograph_redis.core.checkpoint_operations import CheckpointOperations
from zerograph_redis.core.examination import ExamineThread, Outline, OutlineThread
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.requests import DeleteThread, Operation
from zerograph_redis.errors import CorruptCheckpointError, LeaseHeldError

from .selection import Target


class Outcome(StrEnum):
    """What became, or would become, of a thread."""

    PLANNED = "planned"
    """It would go, or something of it."""
    DONE = "done"
    """It went, or something of it."""
    HELD = "held"
    """It stays as it is: a worker holds it."""
    WRITTEN = "written"
    """It stays: it was written meanwhile."""
    DAMAGED = "damaged"
    """It stays as it is: parts of it are gone, so it can be deleted, not pruned; or a key of it is no saver's."""


@dataclass(slots=True)
class Removal:
    """What goes of a thread."""

    target: Target
    outcome: Outcome
    checkpoints: int = 0
    bytes: int = 0
    """What that frees at once; `ThreadInfo.bytes` falls by it."""
    outlines: Sequence[Outline] = field(default_factory=list)
    """Which checkpoints, where a plan to prune found them."""
    owner: str = ""
    """Who holds the thread."""


Done = Callable[[Removal], None]

_PRUNED = 2  # threads at a time: a slice of one that is long keeps a server for some milliseconds


def plan_deletions(targets: Iterable[Target]) -> list[Removal]:
    """Tell what `delete_threads` would do now."""
    return [
        Removal(each, Outcome.HELD, owner=each.condition.owner)
        if each.condition.held
        else Removal(each, Outcome.PLANNED, each.condition.checkpoints, each.condition.bytes)
        for each in targets
    ]


def delete_threads(targets: Iterable[Target], done: Done, *, unless_written: bool) -> Operation[None]:
    """Delete threads, but for those that anyone holds, or, *unless_written*, that were written since they were found."""
    yield from together((_deleted(each, unless_written=unless_written) for each in targets), done)


def plan_prunings(targets: Iterable[Target], keep: int, max_age: int | None, done: Done) -> Operation[None]:
    """Tell what `prune_threads` would do now, checkpoint by checkpoint; *max_age* in µs."""
    yield from together((_planned(each, keep, max_age) for each in targets), done)


def prune_threads(
    targets: Iterable[Target], keep: int, max_age: int | None, operations: CheckpointOperations, done: Done
) -> Operation[None]:
    """Prune threads, but for those that anyone holds."""
    yield from together((_pruned(each, keep, max_age, operations) for each in targets), done, _PRUNED)


def _deleted(target: Target, *, unless_written: bool) -> Operation[Removal]:
    condition = target.condition
    try:
        gone = yield from DeleteThread(target.thread, None, condition.updated if unless_written else None)
    except LeaseHeldError as error:
        return Removal(target, Outcome.HELD, owner=error.owner)
    except CorruptCheckpointError:
        return Removal(target, Outcome.DAMAGED)
    if not gone:
        return Removal(target, Outcome.WRITTEN)
    return Removal(target, Outcome.DONE, condition.checkpoints, condition.bytes)


def _planned(target: Target, keep: int, max_age: int | None) -> Operation[Removal]:
    if target.condition.held:
        return Removal(target, Outcome.HELD, owner=target.condition.owner)
    try:
        pages = yield from read_pages(lambda cursor: OutlineThread(target.thread, cursor))
    except CorruptCheckpointError:
        return Removal(target, Outcome.DAMAGED)
    page = pages[-1]
    outlines = [each for some in pages for each in some.outlines]
    going = _going(outlines, keep, None if max_age is None else page.now - max_age)
    left = Counter(each.log for each in outlines)
    left.subtract(each.log for each in going)
    # A log goes with the last checkpoint that has anything in it.
    logs = sum(length for log, length in page.logs.items() if not left[log])
    return Removal(target, Outcome.PLANNED, len(going), sum(each.bytes for each in going) + logs, going)


def _going(outlines: Sequence[Outline], keep: int, before: int | None) -> list[Outline]:
    """Which of the checkpoints, by namespace and order, are not among the newest, nor stored at *before* or later."""
    left = Counter(each.namespace for each in outlines)
    going = []
    for each in outlines:
        if left[each.namespace] > keep and (before is None or each.order < before):
            going.append(each)
        left[each.namespace] -= 1
    return going


def _pruned(target: Target, keep: int, max_age: int | None, operations: CheckpointOperations) -> Operation[Removal]:
    age = None if max_age is None else timedelta(microseconds=max_age)
    try:
        dropped = yield from operations.prune(target.thread, keep, age, None)
        after = yield from ExamineThread(target.thread)
    except LeaseHeldError as error:
        return Removal(target, Outcome.HELD, owner=error.owner)
    except CorruptCheckpointError:
        return Removal(target, Outcome.DAMAGED)
    freed = max(target.condition.bytes - after.bytes, 0)  # less, where others write meanwhile
    return Removal(target, Outcome.DONE, dropped, freed)
