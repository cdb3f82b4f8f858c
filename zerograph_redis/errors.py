"""Every error that a saver raises.

::

    CheckpointError
    ├── ConfigError              also ValueError: a config that names no usable thread or checkpoint
    ├── SerializationError       also TypeError: a value cannot be stored, or its type is not registered here
    ├── CorruptCheckpointError   stored bytes are missing, damaged, or of an unknown format
    ├── BackendUnavailableError  the store does not answer, or refuses the write
    │   └── BusyThreadError      a thread changed faster than it could be read
    ├── ReplicationError         stored, but too few replicas confirmed it
    ├── ConflictError            a conditional put found another newest checkpoint; nothing was stored
    └── LeaseError
        ├── LeaseHeldError       another worker holds the thread; nothing was stored
        └── LeaseLostError       this worker's lease expired or was broken; nothing was stored

The error of the driver (redis-py, sqlite3) is always the ``__cause__``. Whatever ids and stored bytes a message quotes, it
has no control characters or invisible ones.
"""

from __future__ import annotations

from .display import visible


class CheckpointError(Exception):
    """Base of all errors of this package; catch it to catch them all."""

    def __init__(self, message: str = "") -> None:
        super().__init__(visible(message))


class ConfigError(CheckpointError, ValueError):
    """A config, or an argument, that names no usable thread or checkpoint. Nothing was read or stored."""


class SerializationError(CheckpointError, TypeError):
    """A value cannot be stored, or a stored one has a type that this serializer does not know.

    The message has the path of the value in the state, its type, and the line that registers it. Nothing was stored.
    """


class CorruptCheckpointError(CheckpointError):
    """Stored bytes are missing, damaged, or of a format that this version does not know."""

    logged = False  # whether it is in the log already


class BackendUnavailableError(CheckpointError):
    """The store did not answer, or refused the operation; never raised for an empty thread."""


class BusyThreadError(BackendUnavailableError):
    """A thread changed each time it was read. Nothing was stored."""


class ReplicationError(CheckpointError):
    """A write was stored, but fewer than ``wait_replicas`` confirmed it in time: a failover now may lose it."""


class ConflictError(CheckpointError):
    """A put with ``expect_checkpoint_id`` found another newest checkpoint. Nothing was stored."""


class LeaseError(CheckpointError):
    """A write without a lease where one is needed; base of the errors about leases."""


class LeaseHeldError(LeaseError):
    """Another worker holds the thread. Nothing was stored."""

    def __init__(self, message: str, owner: str = "", seconds_left: float = 0.0) -> None:
        """Note the *owner*, and for how many seconds it holds the thread unless it renews the lease."""
        super().__init__(message)
        self.owner = owner
        self.seconds_left = seconds_left


class LeaseLostError(LeaseError):
    """This worker's lease expired or was broken, so another worker may have written since. Nothing was stored."""
