"""``history``: which checkpoint was made from which."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.inspect.history import read_history
from zerograph_redis.tools.inspect.lanes import Line, draw

from .naming import no_such_checkpoint
from .output import console, note, print_json
from .parameters import Json, Namespace, Thread
from .progress import progress
from .session import Session
from .text import Table, age, count, shown, size
from .values import brief

if TYPE_CHECKING:
    from rich.text import Text

    from zerograph_redis.tools.inspect.changes import ChannelChange
    from zerograph_redis.tools.inspect.checkpoints import Entry
    from zerograph_redis.tools.inspect.history import NamespaceHistory


_SHORTEST = 8  # characters of an id


def history(
    context: typer.Context,
    thread: Thread,
    namespace: Namespace = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many checkpoints.")] = 50,
    *,
    every: Annotated[bool, typer.Option("--all", help="All checkpoints.")] = False,
    json: Json = False,
) -> None:
    """Show the checkpoints of a thread, newest first.

    Each namespace (a subgraph) by itself: in one column if each checkpoint was made from the next, else as a tree. What
    changed is relative to the parent; at the start of a run, to the checkpoint stored before; ? if that is not stored.
    """
    session: Session = context.obj
    with progress("Reading checkpoints") as advance:
        operation = read_history(session.inspecting_settings, thread, namespace, None if every else limit, advance)
        found = session.run(operation)
    if not found:
        raise no_such_checkpoint(session, thread, None, namespace)
    if json:
        print_json({"thread_id": thread, "namespaces": [_as_json(each) for each in found]})
        return
    is_tree = False
    for place, each in enumerate(found):
        if place:
            console().print()
        if len(found) > 1 or each.namespace:
            console().print(shown(each.namespace or "(root)", "bold"))
        lines = _lines(each.entries)
        is_tree |= any(line.lanes for line in lines)
        _print_rows(each.entries, lines)
    if is_tree:
        note("● has a parent in its namespace, ○ starts a run.")
    left = sum(each.checkpoints - len(each.entries) for each in found)
    if left > 0:
        note(f"{count(left, 'older checkpoint')} not shown: --all, or a larger --limit.")


def _lines(entries: list[Entry]) -> list[Line]:
    """Draw the lanes of a tree, none for a straight run."""
    if all(newer.parent == older.checkpoint_id for newer, older in pairwise(entries)):
        return [Line(None, "")] * len(entries)
    return draw((each.checkpoint_id, None if each.starts else each.parent) for each in entries)


def _print_rows(entries: list[Entry], lines: list[Line]) -> None:
    width = _distinct(each.checkpoint_id for each in entries)
    rows = Table(checkpoint="left", step="right", source="left", age="right", size="right", changed="cut")
    for line, each in zip(lines, entries, strict=True):
        if line.joins is not None:
            rows.add_row(line.joins)
        rows.add_row(
            shown(f"{line.lanes} {each.checkpoint_id[:width]}" if line.lanes else each.checkpoint_id[:width]),
            "" if each.step is None else brief(each.step),
            shown(each.source or ""),
            age(each.stored),
            size(each.bytes),
            _changed(each),
        )
    console().print(rows)


def _changed(entry: Entry) -> Text:
    text = shown(changes_text(entry.changes))
    if entry.interrupts:
        text.append(f"{'  ' if text else ''}waits: {question_text(entry)}", "yellow")
    others = len(entry.writes) - len(entry.interrupts)
    if others:
        text.append(f"{'  ' if text else ''}{count(others, 'pending write')}", "cyan")
    return text


def _distinct(names: Iterable[str]) -> int:
    """Count the first characters that make all ids distinct."""
    ids = list(names)
    width, longest = _SHORTEST, max(map(len, ids))
    while width < longest and len({each[:width] for each in ids}) < len(ids):
        width += 4
    return width


def changes_text(changes: list[ChannelChange] | None) -> str:
    """Describe changes in a line: ``messages +2, turn, -draft``; ``?`` if they are not known."""
    if changes is None:
        return "?"
    forms = {"added": "+{}", "removed": "-{}", "changed": "{}", "appended": "{} +{}"}
    return ", ".join(forms[change.kind].format(change.channel, change.members) for change in changes)


def question_text(entry: Entry) -> str:
    """Show in a line what a graph waits for."""
    return ", ".join(map(brief, entry.interrupts))


def _as_json(found: NamespaceHistory) -> dict[str, Any]:
    return {
        "namespace": found.namespace,
        "checkpoints": found.checkpoints,
        "entries": [entry_as_json(each) for each in found.entries],
    }


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """Return a checkpoint without its state, for JSON."""
    changes = None
    if entry.changes is not None:
        changes = [{name: fact for name, fact in each._asdict().items() if fact is not None} for each in entry.changes]
    names = ("checkpoint_id", "parent", "parent_namespace", "stored", "source", "step", "next", "bytes")
    return {
        **{name: getattr(entry, name) for name in names},
        "writes": [{"task": task, "channel": channel} for task, channel, _ in entry.writes],
        "interrupts": entry.interrupts,
        "compared_with": entry.compared_with,
        "changes": changes,
    }
