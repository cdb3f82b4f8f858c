"""Redis: a binding and a Lua script for each request, two clients to run them with, and the list of a cluster's threads."""

from .backend import AsyncRedisBackend, RedisBackend
from .keys import Keyspace
from .replication import Replication
from .thread_index import AsyncThreadIndexBackend, ThreadIndexBackend

__all__ = (
    "AsyncRedisBackend",
    "AsyncThreadIndexBackend",
    "Keyspace",
    "RedisBackend",
    "Replication",
    "ThreadIndexBackend",
)
