"""What the savers are measured against: Redis without ado, and the savers of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import redis
import redis.asyncio
from zerograph.checkpoint import InMemorySaver as EngineMemorySaver
from zerograph.checkpoint import SqliteSaver as EngineSqliteSaver

from .backends import FileStore, ServerStore, Store

__all__ = ("EngineMemory", "EngineSqlite", "Raw", "RawBytes", "RawStore")

PUT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 'NX', redis.call('ZCARD', KEYS[2]), ARGV[1])
"""
PUT_WRITES = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])"
NEWEST = """
local id = redis.call('ZREVRANGE', KEYS[2], 0, 0)[1]
return id and redis.call('HGET', KEYS[1], id)
"""
LIST = """
local ids = redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1)
return redis.call('HMGET', KEYS[1], unpack(ids))
"""


class RawBytes:
    """One EVALSHA that stores packed bytes in a hash and their id in an index, and what reads them again."""

    def __init__(self, client: Any) -> None:
        """Use *client*, blocking."""
        self.client = client
        self.put_sha, self.writes_sha, self.newest_sha, self.list_sha = (
            client.script_load(script) for script in (PUT, PUT_WRITES, NEWEST, LIST)
        )

    def put(self, thread: str, checkpoint_id: str, packed: bytes) -> Any:
        """Store a packed state."""
        return self.client.evalsha(
            self.put_sha, 2, f"raw:{{{thread}}}:states", f"raw:{{{thread}}}:index", checkpoint_id, packed
        )

    def put_writes(self, thread: str, checkpoint_id: str, packed: bytes) -> Any:
        """Store packed writes."""
        return self.client.evalsha(self.writes_sha, 1, f"raw:{{{thread}}}:writes", checkpoint_id, packed)

    def newest(self, thread: str) -> Any:
        """Read the packed state stored last."""
        return self.client.evalsha(self.newest_sha, 2, f"raw:{{{thread}}}:states", f"raw:{{{thread}}}:index")

    def named(self, thread: str, checkpoint_id: str) -> Any:
        """Read the packed state of an id."""
        return self.client.hget(f"raw:{{{thread}}}:states", checkpoint_id)

    def list(self, thread: str, limit: int) -> Any:
        """Read packed states, newest first."""
        return self.client.evalsha(self.list_sha, 2, f"raw:{{{thread}}}:states", f"raw:{{{thread}}}:index", limit)

    def delete(self, thread: str) -> Any:
        """Remove a thread."""
        return self.client.unlink(*(f"raw:{{{thread}}}:{kind}" for kind in ("states", "index", "writes")))


class Raw:
    """Whole states, packed with msgpack, through `RawBytes`: no metadata, no parents, no writes when reading."""

    def __init__(self, url: str) -> None:
        """Connect to *url*."""
        self.bytes = RawBytes(redis.Redis.from_url(url))

    def put(self, config: dict[str, Any], checkpoint: dict[str, Any], _metadata: dict[str, Any]) -> None:
        """As a saver does."""
        self.bytes.put(config["configurable"]["thread_id"], checkpoint["id"], msgpack.packb(checkpoint))

    def put_writes(self, config: dict[str, Any], writes: Sequence[tuple[str, str, Any]], _task: str) -> None:
        """As a saver does."""
        named = config["configurable"]
        self.bytes.put_writes(named["thread_id"], named["checkpoint_id"], msgpack.packb(writes))

    def get_tuple(self, config: dict[str, Any]) -> Any:
        """Only the state."""
        named = config["configurable"]
        checkpoint_id = named.get("checkpoint_id")
        thread = named["thread_id"]
        found = self.bytes.named(thread, checkpoint_id) if checkpoint_id else self.bytes.newest(thread)
        return None if found is None else msgpack.unpackb(found)

    def list(self, config: dict[str, Any], *, limit: int) -> Any:
        """Only the states."""
        return [msgpack.unpackb(each) for each in self.bytes.list(config["configurable"]["thread_id"], limit)]

    def delete_thread(self, thread: str) -> None:
        """As a saver does."""
        self.bytes.delete(thread)

    def close(self) -> None:
        """Disconnect."""
        self.bytes.client.close()


class AsyncRaw:
    """`Raw`, awaited."""

    def __init__(self, url: str) -> None:
        """Connect to *url*, where `Raw` was before."""
        with redis.Redis.from_url(url) as client:
            self.bytes = RawBytes(client)
        self.bytes.client = redis.asyncio.Redis.from_url(url)

    async def aput(self, config: dict[str, Any], checkpoint: dict[str, Any], _metadata: dict[str, Any]) -> None:
        """As a saver does."""
        await self.bytes.put(config["configurable"]["thread_id"], checkpoint["id"], msgpack.packb(checkpoint))

    async def aget_tuple(self, config: dict[str, Any]) -> Any:
        """Only the newest state."""
        found = await self.bytes.newest(config["configurable"]["thread_id"])
        return None if found is None else msgpack.unpackb(found)

    async def aclose(self) -> None:
        """Disconnect."""
        await self.bytes.client.aclose()


class RawStore(ServerStore):
    """Redis without ado."""

    name = "raw"

    @classmethod
    def connect(cls, url: str) -> Raw:
        """See `ServerStore`."""
        return Raw(url)

    @classmethod
    def connect_async(cls, url: str) -> AsyncRaw:
        """See `ServerStore`."""
        return AsyncRaw(url)


class EngineSqlite(FileStore):
    """ZeroGraph's own SqliteSaver."""

    name = "engine sqlite"

    def __init__(self, directory: Path) -> None:
        """Make a file in *directory*."""
        super().__init__(directory, EngineSqliteSaver)


class EngineMemory(Store):
    """ZeroGraph's own InMemorySaver, with room for all checkpoints."""

    name = "engine memory"

    def __init__(self, _directory: Path) -> None:
        """Begin empty."""
        self.worker = EngineMemorySaver(max_per_thread=10**9)

    def another(self) -> Any:
        """There is only one."""
        return self.worker

    def leave(self, worker: Any) -> None:
        """There is only one, so it stays."""

    def size(self) -> None:
        """Nobody knows."""

    def close(self) -> None:
        """Nothing to do."""
