"""Checkpoints of ZeroGraph in Redis, so that any worker continues any thread where another one left it."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    BackendUnavailableError,
    BusyThreadError,
    CheckpointError,
    ConfigError,
    ConflictError,
    CorruptCheckpointError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    ReplicationError,
    SerializationError,
)

if TYPE_CHECKING:
    from .core.settings import CommonOptions, Options
    from .savers import AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver, RedisSaver, SqliteSaver
    from .savers.leases import AsyncLease, Lease
    from .savers.opening import aopen_saver, open_saver
    from .serde import EncryptedSerializer, MsgpackSerializer, Registered, Serializer
    from .telemetry import Telemetry
    from .threads import LeaseInfo, ThreadInfo

__all__ = (
    "AsyncLease",
    "AsyncRedisSaver",
    "AsyncSqliteSaver",
    "BackendUnavailableError",
    "BusyThreadError",
    "CheckpointError",
    "CommonOptions",
    "ConfigError",
    "ConflictError",
    "CorruptCheckpointError",
    "EncryptedSerializer",
    "InMemorySaver",
    "Lease",
    "LeaseError",
    "LeaseHeldError",
    "LeaseInfo",
    "LeaseLostError",
    "MsgpackSerializer",
    "Options",
    "RedisSaver",
    "Registered",
    "ReplicationError",
    "SerializationError",
    "Serializer",
    "SqliteSaver",
    "Telemetry",
    "ThreadInfo",
    "aopen_saver",
    "open_saver",
)

__version__ = "0.1.0"

# Quiet unless the application adds a handler. Every record has the attribute `thread_id`, None if it concerns no thread.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Imported when they are asked for: redis-py and the engine take long, and the command line does without for its help and
# for the completion of a shell.
_HOMES = {
    ".core.settings": ("CommonOptions", "Options"),
    ".savers.leases": ("AsyncLease", "Lease"),
    ".savers.opening": ("aopen_saver", "open_saver"),
    ".savers": ("AsyncRedisSaver", "AsyncSqliteSaver", "InMemorySaver", "RedisSaver", "SqliteSaver"),
    ".serde": ("EncryptedSerializer", "MsgpackSerializer", "Registered", "Serializer"),
    ".telemetry": ("Telemetry",),
    ".threads": ("LeaseInfo", "ThreadInfo"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home, __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
