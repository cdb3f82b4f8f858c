"""``export``: threads into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.tools.transfer.archive import ArchiveWriter
from zerograph_redis.tools.transfer.exports import Export
from zerograph_redis.tools.transfer.outcomes import Outcome

from .moving import Choice, Match, ThreadsFile, end_of, report
from .output import note
from .parameters import Json
from .progress import progress

if TYPE_CHECKING:
    from zerograph_redis.tools.transfer.outcomes import Result

    from .session import Session


_DONE = {
    Outcome.MOVED: "written",
    Outcome.SAME: "written before it was cut short",
    Outcome.GONE: "gone meanwhile",
}


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")],
    match: Match = "",
    threads: ThreadsFile = None,
    level: Annotated[
        int, typer.Option(min=1, max=22, help="How hard to compress: 1 is fast, 22 makes the smallest file.")
    ] = 3,
    *,
    json: Json = False,
) -> None:
    """Write threads into one file, lossless, and read it back. Run again, it goes on where it was cut short."""
    session: Session = context.obj
    choice = Choice(match, threads)
    end = end_of(session.store)
    selection = repr((session.place, session.prefix, match, None if choice.named is None else list(choice.named)))
    gone: list[str] = []
    with ArchiveWriter(file, selection, level) as writer:
        names = choice.of(end.threads)
        if writer.threads:
            note(f"Going on with {writer.part}.")
        going = Export(end, end.settings, writer)
        with progress("Writing threads", len(names)) as advance:

            def take(result: Result) -> None:
                if result.outcome is Outcome.GONE:
                    gone.append(result.thread)
                advance()

            going.write(names, take)
        with progress("Reading the file back", len(writer.threads)) as advance:
            found = going.finish(lambda _: advance())
    sides = {"file": found.target}
    report(found, sides, _DONE, gone if choice.named is not None else [], json=json)
