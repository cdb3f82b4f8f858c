"""``threads``: what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.tools.inspect.listing import find_threads

from .output import console, note, print_json
from .parameters import Json
from .session import Session
from .tables import Cut, table
from .text import age, count, duration, size
from .unlock import lease_as_json

if TYPE_CHECKING:
    from zerograph_redis.threads import LeaseInfo, ThreadInfo


def threads(
    context: typer.Context,
    match: Annotated[str, typer.Option(metavar="PREFIX", help="Only threads whose id begins with this.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at the most.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="THREAD", help="Go on behind this thread.")] = None,
    *,
    json: Json = False,
) -> None:
    """List threads, newest activity first."""
    session: Session = context.obj
    # One more tells whether there are more.
    found, damaged = session.run(find_threads(match, limit + 1, after))
    more = len(found) > limit
    found = found[:limit]
    following = found[-1].thread_id if more else None
    if json:
        print_json({"threads": [describe(each) for each in found], "damaged": damaged, "next": following})
        return
    if damaged:
        note(f"{count(len(damaged), 'thread')} left out, since damaged: `doctor` tells more.")
    if not found and not damaged:
        note(f"No threads in {session.place}.")
        return
    if not found:
        return
    held = any(each.lease for each in found)
    numbers = dict.fromkeys(("active", "checkpoints", "namespaces", "size", "ttl"), "right")
    rows = table(thread="cut", **numbers, **({"holder": "cut"} if held else {}))
    for each in found:
        rows.add_row(
            Cut(each.thread_id),
            age(each.updated),
            f"{each.checkpoints:,}",
            f"{each.namespaces:,}",
            size(each.bytes),
            "never" if each.ttl is None else duration(each.ttl),
            *([_holder(each.lease)] if held else []),
        )
    console().print(rows)
    if following is not None:
        note(f"There are more: --after {following!r}, or a larger --limit.")


def _holder(lease: LeaseInfo | None) -> Cut:
    return Cut("" if lease is None else f"{lease.owner}, {duration(lease.seconds_left)}", "yellow")


def describe(thread: ThreadInfo) -> dict[str, Any]:
    """What JSON says of a thread."""
    return {
        "thread_id": thread.thread_id,
        "created": thread.created,
        "updated": thread.updated,
        "checkpoints": thread.checkpoints,
        "namespaces": thread.namespaces,
        "bytes": thread.bytes,
        "ttl": thread.ttl,
        "lease": lease_as_json(thread.lease),
    }
