"""What the savers are measured against: Redis without ado, and the savers of others."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hiredis
import msgpack
import redis
from zerograph.checkpoint import InMemorySaver as EngineMemorySaver
from zerograph.checkpoint import SqliteSaver as EngineSqliteSaver

from .backends import Call, FileStore, ServerStore, Store
from .workloads import Step

__all__ = ("BareClient", "EngineMemory", "EngineSqlite", "FloorStore", "PackingStore", "Raw", "RawBytes", "RawStore")

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

    def __init__(self, client: Any) -> None:
        """Use *client*, blocking, and close it in the end."""
        self.bytes = RawBytes(client)

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


class RawStore(ServerStore):
    """Redis without ado, through redis-py's pooled client."""

    name = "raw"

    @classmethod
    def connect(cls, url: str) -> Raw:
        """See `ServerStore`."""
        return Raw(redis.Redis.from_url(url))

    @staticmethod
    def putting(worker: Raw, step: Step) -> Call:
        """See `ServerStore`: the state is packed already."""
        return partial(worker.bytes.put, step.thread, step.checkpoint_id, msgpack.packb(step.checkpoint))

    @staticmethod
    def writing(worker: Raw, step: Step) -> Call:
        """See `ServerStore`: the writes are packed already."""
        return partial(worker.bytes.put_writes, step.thread, step.checkpoint_id, msgpack.packb(step.writes))

    @classmethod
    def fetching(cls, worker: Raw, thread: str) -> Call:
        """See `ServerStore`."""
        return partial(worker.bytes.newest, thread)


class PackingStore(RawStore):
    """The same, but what a put stores is packed within its time."""

    name = "packing"

    @staticmethod
    def putting(worker: Raw, step: Step) -> Call:
        """See `ServerStore`."""
        return partial(worker.put, step.parent, step.checkpoint, step.metadata)


class BareClient:
    """A socket and hiredis, and what `RawBytes` needs of a client: nothing is retried, pooled, checked or timed out."""

    def __init__(self, url: str) -> None:
        """Connect to *url*."""
        server = urlsplit(url)
        self._socket = socket.create_connection((server.hostname, server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def evalsha(self, sha: str, number: int, *words: str | bytes | int) -> Any:
        """As redis-py does."""
        return self._ask("EVALSHA", sha, number, *words)

    def script_load(self, script: str) -> Any:
        """As redis-py does."""
        return self._ask("SCRIPT", "LOAD", script)

    def _ask(self, *words: str | bytes | int) -> Any:
        self._socket.sendall(hiredis.pack_command(words))
        reader, receive = self._reader, self._socket.recv
        while (reply := reader.gets()) is False:
            reader.feed(receive(65536))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


class FloorStore(RawStore):
    """The same scripts through a bare socket: what no client can be quicker than."""

    name = "floor"

    @classmethod
    def connect(cls, url: str) -> Raw:
        """See `ServerStore`."""
        return Raw(BareClient(url))


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
