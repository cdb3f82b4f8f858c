"""What a scenario counted: acknowledged writes against stored ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from support.data import at, place

from zerograph_redis import RedisSaver

from .worker import text, writes


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

    def promise(self, promise: str, *, kept: bool) -> None:
        """Record a promise that was not kept."""
        if not kept:
            self.broken.append(promise)


def count_forks(history: Iterable[Any]) -> int:
    """Count the checkpoints whose parent already has a child, and the roots but for one."""
    parents = [each.parent_config and place(each.parent_config)[2] for each in history]
    return sum(count - 1 for count in Counter(parents).values())


class Judgement(NamedTuple):
    """Results that have no column in the table."""

    wrong: int
    """Checkpoints that are stored twice, out of order, or with other values than were written."""
    lost: list[float]
    """When each lost write was acknowledged."""


def judge_writes(outcome: Outcome, saver: RedisSaver, entries: list[list[Any]]) -> Judgement:
    """Compare the logs of workers that write numbered checkpoints with the store, and fill in the *outcome*.

    Each put and each put_writes that returned is acknowledged, once. One that raised, also with `ReplicationError`, is
    not, until a retry returns.
    """
    logged: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for kind, thread, checkpoint_id, *_, moment in entries:
        logged[thread].update({(kind, checkpoint_id): moment} if kind in {"put", "put_writes"} else {})
    wrong, lost = 0, []
    for thread, acknowledged in logged.items():
        history = saver.list(at(thread), limit=None)[::-1]
        found = {("put", each.checkpoint["id"]) for each in history}
        found |= {("put_writes", each.checkpoint["id"]) for each in history if each.pending_writes}
        # Writes may outlive their checkpoint: a failover loses the newest commands of the old primary.
        found |= {
            each
            for each in acknowledged.keys() - found
            if each[0] == "put_writes" and _has_writes(saver, thread, each[1])
        }
        outcome.acknowledged += len(acknowledged)
        outcome.found += len(acknowledged.keys() & found)
        lost += [moment for each, moment in acknowledged.items() if each not in found]
        outcome.forks += count_forks(history)
        ids = [each.checkpoint["id"] for each in history]
        wrong += len(ids) - len(set(ids)) + (ids != sorted(ids))
        wrong += sum(not _is_as_written(each) for each in history)
    outcome.operations = len(entries)
    outcome.lost = len(lost)
    return Judgement(wrong, lost)


def _has_writes(saver: RedisSaver, thread: str, checkpoint_id: str) -> bool:
    return [tuple(each) for each in saver.get_pending_writes(at(thread, id=checkpoint_id))] == writes(
        int(checkpoint_id)
    )


def _is_as_written(found: Any) -> bool:
    """Whether a checkpoint has the values of its number, and all of its pending writes or none."""
    number = found.metadata["number"]
    return (
        found.checkpoint["id"] == f"{number:08}"
        and found.checkpoint["channel_values"] == {"text": text(number)}
        and (not found.pending_writes or [tuple(each) for each in found.pending_writes] == writes(number))
    )
