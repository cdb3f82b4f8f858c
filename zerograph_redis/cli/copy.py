"""``copy``: one thread under another id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.core.configs import read_id
from zerograph_redis.core.listing import describe
from zerograph_redis.core.thread_operations import ThreadOperations
from zerograph_redis.errors import ConflictError

from .exits import no_such_thread
from .output import console, print_json
from .parameters import Json, Thread
from .text import count, shown, size

if TYPE_CHECKING:
    from .session import Session


def copy(
    context: typer.Context,
    source: Thread,
    target: Annotated[str, typer.Argument(metavar="NEW", help="The id of the copy.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be copied, and copy nothing.")] = False,
    json: Json = False,
) -> None:
    """Copy a thread under another id.

    The copy has the same namespaces, order, parents, metadata and pending writes. Its TTL starts again.
    """
    session: Session = context.obj
    source, target = read_id("THREAD", source), read_id("NEW", target)
    facts = session.run(describe(source))
    if facts is None:
        raise no_such_thread(source, session.place)
    if session.run(describe(target)) is not None:
        raise ConflictError(
            f"{session.place} has a thread {target!r} already, and a copy would mix the two: choose another id"
        )
    copied = facts.checkpoints
    if not dry_run:
        # The command line has no TTL: the copy gets that of its source.
        operations = ThreadOperations(replace(session.store.settings, ttl=facts.lifetime))
        copied = session.run(operations.copy_thread(source, target))
    if json:
        print_json(
            {"dry_run": dry_run, "source": source, "target": target, "checkpoints": copied, "bytes": facts.bytes}
        )
        return
    verb = "Would copy" if dry_run else "Copied"
    what = f"{count(copied, 'checkpoint')} in {count(facts.namespaces, 'namespace')}, {size(facts.bytes)}"
    console().print(shown(f"{verb} {source!r} to {target!r}: {what}.", "bold"))
