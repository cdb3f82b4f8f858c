"""``watch``: what workers do, live."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.display import visible
from zerograph_redis.errors import BackendUnavailableError
from zerograph_redis.tools.inspect.watching import Watch

from .history import changes_text, entry_as_json, question_text
from .output import console, note, print_json
from .parameters import complete_thread
from .session import Session
from .text import cut, duration, phrase, shown
from .unlock import lease_as_json
from .values import brief, pretty

if TYPE_CHECKING:
    from rich.text import Text

    from zerograph_redis.tools.inspect.checkpoints import Entry
    from zerograph_redis.tools.inspect.watching import Event


_THREAD = 24  # columns of a thread's id
_INDENT = " " * 10  # of lines that go on below the thread's id


def watch(
    context: typer.Context,
    thread: Annotated[
        str | None,
        typer.Argument(
            metavar="THREAD", help="Only this thread; it need not exist yet.", autocompletion=complete_thread
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two polls.")] = 0.5,
    *,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON document a line, for scripts.")] = False,
) -> None:
    """Follow live what workers do.

    New checkpoints, interrupts and leases, until Ctrl-C. Without THREAD, leases are those of the 50 threads that were active
    last. On a cluster, if more threads than that are active at once, some are reported up to 30 seconds late.
    """
    session: Session = context.obj
    following = Watch(session.inspecting_settings, thread)
    session.run(following.poll())
    note(f"Watching {session.place if thread is None else repr(thread)}. Ctrl-C ends it.")
    answers = True
    while True:
        time.sleep(interval)
        try:
            events = session.run(following.poll())
        except BackendUnavailableError as error:
            if answers:
                note(f"{error}. Retrying.")
            answers = False
            continue
        answers = True
        for each in events:
            _print(each, with_thread=thread is None, json=json)


def _print(event: Event, *, with_thread: bool, json: bool) -> None:
    from rich.text import Text

    now = datetime.now(UTC)
    happened = event.entry.stored if event.kind == "checkpoint" and event.entry is not None else now
    if json:
        print_json(_as_json(event, happened), line=True)
        return
    out = console()
    width = min(_THREAD, out.width // 4)
    name = f"{cut(visible(event.thread), width):<{width}}  " if with_thread else ""
    line = phrase((happened.astimezone().strftime("%H:%M:%S  "), "dim"), (name, ""))
    details = Text(style="yellow")
    if event.kind == "interrupt" and event.entry is not None:
        line.append(f"{_place(event.entry)} waits for an answer to", "yellow")
        details.append(f" {question_text(event.entry)}")
        if line.cell_len + details.cell_len > out.width:
            lines = (pretty(each, out.width, full=False, indent=_INDENT) for each in event.entry.interrupts)
            details = Text("\n", "yellow").append_text(Text("\n").join(lines))
    elif event.error is not None:
        line.append("unreadable", "red")
        width = max(out.width - len(_INDENT), 24)
        details = Text("".join(f"\n{_INDENT}{part}" for part in wrap(visible(event.error), width)), "red")
    else:
        line.append_text(_description(event))
    line.truncate(out.width, overflow="ellipsis")
    line.append_text(details)
    out.print(line, soft_wrap=True)
    out.file.flush()


def _description(event: Event) -> Text:
    if event.entry is not None:
        entry = event.entry
        step = "" if entry.step is None else f" step {brief(entry.step)}"
        following = f" → {', '.join(entry.next)}" if entry.next else ""
        text = shown(f"{_place(entry)}{step} {entry.source or ''}{following}")
        changes = "" if entry.changes is None else changes_text(entry.changes)
        return text.append(f"  {shown(changes).plain}", "green") if changes else text
    if event.kind == "removed":
        return shown("deleted or expired", "red")
    if event.lease is None:
        return shown("lease ended: nobody holds it", "cyan")
    return shown(f"lease: {event.lease.owner} holds it for {duration(event.lease.seconds_left)}", "cyan")


def _place(entry: Entry) -> str:
    name = f"{entry.namespace}/{entry.checkpoint_id[:8]}" if entry.namespace else entry.checkpoint_id[:8]
    return visible(name)


def _as_json(event: Event, happened: datetime) -> dict[str, Any]:
    document: dict[str, Any] = {"event": event.kind, "thread_id": event.thread, "at": happened}
    if event.kind == "lease":
        document["lease"] = lease_as_json(event.lease)
    if event.error is not None:
        document["error"] = event.error
    if event.entry is not None:
        document |= {"namespace": event.entry.namespace, **entry_as_json(event.entry)}
    return document
