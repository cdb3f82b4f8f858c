"""``import``: the threads of a file into a store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.core.settings import Settings
from zerograph_redis.tools.transfer.exports import open_export
from zerograph_redis.tools.transfer.moves import MoveOutcome, list_source, move_threads

from .move_reports import OUTCOMES, ThreadChoice, ThreadsFile, Update, UpdateYes, report
from .parameters import Json, Match
from .progress import progress

if TYPE_CHECKING:
    from .session import Session

_OUTCOMES = {
    **OUTCOMES,
    MoveOutcome.MOVED: "stored",
    MoveOutcome.UPDATED: "replaced by the newer version in the file",
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
    yes: UpdateYes = False,
    json: Json = False,
) -> None:
    """Store the threads of a file, and compare both sides. Nothing is stored from a file that is damaged or incomplete."""
    session: Session = context.obj
    choice, dry_run = ThreadChoice(match, threads), update and not yes
    # An error of the store is reported before the file is read. Only then is a SQLite file created.
    existing = session.store if session.is_redis or dry_run else None
    with open_export(file, Settings.check(serializer=session.serializer)) as source:
        store = existing or session.open(session.url, create=True)
        names = choice.among(partial(list_source, source))
        with progress("Storing threads", len(names)) as stored:
            found = move_threads(source, store, names, stored, update=update, dry_run=dry_run)
    report(found, ("file", "store"), _OUTCOMES, choice, json=json, dry_run=dry_run)
