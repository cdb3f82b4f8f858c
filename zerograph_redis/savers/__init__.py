"""The savers that users hold: façades over one core, with one line a method."""

from .redis import AsyncRedisSaver, RedisSaver
from .sqlite import AsyncSqliteSaver, InMemorySaver, SqliteSaver

__all__ = ("AsyncRedisSaver", "AsyncSqliteSaver", "InMemorySaver", "RedisSaver", "SqliteSaver")
