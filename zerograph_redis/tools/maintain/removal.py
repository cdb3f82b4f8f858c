"""Deletes threads and prunes their checkpoints, or plans either: then nothing is removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from zerograph_redis.core.bundles import together
from zerograph_redis.core.checkpoint_operations import CheckpointOperations
from zerograph_redis.core.examination import ExamineThread, Outline, OutlineThread
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.requests import DeleteThread, Operation
from zerograph_redis.errors import CorruptCheckpointError, LeaseHeldError

from .selection import Target

_PRUNED = 2  # threads at a time: a step of a long one keeps a server busy for some milliseconds


class RemovalOutcome(StrEnum):
    """What happened, or would happen, to a thread."""

    PLANNED = "planned"
    """It would be deleted or pruned."""
    DONE = "done"
    """It was deleted or pruned."""
    HELD = "held"
    """It was skipped: a worker holds it."""
    WRITTEN = "written"
    """It was skipped: it was written after it was selected."""
    DAMAGED = "damaged"
    """It was skipped: parts of it are missing, so it can be deleted but not pruned; or another program wrote its keys."""


@dataclass(slots=True)
class Removal:
    """The checkpoints and bytes that are removed of a thread."""

    target: Target
    outcome: RemovalOutcome
    checkpoints: int = 0
    bytes: int = 0
    """How many are freed at once; `ThreadInfo.bytes` decreases by them."""
    outlines: Sequence[Outline] = ()
    """The checkpoints, if this is a plan to prune."""
    owner: str = ""
    """The worker that holds the thread."""


Done = Callable[[Removal], None]  # called for each thread when it is done


def plan_deletions(targets: Iterable[Target]) -> list[Removal]:
    """Return what `delete_threads` would do now."""
    return [
        Removal(each, RemovalOutcome.HELD, owner=each.condition.owner)
        if each.condition.held
        else Removal(each, RemovalOutcome.PLANNED, each.condition.checkpoints, each.condition.bytes)
        for each in targets
    ]


def delete_threads(targets: Iterable[Target], done: Done, *, unless_written: bool) -> Operation[None]:
    """Delete threads, except those that a worker holds, or, with *unless_written*, that were written since selected."""
    yield from together((_attempt(each, _delete(each, unless_written=unless_written)) for each in targets), done)


def plan_prunings(targets: Iterable[Target], keep: int, max_age: int | None, done: Done) -> Operation[None]:
    """Find what `prune_threads` would do now, checkpoint by checkpoint; *max_age* in µs."""
    yield from together((_attempt(each, _plan(each, keep, max_age)) for each in targets), done)


def prune_threads(
    targets: Iterable[Target], keep: int, max_age: int | None, operations: CheckpointOperations, done: Done
) -> Operation[None]:
    """Prune threads, except those that a worker holds; *max_age* in µs."""
    yield from together((_attempt(each, _prune(each, keep, max_age, operations)) for each in targets), done, _PRUNED)


def _attempt(target: Target, removing: Operation[Removal]) -> Operation[Removal]:
    """Run *removing*, and skip a thread that is held or damaged."""
    try:
        return (yield from removing)
    except LeaseHeldError as error:
        return Removal(target, RemovalOutcome.HELD, owner=error.owner)
    except CorruptCheckpointError:
        return Removal(target, RemovalOutcome.DAMAGED)


def _delete(target: Target, *, unless_written: bool) -> Operation[Removal]:
    condition = target.condition
    deleted = yield from DeleteThread(target.thread, None, condition.updated if unless_written else None)
    if not deleted:
        return Removal(target, RemovalOutcome.WRITTEN)
    return Removal(target, RemovalOutcome.DONE, condition.checkpoints, condition.bytes)


def _plan(target: Target, keep: int, max_age: int | None) -> Operation[Removal]:
    if target.condition.held:
        return Removal(target, RemovalOutcome.HELD, owner=target.condition.owner)
    pages = yield from read_pages(lambda cursor: OutlineThread(target.thread, cursor))
    page = pages[-1]
    outlines = [each for some in pages for each in some.outlines]
    pruned = _select(outlines, keep, None if max_age is None else page.now - max_age)
    left = Counter(each.log for each in outlines)
    left.subtract(each.log for each in pruned)
    # A log is removed with the last checkpoint that uses it.
    logs = sum(length for log, length in page.logs.items() if not left[log])
    return Removal(target, RemovalOutcome.PLANNED, len(pruned), sum(each.bytes for each in pruned) + logs, pruned)


def _select(outlines: Sequence[Outline], keep: int, before: int | None) -> list[Outline]:
    """Of checkpoints by namespace and order, select those that are older than *before* and than the newest *keep*."""
    left = Counter(each.namespace for each in outlines)
    selected = []
    for each in outlines:
        if left[each.namespace] > keep and (before is None or each.order < before):
            selected.append(each)
        left[each.namespace] -= 1
    return selected


def _prune(target: Target, keep: int, max_age: int | None, operations: CheckpointOperations) -> Operation[Removal]:
    age = None if max_age is None else timedelta(microseconds=max_age)
    dropped = yield from operations.prune(target.thread, keep, age, None)
    after = yield from ExamineThread(target.thread)
    freed = max(target.condition.bytes - after.bytes, 0)  # others may write meanwhile
    return Removal(target, RemovalOutcome.DONE, dropped, freed)
