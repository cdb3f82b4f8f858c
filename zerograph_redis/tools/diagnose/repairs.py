"""Mending what surrounds threads. What a thread says is never touched."""

from __future__ import annotations

from contextlib import suppress

from zerograph_redis.core.examination import DiscardStaged, MendThread
from zerograph_redis.core.requests import ForgetThread, Operation
from zerograph_redis.errors import CorruptCheckpointError

from .examination import Tally


def repair(tally: Tally) -> Operation[None]:
    """Mend what `examine_threads` found. Every step looks once more before it does anything."""
    for thread in (*tally.stale, *tally.expired):
        yield from ForgetThread(thread)
    for thread in dict.fromkeys((*tally.unlisted, *tally.astray)):
        # One that got damaged meanwhile does not keep others from being mended; the next checkup tells of it.
        with suppress(CorruptCheckpointError):
            yield from MendThread(thread)
    for thread, token in tally.staged:
        yield from DiscardStaged(thread, token, remove=True)
