"""What commands that let go of things say of it: what would go, what went, and what was left alone, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from zerograph_redis.tools.maintain.removal import Outcome, Removal

from .exits import Code
from .output import console, note, print_json
from .tables import Cut, shown, table
from .text import count, duration, size

if TYPE_CHECKING:
    from .tables import Table


SHOWN = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS = {
    Outcome.PLANNED: ("", ""),
    Outcome.DONE: ("gone", "green"),
    Outcome.HELD: ("held", "yellow"),
    Outcome.WRITTEN: ("written just now", "yellow"),
    Outcome.DAMAGED: ("damaged", "red"),
}


def report(
    removals: Sequence[Removal], missing: Sequence[str], *, verb: tuple[str, str], whole: bool, json: bool, yes: bool
) -> None:
    """Write what `show_threads` has not said, and end with the code that it comes to.

    Args:
        removals: What goes of each thread.
        missing: Ids that were named and are not there.
        verb: What is done, in the infinitive and in the past.
        whole: Whether threads go, rather than checkpoints of them.
        json: Whether all of it is to be one JSON document.
        yes: Whether it was done.

    Raises:
        typer.Exit: Something was left alone that was asked for.
    """
    outcomes = Counter(each.outcome for each in removals)
    going = [
        each for each in removals if each.outcome in {Outcome.PLANNED, Outcome.DONE} and (whole or each.checkpoints)
    ]
    totals = {
        "threads": len(going),
        "checkpoints": sum(each.checkpoints for each in going),
        "bytes": sum(each.bytes for each in going),
    }
    if json:
        print_json(
            {
                "dry_run": not yes,
                **totals,
                "removals": [_as_json(each, whole=whole) for each in removals],
                "not_there": list(missing),
            }
        )
    else:
        _sum_up(totals, verb=verb, whole=whole, yes=yes)
        _explain(removals, missing, yes=yes)
    if yes and outcomes[Outcome.HELD]:
        raise typer.Exit(Code.REFUSED)
    if yes and outcomes[Outcome.DAMAGED]:
        raise typer.Exit(Code.DAMAGED)
    if missing:
        raise typer.Exit(Code.NOT_THERE)


def show_threads(removals: Sequence[Removal], *, whole: bool) -> None:
    """Write a table with what goes of each thread."""
    columns: dict[str, str] = {"thread": "cut", "idle": "right", "checkpoints": "right", "size": "right"}
    told = any(_WORDS[each.outcome][0] for each in removals)
    if told:
        columns["outcome"] = "left"
    rows = table(**columns)
    listed = removals if whole else [each for each in removals if each.checkpoints or _WORDS[each.outcome][0]]
    for each in listed[:SHOWN]:
        _add(rows, each, told=told)
    if listed:
        console().print(rows)
    if len(listed) > SHOWN:
        note(f"… and {len(listed) - SHOWN:,} more; --json has all.")


def moment(microseconds: int) -> datetime:
    """The time that a store means."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _add(rows: Table, each: Removal, *, told: bool) -> None:
    idle = duration(each.target.idle / 1_000_000) if each.target.condition.updated else ""
    counts = (f"{each.checkpoints:,}", size(each.bytes)) if each.checkpoints or each.bytes else ("", "")
    word, style = _WORDS[each.outcome]
    by = f" by {each.owner}" if each.owner else ""
    rows.add_row(Cut(each.target.thread), idle, *counts, *([shown(word + by, style)] if told else []))


def _sum_up(totals: dict[str, int], *, verb: tuple[str, str], whole: bool, yes: bool) -> None:
    threads, checkpoints = count(totals["threads"], "thread"), count(totals["checkpoints"], "checkpoint")
    what = f"{threads} with {checkpoints}" if whole else f"{checkpoints} of {threads}"
    if not totals["threads"]:
        console().print(shown(f"Nothing {'was' if yes else 'to be'} {verb[1]}.", "bold"))
    elif yes:
        console().print(shown(f"{verb[1].capitalize()} {what}: {size(totals['bytes'])} freed.", "bold"))
    else:
        console().print(shown(f"Would {verb[0]} {what}, and free {size(totals['bytes'])}.", "bold"))
        note("Nothing was done: --yes does it.")


def _explain(removals: Sequence[Removal], missing: Sequence[str], *, yes: bool) -> None:
    outcomes = Counter(each.outcome for each in removals)
    stays = "was left alone" if yes else "would be left alone"
    reasons = {
        Outcome.HELD: f"held by a worker {stays}; `unlock` breaks the lease of one that hangs",
        Outcome.WRITTEN: "written meanwhile was left alone",
        Outcome.DAMAGED: f"damaged {stays}; `doctor` tells more",
    }
    for outcome, reason in reasons.items():
        if outcomes[outcome]:
            note(f"{count(outcomes[outcome], 'thread')} {reason}.")
    if missing:
        note(f"Not there: {', '.join(map(repr, missing[:SHOWN]))}{' …' if len(missing) > SHOWN else ''}.")


def _as_json(each: Removal, *, whole: bool) -> dict[str, Any]:
    condition = each.target.condition
    lease = {"owner": each.owner, "seconds_left": condition.held / 1000} if each.outcome is Outcome.HELD else None
    told: dict[str, Any] = {
        "thread_id": each.target.thread,
        "outcome": each.outcome.value,
        "updated": moment(condition.updated) if condition.updated else None,
        "checkpoints": each.checkpoints,
        "bytes": each.bytes,
        "lease": lease,
    }
    if not whole:
        told["going"] = [
            {
                "checkpoint_ns": outline.namespace,
                "checkpoint_id": outline.checkpoint_id,
                "stored": moment(outline.order),
                "writes": outline.writes,
                "bytes": outline.bytes,
            }
            for outline in each.outlines
        ]
    return told
