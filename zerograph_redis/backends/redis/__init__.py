"""Redis: a binding and a Lua script for each request, two clients to run them with, and the list of a cluster's threads."""

from .backend import AsyncRedisBackend, RedisBackend
from .confirmation import Confirmation
from .keys import Keyspace
from .ranking import AsyncRankingBackend, RankingBackend

__all__ = ("AsyncRankingBackend", "AsyncRedisBackend", "Confirmation", "Keyspace", "RankingBackend", "RedisBackend")
