"""What a span says of an error: its class, where it was raised, and its message, if that cannot have content in it."""

from __future__ import annotations

import traceback

from opentelemetry.trace import Span, StatusCode

from zerograph_redis.errors import (
    BackendUnavailableError,
    ConflictError,
    CorruptCheckpointError,
    LeaseError,
    ReplicationError,
)

from .names import ERROR

_TOLD = (BackendUnavailableError, ConflictError, CorruptCheckpointError, LeaseError, ReplicationError)
"""The errors whose messages are made of ids and of a server's words. Others may quote what they were given: keys of a
state, a config, whatever the code of an application has to say."""


def name_of(error: BaseException) -> str:
    """Return the class of an error with its module, as the conventions want it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def record(span: Span, error: BaseException) -> None:
    """Note on *span* that its operation failed."""
    message = str(error) if isinstance(error, _TOLD) else ""
    name = name_of(error)
    span.set_attribute(ERROR, name)
    span.set_status(StatusCode.ERROR, message or name)
    frames = "".join(traceback.format_tb(error.__traceback__))
    event = {"exception.type": name, "exception.stacktrace": f"Traceback (most recent call last):\n{frames}{name}"}
    span.add_event("exception", {**event, "exception.message": message} if message else event)
