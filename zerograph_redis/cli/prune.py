"""``prune``: checkpoints of threads."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from zerograph_redis.tools.maintain.removal import Removal, plan_prunings, prune_threads

from .choosing import Idle, Match, Threads, choose
from .durations import read_duration
from .output import console, note
from .parameters import Json, Yes
from .progress import progress
from .removals import moment, report, show_threads
from .session import Session
from .tables import Cut, table
from .text import age, size

SHOWN = 50


def prune(
    context: typer.Context,
    threads: Threads = None,
    match: Match = "",
    idle: Idle = None,
    keep: Annotated[int | None, typer.Option(min=0, help="How many to keep of each namespace.")] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            parser=read_duration, metavar="AGE", help="Only checkpoints stored so long ago: 90s, 15m, 12h, 30d."
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every thread.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let go of old checkpoints. The newest of each namespace stays, unless --keep 0 is said."""
    session: Session = context.obj
    if keep is None and older_than is None:
        raise typer.BadParameter("say what goes: --keep NUMBER, --older-than AGE, or both")
    if every == bool(threads or match or idle is not None):
        raise typer.BadParameter("name threads, or say which: --match PREFIX, --idle AGE, or --all")
    kept = 1 if keep is None else keep
    max_age = None if older_than is None else older_than // timedelta(microseconds=1)
    targets, missing = choose(session, threads, match, idle)
    removals: list[Removal] = []
    with progress("Pruning threads" if yes else "Looking at checkpoints", len(targets)) as advance:

        def take(removal: Removal) -> None:
            removals.append(removal)
            advance()

        if yes:
            session.run(prune_threads(targets, kept, max_age, session.store.operations, take))
        else:
            session.run(plan_prunings(targets, kept, max_age, take))
    if not json:
        if len(removals) == 1 and removals[0].outlines:
            _show_checkpoints(removals[0])
        else:
            show_threads(removals, whole=False)
    report(removals, missing, verb=("prune", "pruned"), whole=False, json=json, yes=yes)


def _show_checkpoints(removal: Removal) -> None:
    rows = table(namespace="cut", checkpoint="cut", stored="right", writes="right", size="right")
    for each in removal.outlines[:SHOWN]:
        rows.add_row(
            Cut(each.namespace),
            Cut(each.checkpoint_id),
            age(moment(each.order)),
            f"{each.writes:,}" if each.writes else "",
            size(each.bytes),
        )
    console().print(rows)
    if len(removal.outlines) > SHOWN:
        note(f"… and {len(removal.outlines) - SHOWN:,} more; --json has all.")
