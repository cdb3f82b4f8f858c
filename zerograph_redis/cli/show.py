"""``show``: one checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.inspect.abridging import summary

from .naming import Checkpoint, named_state
from .output import console, print_json
from .parameters import Json, Namespace, Thread
from .session import Session
from .tables import phrase, shown
from .text import age, size
from .values import brief, pretty

if TYPE_CHECKING:
    from rich.console import Console

    from zerograph_redis.tools.inspect.states import State


def show(
    context: typer.Context,
    thread: Thread,
    checkpoint: Checkpoint = None,
    namespace: Namespace = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Show long values whole.")] = False,
    json: Json = False,
) -> None:
    """Show one checkpoint.

    First what it waits for, and its pending writes; then its state, channel by channel.
    """
    session: Session = context.obj
    state = named_state(session, thread, checkpoint, namespace)
    if json:
        print_json(state_as_json(thread, state))
        return
    out = console()
    _print_head(out, thread, state)
    for value in state.interrupts:
        out.print(shown("interrupted, waits for an answer to", "bold yellow"))
        out.print(pretty(value, out.width, full=full, indent="  "), soft_wrap=True)
        out.print()
    others = [(task, channel, value) for task, channel, value in state.writes if channel != "__interrupt__"]
    if others:
        out.print(shown("pending writes", "bold cyan"))
        for task, channel, value in others:
            first = f"  {shown(channel).plain}{f' (task {shown(task).plain})' if task else ''}: "
            out.print(pretty(value, out.width, full=full, indent="    ", first=first), soft_wrap=True)
        out.print()
    for name, value in state.channels.items():
        out.print(phrase((str(name), "bold"), (f"  {summary(value)}", "dim")), soft_wrap=True)
        out.print(pretty(value, out.width, full=full, indent="  "), soft_wrap=True)


def _print_head(out: Console, thread: str, state: State) -> None:
    out.print(shown(state.checkpoint_id, "bold"), soft_wrap=True)
    step = "" if state.step is None else f"step {brief(state.step)}"
    source = f"source {state.metadata['source']}" if state.metadata.get("source") else ""
    lines = {
        "thread": thread,
        "namespace": state.namespace,
        "parent": state.parent or "",
        "stored": f"{state.stored.isoformat(' ', 'seconds').removesuffix('+00:00')} UTC, {age(state.stored)}",
        "run": ", ".join(each for each in (step, source) if each),
        "next": ", ".join(state.next),
        "size": size(state.bytes),
    }
    for name, value in lines.items():
        if value:
            out.print(phrase((f"{name:<10}", "dim"), (value, "")), soft_wrap=True)
    out.print()


def state_as_json(thread: str, state: State) -> dict[str, Any]:
    """What JSON says of a checkpoint with its state."""
    return {
        "thread_id": thread,
        "namespace": state.namespace,
        "checkpoint_id": state.checkpoint_id,
        "parent": state.parent,
        "stored": state.stored,
        "bytes": state.bytes,
        "step": state.step,
        "next": state.next,
        "metadata": state.metadata,
        "interrupts": state.interrupts,
        "writes": [{"task": task, "channel": channel, "value": value} for task, channel, value in state.writes],
        "channels": state.channels,
    }
