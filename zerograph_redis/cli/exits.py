"""How a command ends: exit codes, and errors as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from zerograph_redis.errors import (
    BackendUnavailableError,
    CheckpointError,
    ConfigError,
    ConflictError,
    CorruptCheckpointError,
    LeaseError,
)

from .text import printable

__all__ = ("EXIT_CODES", "Code", "NotThereError", "ended", "fail", "no_such_thread")


class Code(IntEnum):
    """The exit codes, besides 130 for an interrupt and 141 for a closed pipe, as shells have them."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    UNAVAILABLE = 3
    DAMAGED = 4
    REFUSED = 5
    NOT_THERE = 6
    INTERRUPTED = 130
    CLOSED_PIPE = 141


EXIT_CODES = (
    "Exit codes: 0 done; 1 an error, or a problem was found; 2 wrong usage; 3 the store does not answer; "
    "4 stored bytes are damaged; 5 refused because of a lease or a conflict; 6 that thread or checkpoint is not there."
)


class NotThereError(CheckpointError):
    """The thread or checkpoint that a command names is not in the store."""


def no_such_thread(thread: str, place: str) -> NotThereError:
    """Return the error for a thread that is not in the store at *place*."""
    return NotThereError(f"there is no thread {thread!r} in {place}")


_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (NotThereError, Code.NOT_THERE),
    (ConfigError, Code.USAGE),
    (BackendUnavailableError, Code.UNAVAILABLE),
    (CorruptCheckpointError, Code.DAMAGED),
    (LeaseError, Code.REFUSED),
    (ConflictError, Code.REFUSED),
)


@contextmanager
def ended(*, debug: bool) -> Iterator[None]:
    """Turn what a command raises into its end; with *debug*, errors go on with their traceback."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(Code.INTERRUPTED) from None
    except BrokenPipeError:
        # What is left in the buffer must not fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Code.CLOSED_PIPE) from None
    except Exception as error:
        if _is_typers(error) or debug:
            raise
        fail(str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}", _code_of(error))


def fail(message: str, code: Code = Code.ERROR) -> None:
    """End the command with a line on stderr.

    Raises:
        typer.Exit: Always, with *code*.
    """
    typer.echo(f"zerograph-redis: {printable(message)}", err=True)
    raise typer.Exit(code) from None


def _is_typers(error: Exception) -> bool:
    """Tell whether typer itself deals with an error: its own are shown with the usage of the command."""
    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message")


def _code_of(error: Exception) -> Code:
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.ERROR)
