"""``export``: threads into one file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.tools.transfer.exports import ExportFile, require_zstd
from zerograph_redis.tools.transfer.moves import MoveOutcome, list_source

from .move_reports import OUTCOMES, ThreadChoice, ThreadsFile, report
from .output import note
from .parameters import Json, Match
from .progress import progress

if TYPE_CHECKING:
    from .session import Session

_OUTCOMES = {
    **OUTCOMES,
    MoveOutcome.MOVED: "written",
    MoveOutcome.UPDATED: "written again, because the store has a newer version",
    MoveOutcome.SAME: "written by an earlier run",
}


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
    report(found, ("store", "file"), _OUTCOMES, choice, json=json)
