"""``import``: threads out of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.core.settings import Settings
from zerograph_redis.tools.transfer.archive import Archive
from zerograph_redis.tools.transfer.moves import check_archive, import_threads
from zerograph_redis.tools.transfer.outcomes import Outcome

from .moving import Choice, Match, ThreadsFile, Update, end_of, report
from .parameters import Json
from .progress import progress

if TYPE_CHECKING:
    from .session import Session


_DONE = {
    Outcome.MOVED: "stored",
    Outcome.UPDATED: "replaced by what the file has",
    Outcome.SAME: "there already, and the same",
    Outcome.CONTINUED: "there already, and continued there: left alone",
    Outcome.GONE: "gone as soon as they were stored",
}


def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A file that `export` made.")
    ],
    match: Match = "",
    threads: ThreadsFile = None,
    *,
    update: Update = False,
    json: Json = False,
) -> None:
    """Store the threads of a file, and compare them with it. All of it is checked before anything is written."""
    session: Session = context.obj
    choice = Choice(match, threads)
    with Archive(file) as archive:
        if session.is_redis:
            session.store  # noqa: B018 - better now than when the file is checked
        names: set[str] = set()
        with progress("Checking the file") as checked:

            def check(thread: str) -> None:
                names.add(thread)
                checked()

            check_archive(archive, Settings.check(serializer=session.serializer), check)
        end = end_of(session.open(session.url, create=True))
        wanted = sum(map(choice.wants, names))
        with progress("Storing threads", wanted) as advance:
            found = import_threads(archive, end, choice.wants, lambda _: advance(), update=update)
    sides = {"file": found.source, "store": found.target}
    report(found, sides, _DONE, choice.missing(names), json=json)
