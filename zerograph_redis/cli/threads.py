"""``threads``: which threads a store has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.core.listing import find_threads

from .output import console, note, print_json
from .parameters import Json, Match
from .session import Session
from .text import Table, age, count, duration, size

if TYPE_CHECKING:
    from zerograph_redis.threads import LeaseInfo, ThreadInfo


def threads(
    context: typer.Context,
    match: Match = "",
    limit: Annotated[int, typer.Option(min=1, help="List at most this many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="THREAD", help="Continue after this thread.")] = None,
    *,
    json: Json = False,
) -> None:
    """List threads, newest activity first."""
    session: Session = context.obj
    # One more shows whether there are more.
    found, damaged, _ = session.run(find_threads(match, limit + 1, after))
    following = found[limit - 1].thread_id if len(found) > limit else None
    found = found[:limit]
    if json:
        print_json({"threads": [asdict(each) for each in found], "damaged": [*damaged], "next": following})
        return
    if damaged:
        note(f"{count(len(damaged), 'damaged thread')} not listed: `zerograph-redis doctor` describes the damage.")
    if found:
        console().print(_rows(found))
    elif not damaged:
        what = f"No thread id begins with {match!r}" if match else "No threads"
        note(f"{what}{'' if after is None else f' after {after!r}'} in {session.place}.")
    if following is not None:
        note(f"There are more: --after {following!r}, or a larger --limit.")


def _rows(found: list[ThreadInfo]) -> Table:
    held = any(each.lease for each in found)
    numbers = dict.fromkeys(("active", "checkpoints", "namespaces", "size", "ttl"), "right")
    rows = Table(thread="cut", **numbers, **({"holder": "cut"} if held else {}))
    for each in found:
        rows.add_row(
            each.thread_id,
            age(each.updated),
            f"{each.checkpoints:,}",
            f"{each.namespaces:,}",
            size(each.bytes),
            "never" if each.ttl is None else duration(each.ttl),
            *([_holder(each.lease)] if held else []),
        )
    return rows


def _holder(lease: LeaseInfo | None) -> str:
    return "" if lease is None else f"{lease.owner}, {duration(lease.seconds_left)}"
