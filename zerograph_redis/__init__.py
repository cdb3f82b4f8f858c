"""Checkpoints of ZeroGraph in Redis, so that any worker continues any thread where another one left it."""

import logging

from .core.settings import CommonOptions, Options
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
from .leases import AsyncLease, Lease
from .opening import aopen_saver, open_saver
from .savers import AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver, RedisSaver, SqliteSaver
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

# Quiet, unless the application says where records go. Each has the attribute `thread_id`, None where it concerns no thread.
logging.getLogger(__name__).addHandler(logging.NullHandler())
