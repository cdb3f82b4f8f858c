"""``stats``: a store in numbers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.core.listing import moment
from zerograph_redis.tools.inspect.snapshots import Snapshot, exchange
from zerograph_redis.tools.inspect.statistics import Savings, Statistics, count_store

from .output import console, note, print_json
from .parameters import Json
from .progress import progress
from .session import Session
from .text import Table, count, duration, shown, size

if TYPE_CHECKING:
    from rich.table import Table as Grid


def stats(
    context: typer.Context,
    largest: Annotated[int, typer.Option(min=0, help="How many of the largest threads to show.")] = 10,
    *,
    exact: Annotated[
        bool, typer.Option("--exact", help="Count the savings over all threads, also if there are very many.")
    ] = False,
    json: Json = False,
) -> None:
    """Count threads, checkpoints and bytes.

    Also how many threads will expire, what it saves that a checkpoint stores only what changed, and how much the store grew
    since the last call.
    """
    session: Session = context.obj
    with progress("Counting threads") as counted:
        found = session.run(count_store(largest, counted, exact=exact))
    growth = _remember(session, found)
    if json:
        prefix = session.prefix if session.is_redis else None
        savings = asdict(found.savings) | {"saved_bytes": found.savings.saved_bytes}
        numbers = asdict(found) | {"taken": moment(found.taken), "savings": savings, "growth": growth}
        print_json({"store": session.place, "prefix": prefix} | numbers)
        return
    console().print(_facts(session, found, growth))
    if found.largest:
        console().print()
        console().print(_largest(found))


def _remember(session: Session, found: Statistics) -> dict[str, Any] | None:
    """Remember the numbers for the next call, and return how they changed since the last one. None if that is unknown."""
    from zerograph_redis.savers.opening import path_of

    place = session.place
    if place.startswith("memory:"):
        return None
    if place.startswith("sqlite:"):
        place = f"sqlite:{Path(path_of(session.url)).resolve()}"
    now = Snapshot(found.taken, found.threads, found.checkpoints, found.bytes)
    try:
        before = exchange(f"{place} {session.prefix}", now)
    except OSError as error:
        note(f"The numbers cannot be remembered for the next call: {error}")
        return None
    if before is None:
        return None
    return {
        "since": moment(before.taken),
        "seconds": (now.taken - before.taken) / 1_000_000,
        "threads": now.threads - before.threads,
        "checkpoints": now.checkpoints - before.checkpoints,
        "bytes": now.bytes - before.bytes,
    }


def _facts(session: Session, found: Statistics, growth: dict[str, Any] | None) -> Grid:
    """One row for each number that is not 0."""
    from rich.table import Table as Grid

    with_ttl = found.threads_with_ttl
    facts = {
        "store": session.place + (f", prefix {session.prefix}" if session.is_redis else ""),
        "threads": f"{found.threads:,}",
        "with a TTL": f"{with_ttl:,} ({with_ttl / found.threads:.0%})" if with_ttl else "",
        "held": f"{found.threads_held:,} by a worker" if found.threads_held else "",
        "damaged": f"{found.threads_damaged:,}: run `zerograph-redis doctor`" if found.threads_damaged else "",
        "checkpoints": f"{found.checkpoints:,}" if found.checkpoints else "",
        "stored": size(found.bytes) if found.bytes else "",
        "saved": _saved(found.savings),
        "growth": "" if growth is None else _growth(growth),
    }
    rows = Grid.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact:
            rows.add_row(name, shown(fact))
    return rows


def _saved(savings: Savings) -> str:
    if savings.saved_bytes <= 0:
        return ""
    fact = f"{size(savings.saved_bytes)}: whole states would take {size(savings.whole_bytes)}"
    if savings.stored_bytes:
        fact += f", {savings.whole_bytes / savings.stored_bytes:.1f} times as much"
    return fact if savings.exact else f"about {fact} (by a sample of {count(savings.threads, 'thread')})"


def _growth(growth: dict[str, Any]) -> str:
    changes = {
        count(abs(growth["threads"]), "thread"): growth["threads"],
        count(abs(growth["checkpoints"]), "checkpoint"): growth["checkpoints"],
        size(abs(growth["bytes"])): growth["bytes"],
    }
    signed = [f"{'+' if change > 0 else '-'}{text}" for text, change in changes.items() if change]
    return f"{', '.join(signed) or 'none'} in {duration(max(growth['seconds'], 0))}"


def _largest(found: Statistics) -> Table:
    rows = Table(largest_threads="cut", checkpoints="right", size="right", share="right", ttl="right")
    for each in found.largest:
        rows.add_row(
            each.thread_id,
            f"{each.checkpoints:,}",
            size(each.bytes),
            f"{each.bytes / found.bytes:.0%}" if found.bytes else "",
            "never" if each.ttl is None else duration(each.ttl),
        )
    return rows
