"""The checkpoint that a command line names."""

from __future__ import annotations

from typing import Annotated

import typer

from zerograph_redis.errors import ConfigError
from zerograph_redis.tools.inspect.finding import find_checkpoint, find_newest
from zerograph_redis.tools.inspect.states import State, read_state

from .exits import NotThereError, no_such_thread
from .session import Session

NAMED = "An id, the beginning of one, or @2 for two before the newest."

Checkpoint = Annotated[str | None, typer.Argument(metavar="ID", help=f"{NAMED} Default: the newest.")]


def named_state(session: Session, thread: str, said: str | None, namespace: str | None) -> State:
    """Read the checkpoint that *said* names, the newest if None.

    Raises:
        NotThereError: There is no such thread or checkpoint.
        ConfigError: Several ids begin so.
    """
    if said is None:
        newest = session.run(find_newest(thread, namespace))
        found = [] if newest is None else [newest]
    else:
        found = session.run(find_checkpoint(thread, said, namespace))
    if len(found) > 1:
        some = ", ".join(repr(name) for _, name in found[:3])
        raise ConfigError(
            f"{len(found):,} checkpoints of thread {thread!r} begin with {said!r}: {some} …; say more of it"
        )
    state = session.run(read_state(session.lenient_settings, thread, *found[0])) if found else None
    if state is None:
        raise _missing(session, thread, said, namespace)
    return state


def _missing(session: Session, thread: str, said: str | None, namespace: str | None) -> NotThereError:
    if session.run(find_newest(thread)) is None:
        return no_such_thread(thread, session.place)
    where = f"thread {thread!r}" if namespace is None else f"the namespace {namespace!r} of thread {thread!r}"
    return NotThereError(f"{where} has no checkpoint" + ("" if said is None else f" {said!r}"))
