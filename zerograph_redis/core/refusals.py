"""Requests that failed or were refused: how errors and the log describe them, and how often they were repeated."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from zerograph_redis.display import about, quoted, visible
from zerograph_redis.errors import ConflictError, LeaseHeldError, LeaseLostError

from .requests import Request

_log = logging.getLogger(__name__)

REPEATS: ContextVar[int] = ContextVar("zerograph_redis_repeats", default=0)
"""How many repeats this context has seen: telemetry reads it before and after an operation."""


def note_repeat(request: Request[Any] | str, failed: int, error: Exception) -> None:
    """Count and log that a request, or a step before any, is repeated after *error*, its failure number *failed*."""
    REPEATS.set(REPEATS.get() + 1)
    # One warning for each request: an outage would fill the log with the rest.
    _log.log(
        logging.WARNING if failed == 1 else logging.DEBUG,
        "%s failed and is tried again: %s: %s",
        visible(request if isinstance(request, str) else asked_for(request)),
        type(error).__name__,
        visible(str(error)),
        extra=about(getattr(request, "thread", None)),
    )


def asked_for(request: Request[Any]) -> str:
    """Describe a request: its kind, and the checkpoint and thread that it names."""
    thread = getattr(request, "thread", None) or next(iter(getattr(request, "threads", ())), None)
    names = {"checkpoint": getattr(request, "checkpoint_id", None), "thread": thread}
    return type(request).__name__ + "".join(
        f" of {what} {quoted(name)}" for what, name in names.items() if name is not None
    )


def lease_held(thread: str, owner: str, seconds_left: float) -> LeaseHeldError:
    """Refuse a write without a token, or an attempt to take the lease, while another worker holds the thread."""
    return LeaseHeldError(
        f"thread {quoted(thread)} is held by {quoted(owner)} for another {seconds_left:.1f} s, unless it renews: "
        f"wait for it, or write under its lease",
        owner,
        seconds_left,
    )


def lease_lost(thread: str, owner: str) -> LeaseLostError:
    """Refuse a write with a token that is not the current one."""
    by = f", and {quoted(owner)} holds it now" if owner else ""
    return LeaseLostError(
        f"the lease of thread {quoted(thread)} was lost{by}: it expired before it was renewed, or was broken. "
        f"Nothing was stored; take a new lease and read the thread again"
    )


def conflict(request: Any, newest: str) -> ConflictError:
    """Refuse a conditional put that found another newest checkpoint."""
    expected = request.expected.checkpoint_id
    return ConflictError(
        f"thread {quoted(request.thread)}, namespace {quoted(request.namespace)}: the newest checkpoint is "
        f"{newest or None!r}, not {quoted(expected)} as expected: another worker wrote since. Nothing was stored"
    )
