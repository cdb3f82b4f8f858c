"""``stats``: a store in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.core.thread_operations import moment
from zerograph_redis.tools.inspect.snapshots import Snapshot, exchange
from zerograph_redis.tools.inspect.statistics import Statistics, count_store

from .output import console, note, print_json
from .parameters import Json
from .progress import progress
from .session import Session
from .tables import Cut, shown, table
from .text import count, duration, size
from .threads import describe

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from .tables import Table


def stats(
    context: typer.Context,
    largest: Annotated[int, typer.Option(min=0, help="How many of the largest threads to show.")] = 10,
    *,
    exact: Annotated[
        bool, typer.Option("--exact", help="Count what patches save over all threads, never over a sample of them.")
    ] = False,
    json: Json = False,
) -> None:
    """Count threads, checkpoints and bytes.

    Also what patches save, what will expire, and what grew since the last call.
    """
    session: Session = context.obj
    with progress("Counting threads") as looked:
        found = session.run(count_store(largest, looked, exact=exact))
    before = _remembered(session, found)
    if json:
        print_json(_as_json(session, found, before))
        return
    console().print(_facts(session, found, before))
    if found.largest:
        console().print()
        console().print(_largest(found))


def _remembered(session: Session, found: Statistics) -> Snapshot | None:
    """Exchange what is remembered of the store for what was found; None for one that nobody can come back to."""
    place = session.place
    if place.startswith("memory:"):
        return None
    if place.startswith("sqlite:"):
        place = f"sqlite:{Path(session.path).resolve()}"
    try:
        return exchange(
            f"{place} {session.prefix}", Snapshot(found.taken, found.threads, found.checkpoints, found.bytes)
        )
    except OSError as error:
        note(f"What was counted cannot be remembered for the next call: {error}")
        return None


def _facts(session: Session, found: Statistics, before: Snapshot | None) -> Grid:
    from rich.table import Table as Grid

    rows = Grid.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row("store", shown(_where(session)))
    rows.add_row("threads", _threads(found))
    rows.add_row("checkpoints", f"{found.checkpoints:,}")
    rows.add_row("stored", size(found.bytes))
    rows.add_row("saved", _saved(found))
    rows.add_row("growth", _growth(found, before))
    return rows


def _where(session: Session) -> str:
    return session.place + (f", prefix {session.prefix}" if session.is_redis else "")


def _threads(found: Statistics) -> str:
    told = [f"{found.threads:,}"]
    if found.threads:
        told.append(f"{found.expiring:,} with a ttl ({found.expiring / found.threads:.0%})")
    if found.held:
        told.append(f"{found.held:,} held by a worker")
    if found.damaged:
        told.append(f"{found.damaged:,} damaged: see doctor")
    return ", ".join(told)


def _saved(found: Statistics) -> str:
    whole, stored, threads, exact = found.savings
    if not stored:
        return "nothing yet"
    told = f"{size(max(whole - stored, 0))} by patches: whole states take {size(whole)}, {whole / stored:.1f} times as much"
    return told if exact else f"about {told} (by a sample of {count(threads, 'thread')})"


def _growth(found: Statistics, before: Snapshot | None) -> str:
    if before is None:
        return "not known before the next call"
    signs = [
        f"{found.threads - before.threads:+,} threads",
        f"{found.checkpoints - before.checkpoints:+,} checkpoints",
        f"{'-' if found.bytes < before.bytes else '+'}{size(abs(found.bytes - before.bytes))}",
    ]
    return f"{', '.join(signs)} in {duration(max(found.taken - before.taken, 0) / 1_000_000)}"


def _largest(found: Statistics) -> Table:
    rows = table(largest_threads="cut", checkpoints="right", size="right", share="right", ttl="right")
    for each in found.largest:
        rows.add_row(
            Cut(each.thread_id),
            f"{each.checkpoints:,}",
            size(each.bytes),
            f"{each.bytes / found.bytes:.0%}" if found.bytes else "",
            "never" if each.ttl is None else duration(each.ttl),
        )
    return rows


def _as_json(session: Session, found: Statistics, before: Snapshot | None) -> dict[str, Any]:
    savings = found.savings
    return {
        "store": session.place,
        "prefix": session.prefix if session.is_redis else None,
        "taken": moment(found.taken),
        "threads": found.threads,
        "checkpoints": found.checkpoints,
        "bytes": found.bytes,
        "threads_with_ttl": found.expiring,
        "threads_held": found.held,
        "threads_damaged": found.damaged,
        "patches": {
            "whole_bytes": savings.whole,
            "stored_bytes": savings.stored,
            "saved_bytes": savings.whole - savings.stored,
            "exact": savings.exact,
            "threads": savings.threads,
        },
        "largest": [describe(each) for each in found.largest],
        "growth": None
        if before is None
        else {
            "since": moment(before.taken),
            "seconds": (found.taken - before.taken) / 1_000_000,
            "threads": found.threads - before.threads,
            "checkpoints": found.checkpoints - before.checkpoints,
            "bytes": found.bytes - before.bytes,
        },
    }
