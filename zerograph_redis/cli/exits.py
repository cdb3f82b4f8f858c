"""How a command ends: exit codes, and errors as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer

from zerograph_redis.display import visible
from zerograph_redis.errors import (
    BackendUnavailableError,
    CheckpointError,
    ConfigError,
    ConflictError,
    CorruptCheckpointError,
    LeaseError,
)


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
def ended(arguments: Sequence[str], *, debug: bool = False) -> Iterator[None]:
    """Turn what a command raises into its end; with *debug*, errors go on with their traceback.

    Of wrong usage typer tells, quoting *arguments*: not if one of them may be a URL with a password, or a part of one.
    """
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
        if _is_typers(error):
            _hide_secrets(error, arguments)
            raise
        if debug:
            raise
        fail(str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}", _code_of(error))


def fail(message: str, code: Code = Code.ERROR) -> None:
    """End the command with a line on stderr.

    Raises:
        typer.Exit: Always, with *code*.
    """
    typer.echo(f"zerograph-redis: {visible(message)}", err=True)
    raise typer.Exit(code) from None


def _hide_secrets(error: Any, arguments: Sequence[str]) -> None:
    """Have an error of typer show no argument if a password may be among them. It may have come in parts from the shell."""
    if not hasattr(error, "format_message"):
        return
    told = error.format_message()
    if any(map(_may_be_secret, arguments)):
        names = getattr(getattr(error, "param", None), "opts", ())
        told = f"Wrong usage{f' of {names[0]}' if names else ''}: "
        told += "what was given is not shown, since it may have a part of a password in it. Put a URL in single quotes"
    told = "\n".join(map(visible, told.split("\n")))
    error.format_message = lambda: told


def _may_be_secret(argument: str) -> bool:
    """Tell whether an argument is a URL, or a part of one, that has a secret or cannot be read."""
    if "://" not in argument:
        return "@" in argument or argument.startswith(":") or ":/" in argument
    from zerograph_redis.savers.opening import shown_url

    return argument not in {shown_url(argument), "memory://"}


def _is_typers(error: Exception) -> bool:
    """Tell whether typer itself deals with an error: its own are shown with the usage of the command."""
    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message")


def _code_of(error: Exception) -> Code:
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.ERROR)
