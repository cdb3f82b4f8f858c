"""``history``: what led to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.inspect.history import read_history
from zerograph_redis.tools.inspect.lanes import draw

from .exits import NotThereError, no_such_thread
from .output import console, note, print_json
from .parameters import Json, Namespace, Thread
from .progress import progress
from .session import Session
from .tables import shown, table
from .text import age, count, size
from .values import brief

if TYPE_CHECKING:
    from rich.text import Text

    from zerograph_redis.tools.inspect.comparing import Change
    from zerograph_redis.tools.inspect.history import Entry, NamespaceHistory


SHORTEST = 8  # characters of an id


def history(
    context: typer.Context,
    thread: Thread,
    namespace: Namespace = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at the most, over all namespaces.")] = 50,
    *,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    json: Json = False,
) -> None:
    """Show the checkpoints of a thread as a tree.

    Newest first, each namespace (a subgraph) by itself. A filled circle has a parent there, an empty one begins anew. What
    changed is told against the parent, or against what was stored before.
    """
    session: Session = context.obj
    with progress("Reading checkpoints") as noted:
        found = session.run(read_history(session.lenient_settings, thread, namespace, None if every else limit, noted))
    if not found:
        if namespace is None or not session.run(read_history(session.lenient_settings, thread, limit=1)):
            raise no_such_thread(thread, session.place)
        raise NotThereError(f"thread {thread!r} has no checkpoints in the namespace {namespace!r}")
    if json:
        print_json({"thread_id": thread, "namespaces": [_as_json(each) for each in found]})
        return
    for place, each in enumerate(found):
        if place:
            console().print()
        if len(found) > 1 or each.namespace:
            console().print(shown(each.namespace or "(root)", "bold"))
        _print_tree(each)
    left = sum(each.checkpoints - len(each.entries) for each in found)
    if left > 0:
        note(f"{count(left, 'older checkpoint')} not shown: --all, or a larger --limit.")


def _print_tree(found: NamespaceHistory) -> None:
    ids = [each.checkpoint_id for each in found.entries]
    width = _telling(ids)
    lines = draw((each.checkpoint_id, None if each.begins else each.parent) for each in found.entries)
    rows = table(checkpoint="left", step="right", source="left", age="right", size="right", changed="cut")
    for line, each in zip(lines, found.entries, strict=True):
        if line.joins is not None:
            rows.add_row(line.joins)
        rows.add_row(
            shown(f"{line.lanes} {each.checkpoint_id[:width]}"),
            "" if each.step is None else brief(each.step),
            shown(each.source or ""),
            age(each.stored),
            size(each.bytes),
            _told(each),
        )
    console().print(rows)


def _told(entry: Entry) -> Text:
    told = shown(spell_changes(entry.changes))
    if entry.interrupts:
        told.append(f"{'  ' if told else ''}waits: {spell_waiting(entry.interrupts)}", "yellow")
    others = len(entry.writes) - len(entry.interrupts)
    if others:
        told.append(f"{'  ' if told else ''}{count(others, 'pending write')}", "cyan")
    return told


def _telling(ids: list[str]) -> int:
    """How many characters tell the ids apart."""
    width = SHORTEST
    longest = max(map(len, ids))
    while width < longest and len({each[:width] for each in ids}) < len(ids):
        width += 4
    return width


def spell_changes(changes: list[Change] | None) -> str:
    """Spell in a line what changed: ``messages +2, turn, -draft``."""
    if changes is None:
        return "?"
    signs = {"added": "+{}", "removed": "-{}", "changed": "{}", "appended": "{} +{}"}
    return ", ".join(signs[change.kind].format(change.channel, change.members) for change in changes)


def spell_waiting(interrupts: list[Any]) -> str:
    """Spell in a line what a graph waits for."""
    return ", ".join(brief(getattr(each, "value", each)) for each in interrupts)


def _as_json(found: NamespaceHistory) -> dict[str, Any]:
    return {
        "namespace": found.namespace,
        "checkpoints": found.checkpoints,
        "entries": [entry_as_json(each) for each in found.entries],
    }


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """What JSON says of a checkpoint."""
    return {
        "checkpoint_id": entry.checkpoint_id,
        "parent": entry.parent,
        "parent_namespace": entry.parent_namespace,
        "stored": entry.stored,
        "source": entry.source,
        "step": entry.step,
        "next": entry.next,
        "bytes": entry.bytes,
        "writes": [{"task": task, "channel": channel} for task, channel in entry.writes],
        "interrupts": [getattr(each, "value", each) for each in entry.interrupts],
        "compared_with": entry.compared_with,
        "changes": None
        if entry.changes is None
        else [
            {"channel": each.channel, "kind": each.kind} | ({} if each.members is None else {"members": each.members})
            for each in entry.changes
        ],
    }
