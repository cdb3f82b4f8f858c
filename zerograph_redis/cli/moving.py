"""``migrate``, ``export`` and ``import``: copy threads to another store, to a file, and from one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import ConfigError
from zerograph_redis.savers.opening import path_of
from zerograph_redis.tools.transfer.engine import EngineFile
from zerograph_redis.tools.transfer.exports import ExportFile, open_export, require_zstd
from zerograph_redis.tools.transfer.files import savers_of
from zerograph_redis.tools.transfer.moves import MoveOutcome, Source, list_source, move_threads

from .move_reports import ThreadChoice, ThreadsFile, Update, UpdateYes, report
from .output import note
from .parameters import Json
from .progress import progress
from .removals import Match

if TYPE_CHECKING:
    from .session import Session


SQLITE, ZEROGRAPH = "sqlite://", "zerograph://"

_MIGRATED = {
    MoveOutcome.MOVED: "moved",
    MoveOutcome.UPDATED: "replaced by the newer version at the source",
    MoveOutcome.SAME: "stored there already, and the same",
    MoveOutcome.CONTINUED: "stored and continued there already: left alone",
    MoveOutcome.MISSING: "deleted or expired meanwhile",
}
_EXPORTED = {
    **_MIGRATED,
    MoveOutcome.MOVED: "written",
    MoveOutcome.UPDATED: "written again, because the store has a newer version",
    MoveOutcome.SAME: "written by an earlier run",
}
_IMPORTED = {
    **_MIGRATED,
    MoveOutcome.MOVED: "stored",
    MoveOutcome.UPDATED: "replaced by the newer version in the file",
}


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
    report(found, ("source", "target"), _MIGRATED, choice, json=json, dry_run=dry_run)


def _by_its_tables(url: str) -> str:
    """Return the URL of a SQLite file with the scheme of the saver that used it."""
    if not url.startswith(SQLITE) or not Path(path_of(url)).is_file():
        return url
    theirs, ours = savers_of(path_of(url))
    their_url = ZEROGRAPH + url.removeprefix(SQLITE)
    if theirs and ours:
        note(f"Threads of ZeroGraph's own SqliteSaver in that file are left out: migrate {their_url} to move them.")
    return their_url if theirs and not ours else url


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to create.")],
    match: Match = "",
    threads: ThreadsFile = None,
    level: Annotated[int, typer.Option(min=1, max=22, help="With --zstd: 1 is fast, 22 makes the smallest file.")] = 3,
    *,
    zstd: Annotated[bool, typer.Option("--zstd", help="Compress the file; needs the extra zstd.")] = False,
    json: Json = False,
) -> None:
    """Copy threads into one file, and compare both sides. Run it again to continue after an interruption.

    The file is a SQLite store: --url sqlite:///FILE reads it. With --zstd, only `import` reads it.
    """
    session: Session = context.obj
    choice = ThreadChoice(match, threads)
    if zstd:
        require_zstd()
    selection = repr((session.place, session.prefix, match, None if choice.named is None else list(choice.named)))
    store = session.store
    with ExportFile(file, selection, store.settings) as made:
        names = choice.among(partial(list_source, store))
        if made.continued:
            note(f"Continuing {made.part}.")
        with progress("Writing threads", len(names)) as written:
            found = made.add(store, names, written)
        made.publish(level if zstd else None)
    report(found, ("store", "file"), _EXPORTED, choice, json=json)


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
    report(found, ("file", "store"), _IMPORTED, choice, json=json, dry_run=dry_run)
