"""The checkpoint that a command line names."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from zerograph_redis.errors import ConfigError
from zerograph_redis.tools.inspect.checkpoints import CheckpointReader, Entry, default_namespace, find_checkpoints

from .exits import NotFoundError, no_such_thread
from .session import Session

NAMED = "An id, the beginning of one, or @2 for two before the newest."

Checkpoint = Annotated[str | None, typer.Argument(metavar="ID", help=f"{NAMED} Default: the newest.")]


def named_checkpoint(
    session: Session, reader: CheckpointReader, thread: str, text: str | None, namespace: str | None
) -> Entry:
    """Read the checkpoint that *text* names, the newest if None.

    Raises:
        NotFoundError: There is no such thread or checkpoint.
        ConfigError: Several ids begin with *text*.
    """
    place = namespace if namespace is not None else session.run(default_namespace(thread))
    if place is None:
        raise no_such_thread(thread, session.place)
    found: list[tuple[str, str | None]] = [(place, None)]
    if text is not None:
        found = [*session.run(find_checkpoints(thread, text, namespace))]
    if len(found) > 1:
        some = ", ".join(repr(checkpoint_id) for _, checkpoint_id in found[:3])
        raise ConfigError(
            f"{len(found):,} checkpoints of thread {thread!r} begin with {text!r}: {some} …; "
            f"give more characters of the id"
        )
    entry = session.run(reader.get(*found[0])) if found else None
    if entry is None:
        raise no_such_checkpoint(session, thread, text, namespace)
    return entry


def no_such_checkpoint(session: Session, thread: str, text: str | None, namespace: str | None) -> NotFoundError:
    """Return the error for a thread, a namespace of it, or a checkpoint there, that is not stored."""
    if session.run(default_namespace(thread)) is None:
        return no_such_thread(thread, session.place)
    what = "no checkpoints" if text is None else f"no checkpoint {text!r}"
    where = "" if namespace is None else f" in the namespace {namespace!r}"
    return NotFoundError(f"thread {thread!r} has {what}{where}; 'zerograph-redis history {quote(thread)}' lists all")
