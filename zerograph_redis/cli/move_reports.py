"""What the commands that move threads share: the options that select threads, and the report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from zerograph_redis.tools.transfer.moves import DigestSum, MoveOutcome, MoveReport

from .exits import Code
from .output import NOTHING_CHANGED, SHOWN, console, note, note_missing, note_more, print_json
from .text import Table, count, shown

ThreadsFile = Annotated[
    Path | None,
    typer.Option(
        "--threads",
        metavar="FILE",
        help="Only threads whose ids are in this file, one per line; - is stdin.",
    ),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help="Also replace threads that were moved earlier, unless they were written there since. Needs --yes.",
    ),
]
UpdateYes = Annotated[
    bool,
    typer.Option("--yes", help="Make the change. Without it, --update only shows which threads would be replaced."),
]

_PROBLEMS: dict[MoveOutcome, tuple[str, Code]] = {
    MoveOutcome.MISMATCH: ("not read back as stored", Code.DAMAGED),
    MoveOutcome.DAMAGED: ("damaged", Code.DAMAGED),
    MoveOutcome.CONFLICT: ("conflict", Code.REFUSED),
    MoveOutcome.BEHIND: ("behind", Code.REFUSED),
    MoveOutcome.HELD: ("held", Code.REFUSED),
    MoveOutcome.FAILED: ("failed", Code.ERROR),
    MoveOutcome.BUSY: ("busy", Code.ERROR),
}
"""A word and an exit code for each problem. The first that occurs decides how the command exits."""

_CHANGES = (MoveOutcome.MOVED, MoveOutcome.UPDATED)
"""The outcomes that change the target."""


OUTCOMES = {
    MoveOutcome.MOVED: "moved",
    MoveOutcome.UPDATED: "replaced by the newer version at the source",
    MoveOutcome.SAME: "stored there already, and the same",
    MoveOutcome.CONTINUED: "stored and continued there already: left alone",
    MoveOutcome.MISSING: "deleted or expired meanwhile",
}
"""How `migrate` counts what happened to threads; the other commands differ in some words."""


class ThreadChoice:
    """The threads that --match and --threads select."""

    def __init__(self, match: str, file: Path | None) -> None:
        """Read the ids in *file*, if there is one.

        Raises:
            typer.BadParameter: It cannot be read.
        """
        self.match = match
        self.named: list[str] | None = None
        if file is None:
            return
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        except (OSError, UnicodeError) as error:
            raise typer.BadParameter(f"{file} cannot be read: {error}") from error
        self.named = list(dict.fromkeys(line for line in text.split("\n") if line))

    def among(self, list_ids: Callable[[str], list[str]]) -> list[str]:
        """Return the ids of the selected threads; *list_ids* lists those in a store that begin with a prefix."""
        if self.named is None:
            return list_ids(self.match)
        return [thread for thread in self.named if thread.startswith(self.match)]


def report(
    found: MoveReport,
    sides: tuple[str, str],
    phrases: dict[MoveOutcome, str],
    choice: ThreadChoice,
    *,
    json: bool,
    dry_run: bool = False,
) -> None:
    """Print the outcome of a move, and exit with its code if there is a problem.

    Args:
        found: What happened to the threads.
        sides: The names of the source and the target.
        phrases: What to print about threads without a problem.
        choice: The threads that the user selected. Missing ones that the user named are listed.
        json: Whether to print one JSON document.
        dry_run: Whether the move was only a preview.

    Raises:
        typer.Exit: There is a problem.
    """
    totals = dict(zip(sides, (found.source, found.target), strict=True))
    missing = [] if choice.named is None else found.missing
    if json:
        print_json(_as_json(found, totals, missing, dry_run=dry_run))
    else:
        if dry_run:
            _show_planned(found.updated)
        else:
            _show_sides(found, totals)
        _show_outcomes(found, phrases, missing, dry_run=dry_run)
    code = next((code for outcome, (_, code) in _PROBLEMS.items() if found.outcomes[outcome]), None)
    if code is None and not found.equal:
        code = Code.DAMAGED
    if code is None and missing:
        code = Code.NOT_FOUND
    if code is not None:
        raise typer.Exit(code)


def _show_planned(updated: list[str]) -> None:
    if not updated:
        console().print(shown("Nothing to be replaced.", "bold"))
        return
    rows = Table(would_be_replaced="cut")
    for thread in updated[:SHOWN]:
        rows.add_row(thread)
    console().print(rows)
    note_more(len(updated) - SHOWN)


def _show_sides(found: MoveReport, totals: dict[str, DigestSum]) -> None:
    rows = Table(**{"": "left"}, threads="right", checkpoints="right", writes="right", digest="left")
    for name, total in totals.items():
        digest = shown(total.digest, "green" if found.equal else "red")
        rows.add_row(name, f"{total.threads:,}", f"{total.checkpoints:,}", f"{total.writes:,}", digest)
    console().print(rows)
    if not found.equal:
        console().print(shown("The digests differ.", "bold red"))


def _show_outcomes(found: MoveReport, phrases: dict[MoveOutcome, str], missing: list[str], *, dry_run: bool) -> None:
    if found.problems:
        _show_problems(found)
    for outcome, phrase in phrases.items():
        number = 0 if missing and outcome is MoveOutcome.MISSING else found.outcomes[outcome]
        if number:
            planned = dry_run and outcome in _CHANGES
            note(f"{count(number, 'thread')} {'would be ' if planned else ''}{phrase}.")
    if found.beyond:
        note(f"{count(found.beyond, 'thread')} of these are not in the digests: older checkpoints were removed since.")
    note_missing(missing)
    if dry_run and any(found.outcomes[each] for each in _CHANGES):
        note(NOTHING_CHANGED)


def _show_problems(found: MoveReport) -> None:
    console().print()
    rows = Table(thread="cut", problem="left", message="cut")
    for each in found.problems[:SHOWN]:
        rows.add_row(each.thread, shown(_PROBLEMS[each.outcome][0], "red"), each.message)
    console().print(rows)
    note_more(len(found.problems) - SHOWN)


def _as_json(found: MoveReport, totals: dict[str, DigestSum], missing: list[str], *, dry_run: bool) -> dict[str, Any]:
    columns = ("threads", "checkpoints", "writes", "digest")
    return {
        "dry_run": dry_run,
        "equal": found.equal,
        **{name: {each: getattr(total, each) for each in columns} for name, total in totals.items()},
        "outcomes": {outcome.value: found.outcomes[outcome] for outcome in MoveOutcome},
        "updated": found.updated,
        "continued_beyond": found.beyond,
        "problems": [
            {"thread_id": each.thread, "outcome": each.outcome.value, "message": each.message}
            for each in found.problems
        ],
        "not_found": missing,
    }
