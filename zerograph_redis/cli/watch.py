"""``watch``: what happens, while it happens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.display import visible
from zerograph_redis.errors import BackendUnavailableError
from zerograph_redis.tools.inspect.watching import Watch

from .history import entry_as_json, spell_changes, spell_waiting
from .output import console, note, print_json
from .parameters import complete_thread
from .session import Session
from .tables import phrase, shown
from .text import cut, duration
from .unlock import lease_as_json
from .values import brief

if TYPE_CHECKING:
    from rich.text import Text

    from zerograph_redis.tools.inspect.history import Entry
    from zerograph_redis.tools.inspect.watching import Event


_THREAD = 24  # columns that the id of a thread gets


def watch(
    context: typer.Context,
    thread: Annotated[
        str | None,
        typer.Argument(
            metavar="THREAD", help="Only this thread; it need not exist yet.", autocompletion=complete_thread
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 0.5,
    *,
    json: Annotated[bool, typer.Option("--json", help="Write a JSON document a line, for scripts.")] = False,
) -> None:
    """Follow live what any worker does.

    New checkpoints, interrupts and leases, until Ctrl-C. Of all threads, it asks for the leases of the 50 that were active
    last. On a cluster, more threads than that at once may be told up to 30 seconds late.
    """
    session: Session = context.obj
    following = Watch(session.lenient_settings, thread)
    session.run(following.poll())
    note(f"Watching {session.place if thread is None else repr(thread)}. Ctrl-C ends it.")
    answers = True
    while True:
        time.sleep(interval)
        try:
            events = session.run(following.poll())
        except BackendUnavailableError as error:
            if answers:
                note(f"{error}. Trying on.")
            answers = False
            continue
        answers = True
        for each in events:
            _tell(each, alone=thread is not None, json=json)


def _tell(event: Event, *, alone: bool, json: bool) -> None:
    now = datetime.now(UTC)
    happened = event.entry.stored if event.kind == "checkpoint" and event.entry is not None else now
    if json:
        print_json(_as_json(event, happened), line=True)
        return
    named = "" if alone else f"{cut(visible(event.thread), _THREAD):<{_THREAD}}  "
    line = phrase((happened.astimezone().strftime("%H:%M:%S  "), "dim"), (named, "")).append_text(_words(event))
    out = console()
    line.truncate(out.width, overflow="ellipsis")
    out.print(line, soft_wrap=True)
    out.file.flush()


def _words(event: Event) -> Text:
    if event.entry is not None and event.kind == "interrupt":
        return shown(f"{_place(event.entry)} waits for an answer to {spell_waiting(event.entry.interrupts)}", "yellow")
    if event.entry is not None:
        entry = event.entry
        step = "" if entry.step is None else f" step {brief(entry.step)}"
        following = f" → {', '.join(entry.next)}" if entry.next else ""
        told = shown(f"● {_place(entry)}{step} {entry.source or ''}{following}")
        changes = "" if entry.changes is None else spell_changes(entry.changes)
        return told.append(f"  {shown(changes).plain}", "green") if changes else told
    if event.kind == "gone":
        return shown("gone: deleted, or expired", "red")
    if event.lease is None:
        return shown("lease ended: nobody holds it", "cyan")
    return shown(f"lease: {event.lease.owner} holds it for {duration(event.lease.seconds_left)}", "cyan")


def _place(entry: Entry) -> str:
    return f"{entry.namespace}/{entry.checkpoint_id[:8]}" if entry.namespace else entry.checkpoint_id[:8]


def _as_json(event: Event, happened: datetime) -> dict[str, Any]:
    told: dict[str, Any] = {"event": event.kind, "thread_id": event.thread, "at": happened}
    if event.kind == "lease":
        told["lease"] = lease_as_json(event.lease)
    if event.entry is not None:
        told["namespace"] = event.entry.namespace
        told |= entry_as_json(event.entry)
    return told
