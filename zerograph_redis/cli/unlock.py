"""``unlock``: shows who holds a thread, and breaks the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from zerograph_redis.core.leasing import break_lease, read_lease
from zerograph_redis.core.listing import describe

from .exits import no_such_thread
from .output import console, note, print_json
from .parameters import Json, Thread, Yes
from .session import Session
from .text import duration, shown

if TYPE_CHECKING:
    from zerograph_redis.threads import LeaseInfo


def unlock(context: typer.Context, thread: Thread, *, yes: Yes = False, json: Json = False) -> None:
    """Show who holds a thread, or break the lease with --yes.

    Breaking a lease fences its holder off: the holder's next write under the lease is refused.
    """
    session: Session = context.obj
    lease = session.run(read_lease(thread))
    if lease is None and session.run(describe(thread)) is None:
        raise no_such_thread(thread, session.place)
    owner = session.run(break_lease(thread)) if yes else None
    if json:
        print_json({"thread_id": thread, "lease": lease_as_json(lease), "broken": owner is not None})
        return
    if owner is not None:
        message, style = f"The lease of {owner!r} on thread {thread!r} is broken.", "bold"
    elif lease is None:
        message, style = f"Nobody holds thread {thread!r}.", ""
    elif yes:
        message, style = f"{lease.owner!r} released thread {thread!r} just now.", ""
    else:
        left = duration(lease.seconds_left)
        message, style = f"Thread {thread!r} is held by {lease.owner!r} for another {left}, unless it renews.", ""
    out = console()
    out.print(shown(message, style), soft_wrap=not out.is_terminal)
    if lease is not None and not yes:
        note("Nothing was changed: add --yes to break the lease. What its holder writes then is refused.")


def lease_as_json(lease: LeaseInfo | None) -> dict[str, Any] | None:
    """Describe a lease in JSON."""
    return None if lease is None else {"owner": lease.owner, "seconds_left": lease.seconds_left}
