"""How a command ends: exit codes, and errors as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
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
    SerializationError,
)


class Code(IntEnum):
    """The exit codes. Those of an interrupt and of a closed pipe are as shells have them."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    UNAVAILABLE = 3
    DAMAGED = 4
    REFUSED = 5
    NOT_FOUND = 6
    INTERRUPTED = 130
    CLOSED_PIPE = 141


EXIT_CODES = (
    "Exit codes: 0 done; 1 an error, or a problem was found; 2 wrong usage; 3 the store does not answer; "
    "4 stored bytes are damaged; 5 refused because of a lease or a conflict; 6 no such thread or checkpoint."
)


class NotFoundError(CheckpointError):
    """The store does not have the thread or checkpoint that a command names."""


def no_such_thread(thread: str, place: str) -> NotFoundError:
    """Return the error for a thread that the store at *place* does not have."""
    return NotFoundError(f"there is no thread {thread!r} in {place}; 'zerograph-redis threads' lists them")


_CODES: dict[type[Exception], Code] = {
    NotFoundError: Code.NOT_FOUND,
    ConfigError: Code.USAGE,
    BackendUnavailableError: Code.UNAVAILABLE,
    CorruptCheckpointError: Code.DAMAGED,
    LeaseError: Code.REFUSED,
    ConflictError: Code.REFUSED,
}


@contextmanager
def reporting_errors(arguments: Sequence[str], options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turn an error of a command into a line on stderr and an exit code.

    Args:
        arguments: The command line. Typer quotes it if the usage is wrong, but never a password in it.
        options: Those of the group; with ``debug``, errors keep their traceback.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(Code.INTERRUPTED) from None
    except BrokenPipeError:
        # The rest of the buffer must not fail again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Code.CLOSED_PIPE) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if hasattr(error, "format_message"):  # typer shows it, with the usage of the command
            _hide_secrets(error, arguments)
            raise
        if options is not None and options["debug"]:
            raise
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), Code.ERROR)
        message = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
        if isinstance(error, SerializationError) and options is not None and options["types"] is None:
            message += "; on the command line, name the module that has the keys and types: --types MODULE"
        typer.echo(f"zerograph-redis: {visible(message)}", err=True)
        raise typer.Exit(code) from None


def _hide_secrets(error: Any, arguments: Sequence[str]) -> None:
    """Have an error of typer quote no argument if one may hold a password, or a part that the shell split off."""
    message = error.format_message()
    if any(map(_may_be_secret, arguments)):
        names = getattr(getattr(error, "param", None), "opts", ())
        message = (
            f"Wrong usage{f' of {names[0]}' if names else ''}. The arguments are not shown, since they may hold a part "
            "of a password. Put a URL in single quotes"
        )
    message = "\n".join(map(visible, message.split("\n")))
    error.format_message = lambda: message


def _may_be_secret(argument: str) -> bool:
    """Return whether an argument is a URL, or a part of one, that has a secret or cannot be parsed."""
    if "://" not in argument:
        return "@" in argument or argument.startswith(":") or ":/" in argument
    from zerograph_redis.savers.opening import shown_url

    return argument not in {shown_url(argument), "memory://"}
