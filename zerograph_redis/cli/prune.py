"""``prune``: old checkpoints of threads."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from zerograph_redis.tools.maintain.removal import plan_prunings, prune_threads

from .parameters import Json, Match, Yes
from .removals import Action, Idle, Threads, collect, read_duration, report, select
from .session import Session

_PRUNE = Action("prune", "pruned", whole=False)


def prune(
    context: typer.Context,
    threads: Threads = None,
    match: Match = "",
    idle: Idle = None,
    keep: Annotated[int | None, typer.Option(min=0, help="How many checkpoints to keep in each namespace.")] = None,
    older_than: Annotated[
        int | None,
        typer.Option(parser=read_duration, metavar="AGE", help="Only checkpoints older than this: 90s, 15m, 12h, 30d."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every thread.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove old checkpoints of threads. The newest of each namespace stays, unless --keep is 0.

    Threads that a worker holds are skipped.
    """
    session: Session = context.obj
    if keep is None and older_than is None:
        raise typer.BadParameter("select checkpoints with --keep NUMBER, --older-than AGE, or both")
    if every == bool(threads or match or idle is not None):
        raise typer.BadParameter("give ids of threads, or select threads with --match PREFIX, --idle AGE or --all")
    kept = 1 if keep is None else keep
    targets, missing = select(session, threads, match, idle)
    if yes:
        work = partial(prune_threads, targets, kept, older_than, session.store.operations)
        removals = collect(session, "Pruning threads", targets, work)
    else:
        removals = collect(session, "Reading checkpoints", targets, partial(plan_prunings, targets, kept, older_than))
    report(removals, missing, _PRUNE, json=json, yes=yes)
