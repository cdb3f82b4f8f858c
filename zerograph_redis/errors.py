"""Every error that a saver raises.

::

    CheckpointError
    ├── ConfigError              also ValueError: a config that names no usable thread or checkpoint
    ├── SerializationError       also TypeError: a value cannot be stored, or its type is not registered here
    ├── CorruptCheckpointError   stored bytes are missing, damaged, or of an unknown format
    ├── BackendUnavailableError  the store did not answer, or would not take the write
    │   └── BusyThreadError      a thread changed faster than it could be read whole
    ├── ReplicationError         stored, but fewer replicas than asked for confirmed it
    ├── ConflictError            a conditional put found another newest checkpoint; nothing was stored
    └── LeaseError
        ├── LeaseHeldError       another worker holds the thread; nothing was stored
        └── LeaseLostError       this worker held it, and holds it no longer; nothing was stored

The error of the driver (redis-py, sqlite3) is always the ``__cause__``. No message has a character that a terminal or a log
would act upon, or not show, whatever ids and stored bytes it quotes.
"""

from __future__ import annotations

from .display import visible


class CheckpointError(Exception):
    """Base of all errors of this package; catch it to catch them all."""

    def __init__(self, message: str = "") -> None:
        """Say *message*."""
        super().__init__(visible(message))


class ConfigError(CheckpointError, ValueError):
    """A config, or an argument, that names no usable thread or checkpoint. Nothing was read or stored."""


class SerializationError(CheckpointError, TypeError):
    """A value cannot be stored, or a stored one is of a type that this serializer does not know.

    The message says where in the state the value is, its type, and the line that registers it. Nothing was stored.
    """


class CorruptCheckpointError(CheckpointError):
    """Stored bytes are missing, damaged, or of a format that this version does not know."""

    told = False  # whether the log has it already


class BackendUnavailableError(CheckpointError):
    """The store did not answer, or refused the operation; never raised for a thread that merely is empty."""


class BusyThreadError(BackendUnavailableError):
    """A thread was to be read whole, and changed each time while it was read. Nothing was stored."""


class ReplicationError(CheckpointError):
    """A write was stored, but fewer replicas than asked for confirmed it in time: a failover now may lose it."""


class ConflictError(CheckpointError):
    """A conditional put found another newest checkpoint than it was told to expect. Nothing was stored."""


class LeaseError(CheckpointError):
    """Base of the errors about who may write to a thread."""


class LeaseHeldError(LeaseError):
    """Another worker holds the thread. Nothing was stored."""

    def __init__(self, message: str, owner: str = "", seconds_left: float = 0.0) -> None:
        """Name the *owner*, and for how many seconds it holds the thread unless it renews."""
        super().__init__(message)
        self.owner = owner
        self.seconds_left = seconds_left


class LeaseLostError(LeaseError):
    """This worker's lease expired, or was broken, so another may have written since. Nothing was stored."""
