"""``delete``: whole threads."""

from __future__ import annotations

from functools import partial

import typer

from zerograph_redis.tools.maintain.removal import delete_threads, plan_deletions

from .parameters import Json, Match, Yes
from .removals import Action, Idle, Threads, collect, report, select
from .session import Session

_DELETE = Action("delete", "deleted", whole=True)


def delete(
    context: typer.Context,
    threads: Threads = None,
    match: Match = "",
    idle: Idle = None,
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete threads: those given, or all that match the options. Threads that a worker holds are skipped."""
    session: Session = context.obj
    if not threads and not match and idle is None:
        raise typer.BadParameter("give ids of threads, or select threads with --match PREFIX or --idle AGE")
    targets, missing = select(session, threads, match, idle)
    if yes:
        # A thread that was idle when it was selected is skipped if it was written since.
        work = partial(delete_threads, targets, unless_written=idle is not None)
        removals = collect(session, "Deleting threads", targets, work)
    else:
        removals = plan_deletions(targets)
    report(removals, missing, _DELETE, json=json, yes=yes)
