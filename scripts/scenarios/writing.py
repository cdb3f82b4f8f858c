"""What workers that write numbered checkpoints said was acknowledged, held against what the store has."""

from __future__ import annotations

from collections import defaultdict

from zerograph_redis import RedisSaver

from .outcome import Outcome, forks

__all__ = ("judge_writing",)


def judge_writing(outcome: Outcome, saver: RedisSaver, entries: list[list]) -> int:
    """Count acknowledged, found, lost and forks; returns how many checkpoints or writes are there twice, or wrong."""
    acknowledged: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for kind, thread, name, *_ in entries:
        acknowledged[thread].update({(kind, name)} if kind in {"stored", "written"} else ())
    wrong = 0
    for thread, said in acknowledged.items():
        history = saver.list({"configurable": {"thread_id": thread}}, limit=None)[::-1]
        found = {("stored", each.checkpoint["id"]) for each in history}
        found |= {("written", each.checkpoint["id"]) for each in history if len(each.pending_writes or ()) == 2}
        outcome.acknowledged += len(said)
        outcome.found += len(said & found)
        outcome.lost += len(said - found)
        outcome.forks += forks(history)
        names = [each.checkpoint["id"] for each in history]
        wrong += len(names) - len(set(names)) + (names != sorted(names))
        wrong += sum(len(each.pending_writes or ()) > 2 for each in history)
        # What is there holds its own number last, whatever was lost around it.
        wrong += sum(
            not each.checkpoint["channel_values"]["text"][-1].startswith(f"message {each.metadata['number']} ")
            for each in history
        )
    outcome.operations = len(entries)
    return wrong
