"""What the commands that move threads have in common: which threads, and what is said of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.transfer.outcomes import Outcome, Report, Tally

from .exits import Code
from .output import console, note, print_json
from .tables import Cut, shown, table
from .text import count

if TYPE_CHECKING:
    from zerograph_redis.store import Store
    from zerograph_redis.tools.transfer.ends import StoreEnd


SHOWN = 30

Match = Annotated[str, typer.Option(metavar="PREFIX", help="Only threads whose id begins with this.")]
ThreadsFile = Annotated[
    Path | None,
    typer.Option(
        "--threads", metavar="FILE", help="Only the threads whose ids are in this file, one a line; - for stdin."
    ),
]

Update = Annotated[
    bool,
    typer.Option(
        "--update", help="Replace a thread that is there as it was moved earlier, and that nobody wrote since."
    ),
]

_PROBLEMS: dict[Outcome, tuple[str, Code]] = {
    Outcome.MISMATCH: ("not read back as stored", Code.DAMAGED),
    Outcome.DAMAGED: ("damaged", Code.DAMAGED),
    Outcome.CONFLICT: ("conflict", Code.REFUSED),
    Outcome.BEHIND: ("behind", Code.REFUSED),
    Outcome.HELD: ("held", Code.REFUSED),
    Outcome.FAILED: ("failed", Code.ERROR),
    Outcome.BUSY: ("busy", Code.ERROR),
}
"""What is not well: in a word, and the exit code that it comes to. The first that there is decides."""


class Choice:
    """Which threads were asked for."""

    def __init__(self, match: str, file: Path | None) -> None:
        """Take the options.

        Raises:
            typer.BadParameter: The file cannot be read.
        """
        self.match = match
        self.named: Collection[str] | None = None if file is None else _read_ids(file)

    def wants(self, thread: str) -> bool:
        """Tell whether a thread was asked for."""
        return thread.startswith(self.match) and (self.named is None or thread in self.named)

    def of(self, names: Callable[[str], list[str]]) -> list[str]:
        """The threads of a store that were asked for; *names* lists those whose ids begin with a prefix."""
        if self.named is None:
            return names(self.match)
        return [thread for thread in self.named if self.wants(thread)]

    def missing(self, found: Collection[str]) -> list[str]:
        """The ids that were named and are not among *found*."""
        return [thread for thread in self.named or () if self.wants(thread) and thread not in found]


def end_of(store: Store[Any]) -> StoreEnd:
    """A store as one end of a move."""
    from zerograph_redis.tools.transfer.ends import StoreEnd

    return StoreEnd(store)


def report(found: Report, sides: dict[str, Tally], done: dict[Outcome, str], missing: list[str], *, json: bool) -> None:
    """Write what became of the threads, and end with the code that it comes to.

    Args:
        found: What became of them.
        sides: By what it is called, what was read on either side.
        done: How to say what went well.
        missing: Ids that were named and are not there.
        json: Whether all of it is to be one JSON document.

    Raises:
        typer.Exit: Not all is well.
    """
    if json:
        print_json(_as_json(found, sides, missing))
    else:
        _show(found, sides, done, missing)
    code = next((code for outcome, (_, code) in _PROBLEMS.items() if found.outcomes[outcome]), None)
    if code is None and not found.equal:
        code = Code.DAMAGED
    if code is None and missing:
        code = Code.NOT_THERE
    if code is not None:
        raise typer.Exit(code)


def _show(found: Report, sides: dict[str, Tally], done: dict[Outcome, str], missing: list[str]) -> None:
    rows = table(**{"": "left"}, threads="right", checkpoints="right", writes="right", digest="left")
    for name, tally in sides.items():
        digest = shown(tally.digest, "green" if found.equal else "red")
        rows.add_row(name, f"{tally.threads:,}", f"{tally.checkpoints:,}", f"{tally.writes:,}", digest)
    console().print(rows)
    if not found.equal:
        console().print(shown("The digests differ.", "bold red"))
    if found.problems:
        _show_problems(found)
    for outcome, words in done.items():
        if found.outcomes[outcome]:
            note(f"{count(found.outcomes[outcome], 'thread')} {words}.")
    if found.beyond:
        note(
            f"{count(found.beyond, 'thread')} of these left out of the digests: not all that was moved is still there."
        )
    if missing:
        note(f"Not there: {', '.join(map(repr, missing[:SHOWN]))}{' …' if len(missing) > SHOWN else ''}.")


def _show_problems(found: Report) -> None:
    console().print()
    rows = table(thread="cut", problem="left", said="cut")
    for each in found.problems[:SHOWN]:
        rows.add_row(Cut(each.thread), shown(_PROBLEMS[each.outcome][0], "red"), Cut(each.said))
    console().print(rows)
    if len(found.problems) > SHOWN:
        note(f"… and {len(found.problems) - SHOWN:,} more; --json has all.")


def _as_json(found: Report, sides: dict[str, Tally], missing: list[str]) -> dict[str, Any]:
    return {
        "equal": found.equal,
        **{
            name: {
                "threads": tally.threads,
                "checkpoints": tally.checkpoints,
                "writes": tally.writes,
                "digest": tally.digest,
            }
            for name, tally in sides.items()
        },
        "outcomes": {outcome.value: found.outcomes[outcome] for outcome in Outcome},
        "continued_beyond": found.beyond,
        "problems": [
            {"thread_id": each.thread, "outcome": each.outcome.value, "message": each.said} for each in found.problems
        ],
        "not_there": missing,
    }


def _read_ids(file: Path) -> dict[str, None]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error
    return dict.fromkeys(line for line in text.split("\n") if line)
