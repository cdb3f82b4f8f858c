"""``show``: one checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from zerograph_redis.tools.inspect.checkpoints import CheckpointReader

from .naming import Checkpoint, named_checkpoint
from .output import console, print_json
from .parameters import Full, Json, Namespace, Thread
from .session import Session
from .text import age, phrase, shown, size
from .values import brief, pretty, summary

if TYPE_CHECKING:
    from rich.console import Console

    from zerograph_redis.tools.inspect.checkpoints import Entry


def show(
    context: typer.Context,
    thread: Thread,
    checkpoint: Checkpoint = None,
    namespace: Namespace = None,
    *,
    full: Full = False,
    json: Json = False,
) -> None:
    """Show one checkpoint.

    First what it waits for, and its pending writes; then its state, channel by channel.
    """
    session: Session = context.obj
    reader = CheckpointReader(session.inspecting_settings, thread)
    entry = named_checkpoint(session, reader, thread, checkpoint, namespace)
    if json:
        print_json(_as_json(thread, entry))
        return
    out = console()
    _print_head(out, thread, entry)
    for value in entry.interrupts:
        out.print(shown("interrupted, waits for an answer to", "bold yellow"))
        out.print(pretty(value, out.width, full=full, indent="  "), soft_wrap=True)
        out.print()
    others = [(task, channel, value) for task, channel, value in entry.writes if channel != "__interrupt__"]
    if others:
        out.print(shown("pending writes", "bold cyan"))
        for task, channel, value in others:
            first = f"  {shown(channel).plain}{f' (task {shown(task).plain})' if task else ''}: "
            out.print(pretty(value, out.width, full=full, indent="    ", first=first), soft_wrap=True)
        out.print()
    for name, value in entry.channels.items():
        out.print(phrase((str(name), "bold"), (f"  {summary(value)}", "dim")), soft_wrap=True)
        out.print(pretty(value, out.width, full=full, indent="  "), soft_wrap=True)


def _print_head(out: Console, thread: str, entry: Entry) -> None:
    out.print(shown(entry.checkpoint_id, "bold"), soft_wrap=True)
    step = "" if entry.step is None else f"step {brief(entry.step)}"
    source = f"source {entry.source}" if entry.source else ""
    lines = {
        "thread": thread,
        "namespace": entry.namespace,
        "parent": entry.parent or "",
        "stored": f"{entry.stored.isoformat(' ', 'seconds').removesuffix('+00:00')} UTC, {age(entry.stored)}",
        "run": ", ".join(each for each in (step, source) if each),
        "next": ", ".join(entry.next),
        "size": size(entry.bytes),
    }
    for name, value in lines.items():
        if value:
            out.print(phrase((f"{name:<10}", "dim"), (value, "")), soft_wrap=True)
    out.print()


def _as_json(thread: str, entry: Entry) -> dict[str, Any]:
    names = ("namespace", "checkpoint_id", "parent", "stored", "bytes", "step", "next", "metadata", "interrupts")
    return {
        "thread_id": thread,
        **{name: getattr(entry, name) for name in names},
        "writes": [{"task": task, "channel": channel, "value": value} for task, channel, value in entry.writes],
        "channels": entry.channels,
    }
