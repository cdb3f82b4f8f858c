"""``unlock``: who holds a thread, and away with the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from zerograph_redis.core.leasing import break_lease, look_at_lease
from zerograph_redis.core.thread_operations import describe

from .exits import no_such_thread
from .output import console, note, print_json
from .parameters import Json, Thread, Yes
from .session import Session
from .tables import shown
from .text import duration

if TYPE_CHECKING:
    from rich.text import Text

    from zerograph_redis.threads import LeaseInfo


def unlock(context: typer.Context, thread: Thread, *, yes: Yes = False, json: Json = False) -> None:
    """Show who holds a thread, or break the lease.

    With --yes, whoever holds it is fenced off: the next write under the lease is refused.
    """
    session: Session = context.obj
    lease = session.run(look_at_lease(thread))
    if lease is None and session.run(describe(thread)) is None:
        raise no_such_thread(thread, session.place)
    owner = session.run(break_lease(thread)) if yes else None
    if json:
        print_json({"thread_id": thread, "lease": lease_as_json(lease), "broken": owner is not None})
    elif owner is not None:
        _say(shown(f"The lease of {owner!r} on thread {thread!r} is broken.", "bold"))
    elif lease is None:
        _say(shown(f"Nobody holds thread {thread!r}."))
    elif yes:
        _say(shown(f"{lease.owner!r} gave thread {thread!r} back just now."))
    else:
        left = duration(lease.seconds_left)
        _say(shown(f"Thread {thread!r} is held by {lease.owner!r} for another {left}, unless it renews."))
        note("Nothing was done. --yes breaks the lease, and refuses what its holder writes from then on.")


def _say(text: Text) -> None:
    out = console()
    out.print(text, soft_wrap=not out.is_terminal)


def lease_as_json(lease: LeaseInfo | None) -> dict[str, Any] | None:
    """What JSON says of a lease."""
    return None if lease is None else {"owner": lease.owner, "seconds_left": lease.seconds_left}
