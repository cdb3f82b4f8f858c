"""``migrate``: threads from one store to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.savers.opening import path_of
from zerograph_redis.tools.transfer.engine import EngineFile, savers_of
from zerograph_redis.tools.transfer.moves import migrate_threads
from zerograph_redis.tools.transfer.outcomes import Outcome

from .moving import Choice, Match, ThreadsFile, Update, end_of, report
from .output import note
from .parameters import Json
from .progress import progress

if TYPE_CHECKING:
    from zerograph_redis.tools.transfer.ends import Source
    from zerograph_redis.tools.transfer.outcomes import Result

    from .session import Session


OURS, THEIRS = "sqlite://", "zerograph://"

_DONE = {
    Outcome.MOVED: "moved",
    Outcome.UPDATED: "replaced by what the source has now",
    Outcome.SAME: "there already, and the same",
    Outcome.CONTINUED: "there already, and continued there: left alone",
    Outcome.GONE: "gone meanwhile",
}


def migrate(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="The url of the store that threads come from; it may be in use.")
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="The url of the store that they go to.")],
    match: Match = "",
    threads: ThreadsFile = None,
    target_prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What every key at DST begins with; unless given, --prefix.")
    ] = None,
    *,
    update: Update = False,
    json: Json = False,
) -> None:
    """Move threads between stores, and compare both sides. Run again, it goes on where it was cut short.

    SRC may be the file of ZeroGraph's own SqliteSaver. If ours has used the same file, zerograph:///path means ZeroGraph's.
    """
    session: Session = context.obj
    choice = Choice(match, threads)
    if source == target and target_prefix in {None, session.prefix}:
        raise typer.BadParameter("SRC and DST are the same")
    source = _by_its_tables(source)
    origin = None if source.startswith(THEIRS) else session.open(source)
    end = end_of(session.open(target, create=True, prefix=target_prefix))
    place: Source
    if origin is None:
        place = EngineFile(path_of(OURS + source.removeprefix(THEIRS)), end.settings)
        context.call_on_close(place.close)
    else:
        place = end_of(origin)
    names = choice.of(place.threads)
    gone: list[str] = []
    with progress("Moving threads", len(names)) as advance:

        def take(result: Result) -> None:
            if result.outcome is Outcome.GONE:
                gone.append(result.thread)
            advance()

        found = migrate_threads(place, end, names, take, update=update)
    sides = {"source": found.source, "target": found.target}
    report(found, sides, _DONE, gone if choice.named is not None else [], json=json)


def _by_its_tables(url: str) -> str:
    """Spell the url of a SQLite file so that it says whose threads are meant."""
    if not url.startswith(OURS) or not Path(path_of(url)).is_file():
        return url
    theirs, ours = savers_of(path_of(url))
    their_url = THEIRS + url.removeprefix(OURS)
    if theirs and ours:
        note(f"Threads of ZeroGraph's own SqliteSaver in that file are left out: {their_url} means those.")
    return their_url if theirs and not ours else url
