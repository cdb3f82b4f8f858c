"""What ``delete`` and ``prune`` share: which threads they select, and how they report what they removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from zerograph_redis.core.listing import moment
from zerograph_redis.tools.maintain.removal import (
    Done,
    Removal,
    RemovalOutcome,
)
from zerograph_redis.tools.maintain.selection import Target, find_targets

from .exits import Code
from .output import NOTHING_CHANGED, SHOWN, console, note, note_missing, note_more, print_json
from .progress import progress
from .session import Session
from .text import Table, age, count, duration, shown, size

if TYPE_CHECKING:
    from zerograph_redis.core.requests import Operation


_CHECKPOINTS = 50  # in a table
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
Idle = Annotated[
    int | None,
    typer.Option(
        parser=read_duration, metavar="AGE", help="Only threads that nobody wrote for this long: 90s, 15m, 12h, 30d."
    ),
]


class Action(NamedTuple):
    """A command that removes."""

    verb: str
    past: str
    whole: bool
    """Whether it removes threads, not checkpoints of them."""


def _show_checkpoints(removal: Removal) -> None:
    rows = Table(namespace="cut", checkpoint="cut", stored="right", writes="right", size="right")
    for each in removal.outlines[:_CHECKPOINTS]:
        rows.add_row(
            each.namespace,
            each.checkpoint_id,
            age(moment(each.order)),
            f"{each.writes:,}" if each.writes else "",
            size(each.bytes),
        )
    console().print(rows)
    note_more(len(removal.outlines) - _CHECKPOINTS)


def select(session: Session, threads: list[str] | None, match: str, idle: int | None) -> tuple[list[Target], list[str]]:
    """Find the threads that match the options, and the given ids that are not stored."""
    with progress("Checking threads") as advance:
        return session.run(find_targets(threads or (), match, idle, advance))


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


def report(removals: Sequence[Removal], missing: Sequence[str], action: Action, *, json: bool, yes: bool) -> None:
    """Write tables and a summary, or all of it as JSON, and exit with the code that fits.

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
        if len(removals) == 1 and removals[0].outlines:
            _show_checkpoints(removals[0])
        else:
            _show_threads(removals, action)
        _sum_up(totals, action, yes=yes)
        _explain(outcomes, missing, yes=yes)
    if yes and outcomes[RemovalOutcome.HELD]:
        raise typer.Exit(Code.REFUSED)
    if yes and outcomes[RemovalOutcome.DAMAGED]:
        raise typer.Exit(Code.DAMAGED)
    if missing:
        raise typer.Exit(Code.NOT_FOUND)


def _show_threads(removals: Sequence[Removal], action: Action) -> None:
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
