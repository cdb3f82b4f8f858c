"""Which threads a command is for: the options of those that work on many."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.tools.maintain.selection import Selection, find_targets

from .durations import read_duration
from .progress import progress

if TYPE_CHECKING:
    from zerograph_redis.tools.maintain.selection import Target

    from .session import Session


Threads = Annotated[list[str] | None, typer.Argument(metavar="[THREAD]...", help="Ids of threads.", show_default=False)]
Match = Annotated[str, typer.Option(metavar="PREFIX", help="Only threads whose id begins with this.")]
Idle = Annotated[
    timedelta | None,
    typer.Option(parser=read_duration, metavar="AGE", help="Only threads not written for so long: 90s, 15m, 12h, 30d."),
]


def choose(
    session: Session, threads: list[str] | None, match: str, idle: timedelta | None
) -> tuple[list[Target], list[str]]:
    """Find the threads that the options mean, and the ids that were named and are not there."""
    selection = Selection(threads or (), match, None if idle is None else idle // timedelta(microseconds=1))
    with progress("Looking at threads") as looked:
        return session.run(find_targets(selection, looked))
