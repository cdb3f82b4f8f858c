"""What ``delete`` and ``prune`` share: which threads they are for, and the report of what is removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from zerograph_redis.core.thread_operations import moment
from zerograph_redis.tools.maintain.removal import Removal, RemovalOutcome
from zerograph_redis.tools.maintain.selection import Selection, find_targets

from .exits import Code
from .output import console, note, print_json
from .progress import progress
from .tables import Table, shown
from .text import count, duration, size

if TYPE_CHECKING:
    from zerograph_redis.core.requests import Operation
    from zerograph_redis.tools.maintain.removal import Done
    from zerograph_redis.tools.maintain.selection import Target

    from .session import Session


SHOWN = 30
NOTHING_CHANGED = "Nothing was changed: add --yes to do it."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SHORTEST, _LONGEST = 1e-6, 36_500 * 86_400  # seconds


def read_duration(text: str) -> int:
    """Parse a duration such as ``90s`` or ``1d12h``, from 1 µs to a hundred years; returns µs."""
    parts = _PART.findall(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != text or not _SHORTEST <= seconds <= _LONGEST:
        raise typer.BadParameter(f"{text!r} is not a duration: write 90s, 15m, 12h, 30d or 1d12h, for example")
    return round(seconds * 1_000_000)


Threads = Annotated[list[str] | None, typer.Argument(metavar="THREAD", help="Ids of threads.", show_default=False)]
Match = Annotated[str, typer.Option(metavar="PREFIX", help="Only threads whose id begins with this.")]
Idle = Annotated[
    int | None,
    typer.Option(
        parser=read_duration, metavar="AGE", help="Only threads that nobody wrote for this long: 90s, 15m, 12h, 30d."
    ),
]


def select(session: Session, threads: list[str] | None, match: str, idle: int | None) -> tuple[list[Target], list[str]]:
    """Find the threads that match the options, and the given ids that are not stored."""
    with progress("Checking threads") as advance:
        return session.run(find_targets(Selection(threads or (), match, idle), advance))


def collect(
    session: Session, title: str, targets: Sequence[Target], work: Callable[[Done], Operation[None]]
) -> list[Removal]:
    """Run *work* on *targets*, with a progress bar, and return what it reports."""
    removals: list[Removal] = []
    with progress(title, len(targets)) as advance:

        def add(removal: Removal) -> None:
            removals.append(removal)
            advance()

        session.run(work(add))
    return removals


class Action(NamedTuple):
    """A command that removes."""

    verb: str
    past: str
    whole: bool
    """Whether it removes threads, not checkpoints of them."""


def report(removals: Sequence[Removal], missing: Sequence[str], action: Action, *, json: bool, yes: bool) -> None:
    """Write a summary, or all of it as JSON, and exit with the code that fits.

    Raises:
        typer.Exit: Some of what the options select was skipped, or some of *missing*, the given ids, is not stored.
    """
    outcomes = Counter(each.outcome for each in removals)
    removed = [
        each
        for each in removals
        if each.outcome in {RemovalOutcome.PLANNED, RemovalOutcome.DONE} and (action.whole or each.checkpoints)
    ]
    totals = {
        "threads": len(removed),
        "checkpoints": sum(each.checkpoints for each in removed),
        "bytes": sum(each.bytes for each in removed),
    }
    if json:
        documents = [_as_json(each, action) for each in removals]
        print_json({"dry_run": not yes, **totals, "removals": documents, "not_found": list(missing)})
    else:
        _sum_up(totals, action, yes=yes)
        _explain(outcomes, missing, yes=yes)
    if yes and outcomes[RemovalOutcome.HELD]:
        raise typer.Exit(Code.REFUSED)
    if yes and outcomes[RemovalOutcome.DAMAGED]:
        raise typer.Exit(Code.DAMAGED)
    if missing:
        raise typer.Exit(Code.NOT_FOUND)


def show_threads(removals: Sequence[Removal], action: Action) -> None:
    """Write a table of threads, with what is removed of each."""
    words = {
        RemovalOutcome.PLANNED: ("", ""),
        RemovalOutcome.DONE: (action.past, "green"),
        RemovalOutcome.HELD: ("held", "yellow"),
        RemovalOutcome.WRITTEN: ("written meanwhile", "yellow"),
        RemovalOutcome.DAMAGED: ("damaged", "red"),
    }
    columns = {"thread": "cut", "idle": "right", "checkpoints": "right", "size": "right"}
    with_outcome = any(words[each.outcome][0] for each in removals)
    rows = Table(**columns, **({"outcome": "left"} if with_outcome else {}))
    listed = [each for each in removals if action.whole or each.checkpoints or words[each.outcome][0]]
    for each in listed[:SHOWN]:
        idle = duration(each.target.idle / 1_000_000) if each.target.condition.updated else ""
        sizes = (f"{each.checkpoints:,}", size(each.bytes)) if each.checkpoints or each.bytes else ("", "")
        word, style = words[each.outcome]
        owner = f" by {each.owner}" if each.owner else ""
        rows.add_row(each.target.thread, idle, *sizes, *([shown(word + owner, style)] if with_outcome else []))
    if listed:
        console().print(rows)
    note_more(len(listed) - SHOWN)


def note_more(hidden: int) -> None:
    """Note that a table leaves out *hidden* rows, if it does."""
    if hidden > 0:
        note(f"… and {hidden:,} more; --json has all.")


def note_missing(threads: Sequence[str]) -> None:
    """Note which of the given threads are not stored, if there are any."""
    if threads:
        note(f"Not found: {', '.join(map(repr, threads[:SHOWN]))}{' …' if len(threads) > SHOWN else ''}.")


def _sum_up(totals: dict[str, int], action: Action, *, yes: bool) -> None:
    threads, checkpoints = count(totals["threads"], "thread"), count(totals["checkpoints"], "checkpoint")
    what = f"{threads} with {checkpoints}" if action.whole else f"{checkpoints} of {threads}"
    if not totals["threads"]:
        summary = f"Nothing {'was' if yes else 'to be'} {action.past}."
    elif yes:
        summary = f"{action.past.capitalize()} {what}: {size(totals['bytes'])} freed."
    else:
        summary = f"Would {action.verb} {what}, and free {size(totals['bytes'])}."
    console().print(shown(summary, "bold"))
    if totals["threads"] and not yes:
        note(NOTHING_CHANGED)


def _explain(outcomes: Counter[RemovalOutcome], missing: Sequence[str], *, yes: bool) -> None:
    reasons = {
        RemovalOutcome.HELD: "that a worker holds; `unlock` breaks the lease of a worker that hangs",
        RemovalOutcome.WRITTEN: "written meanwhile",
        RemovalOutcome.DAMAGED: "with damage; `doctor` describes it",
    }
    for outcome, reason in reasons.items():
        if outcomes[outcome]:
            note(f"{'Skipped' if yes else 'Would skip'} {count(outcomes[outcome], 'thread')} {reason}.")
    note_missing(missing)


def _as_json(each: Removal, action: Action) -> dict[str, Any]:
    condition = each.target.condition
    held = each.outcome is RemovalOutcome.HELD
    document: dict[str, Any] = {
        "thread_id": each.target.thread,
        "outcome": each.outcome.value,
        "updated": moment(condition.updated) if condition.updated else None,
        "checkpoints": each.checkpoints,
        "bytes": each.bytes,
        "lease": {"owner": each.owner, "seconds_left": condition.held / 1000} if held else None,
    }
    if not action.whole:
        document["selected"] = [
            {
                "checkpoint_ns": outline.namespace,
                "checkpoint_id": outline.checkpoint_id,
                "stored": moment(outline.order),
                "writes": outline.writes,
                "bytes": outline.bytes,
            }
            for outline in each.outlines
        ]
    return document
