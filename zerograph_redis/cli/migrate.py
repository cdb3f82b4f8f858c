"""``migrate``: threads from one store to another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.errors import ConfigError
from zerograph_redis.tools.transfer.files import savers_of
from zerograph_redis.tools.transfer.moves import Source, list_source, move_threads
from zerograph_redis.tools.transfer.zerograph_files import EngineFile

from .move_reports import OUTCOMES, ThreadChoice, ThreadsFile, Update, UpdateYes, report
from .output import note
from .parameters import Json, Match
from .progress import progress

if TYPE_CHECKING:
    from .session import Session


SQLITE, ZEROGRAPH = "sqlite://", "zerograph://"


def migrate(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="The URL of the store that threads come from; it may be in use.")
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="The URL of the store that they go to.")],
    match: Match = "",
    threads: ThreadsFile = None,
    target_prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The prefix of every key at DST. Default: --prefix.")
    ] = None,
    *,
    update: Update = False,
    yes: UpdateYes = False,
    json: Json = False,
) -> None:
    """Copy threads from one store to another, and compare both sides. Run it again to continue after an interruption.

    SRC may be the file of ZeroGraph's own SqliteSaver. If both savers have used a file, zerograph:///path means ZeroGraph's.
    """
    from zerograph_redis.savers.opening import path_of

    session: Session = context.obj
    if session.is_named:
        raise ConfigError("migrate has no --url: SRC and DST name its stores")
    choice, dry_run = ThreadChoice(match, threads), update and not yes
    if source == target and target_prefix in {None, session.prefix}:
        raise typer.BadParameter("SRC and DST are the same")
    source = _by_its_tables(source)
    opened: Source | None = None if source.startswith(ZEROGRAPH) else session.open(source)
    store = session.open(target, create=not dry_run, prefix=target_prefix)
    if opened is None:
        opened = EngineFile(path_of(SQLITE + source.removeprefix(ZEROGRAPH)), store.settings)
        context.call_on_close(opened.close)
    names = choice.among(partial(list_source, opened))
    with progress("Moving threads", len(names)) as moved:
        found = move_threads(opened, store, names, moved, update=update, dry_run=dry_run)
    report(found, ("source", "target"), OUTCOMES, choice, json=json, dry_run=dry_run)


def _by_its_tables(url: str) -> str:
    """Return the URL of a SQLite file with the scheme of the saver that used it."""
    from zerograph_redis.savers.opening import path_of

    if not url.startswith(SQLITE) or not Path(path_of(url)).is_file():
        return url
    theirs, ours = savers_of(path_of(url))
    their_url = ZEROGRAPH + url.removeprefix(SQLITE)
    if theirs and ours:
        note(f"Threads of ZeroGraph's own SqliteSaver in that file are left out: migrate {their_url} to move them.")
    return their_url if theirs and not ours else url
