"""``delete``: threads, whole."""

from __future__ import annotations

import typer

from zerograph_redis.tools.maintain.removal import Removal, delete_threads, plan_deletions

from .choosing import Idle, Match, Threads, choose
from .parameters import Json, Yes
from .progress import progress
from .removals import report, show_threads
from .session import Session


def delete(
    context: typer.Context,
    threads: Threads = None,
    match: Match = "",
    idle: Idle = None,
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete threads: those named, or all that fulfil what is said. One that a worker holds stays."""
    session: Session = context.obj
    if not threads and not match and idle is None:
        raise typer.BadParameter("name threads, or say which: --match PREFIX, --idle AGE")
    targets, missing = choose(session, threads, match, idle)
    removals: list[Removal] = []
    if yes:
        with progress("Deleting threads", len(targets)) as advance:

            def take(removal: Removal) -> None:
                removals.append(removal)
                advance()

            # What is said to be idle must still be so when it goes.
            session.run(delete_threads(targets, take, unless_written=idle is not None))
    else:
        removals = plan_deletions(targets)
    if not json:
        show_threads(removals, whole=True)
    report(removals, missing, verb=("delete", "deleted"), whole=True, json=json, yes=yes)
