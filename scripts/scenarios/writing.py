"""What workers that write numbered checkpoints said was acknowledged, held against what the store has."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from zerograph_redis import RedisSaver

from .outcome import Outcome, forks
from .worker import text, writes

__all__ = ("Judgement", "judge_writing")


class Judgement(NamedTuple):
    """What the table has no column for."""

    wrong: int
    """Checkpoints that are there twice, in the wrong order, or other than they were written."""
    lost: list[float]
    """When that was acknowledged which is not there."""


def judge_writing(outcome: Outcome, saver: RedisSaver, entries: list[list[Any]]) -> Judgement:
    """Count operations, acknowledged, found, lost and forks.

    Acknowledged is each put and each put_writes that returned, once. One that raised, `ReplicationError` too, is not,
    until it is done again and returns.
    """
    said: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for kind, thread, name, *_, moment in entries:
        said[thread].update({(kind, name): moment} if kind in {"stored", "written"} else {})
    wrong, lost = 0, []
    for thread, acknowledged in said.items():
        history = saver.list({"configurable": {"thread_id": thread}}, limit=None)[::-1]
        found = {("stored", each.checkpoint["id"]) for each in history}
        found |= {("written", each.checkpoint["id"]) for each in history if each.pending_writes}
        # Writes may outlive their checkpoint: a failover loses what was stored last, before them.
        found |= {
            each for each in acknowledged.keys() - found if each[0] == "written" and _has_writes(saver, thread, each[1])
        }
        outcome.acknowledged += len(acknowledged)
        outcome.found += len(acknowledged.keys() & found)
        lost += [moment for each, moment in acknowledged.items() if each not in found]
        outcome.forks += forks(history)
        names = [each.checkpoint["id"] for each in history]
        wrong += len(names) - len(set(names)) + (names != sorted(names))
        wrong += sum(not _as_written(each) for each in history)
    outcome.operations = len(entries)
    outcome.lost = len(lost)
    return Judgement(wrong, lost)


def _has_writes(saver: RedisSaver, thread: str, name: str) -> bool:
    config = {"configurable": {"thread_id": thread, "checkpoint_id": name}}
    return [tuple(each) for each in saver.get_pending_writes(config)] == writes(int(name))


def _as_written(found: Any) -> bool:
    """Whether a checkpoint is what its number says; its writes may not have come, but come together."""
    number = found.metadata["number"]
    return (
        found.checkpoint["id"] == f"{number:08}"
        and found.checkpoint["channel_values"] == {"text": text(number)}
        and (not found.pending_writes or [tuple(each) for each in found.pending_writes] == writes(number))
    )
