"""What the savers are compared with: bare Redis scripts, and the engine's own savers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import hiredis
import msgpack
import redis
from zerograph.checkpoint import InMemorySaver as EngineMemorySaver
from zerograph.checkpoint import SqliteSaver as EngineSqliteSaver

from .backends import Call, FileStore, ServerStore, Store
from .workloads import Step

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
    """Packed bytes in a hash and their ids in an index, written and read by one EVALSHA each."""

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
        """Read the newest packed state."""
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
    """A worker that stores whole states, packed with msgpack: no metadata, no parents, no writes when reading."""

    def __init__(self, client: Any) -> None:
        """Use *client*, blocking, which `close` closes."""
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
    """The bare scripts through redis-py's pooled client."""

    name = "raw"
    client: ClassVar[Callable[[str], Any]] = redis.Redis.from_url

    @classmethod
    def connect(cls, url: str) -> Raw:
        """See `ServerStore`."""
        return Raw(cls.client(url))

    @staticmethod
    def put_call(worker: Raw, step: Step) -> Call:
        """See `ServerStore`: the state is packed already."""
        return partial(worker.bytes.put, step.thread, step.checkpoint_id, msgpack.packb(step.checkpoint))

    @staticmethod
    def put_writes_call(worker: Raw, step: Step) -> Call:
        """See `ServerStore`: the writes are packed already."""
        return partial(worker.bytes.put_writes, step.thread, step.checkpoint_id, msgpack.packb(step.writes))

    @classmethod
    def get_packed_call(cls, worker: Raw, thread: str) -> Call:
        """See `ServerStore`."""
        return partial(worker.bytes.newest, thread)


class PackingStore(RawStore):
    """The same; a put also packs the state."""

    name = "packing"

    @staticmethod
    def put_call(worker: Raw, step: Step) -> Call:
        """See `ServerStore`."""
        return partial(worker.put, step.parent, step.checkpoint, step.metadata)


class BareClient:
    """A socket and hiredis with the methods that `RawBytes` calls: no retries, no pool, no checks, no timeouts."""

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
    """The same scripts through a bare socket: the floor, which no client can beat."""

    name = "floor"
    client = BareClient


class EngineSqlite(FileStore):
    """ZeroGraph's own SqliteSaver."""

    name = "engine sqlite"
    connect = EngineSqliteSaver


class EngineMemory(Store):
    """ZeroGraph's own InMemorySaver, with room for all checkpoints."""

    name = "engine memory"

    def __init__(self, _directory: Path) -> None:
        """Begin empty."""
        self.worker = EngineMemorySaver(max_per_thread=10**9)

    def connect_worker(self) -> Any:
        """Return the only worker."""
        return self.worker

    def close_worker(self, worker: Any) -> None:
        """Keep the only worker."""

    def size(self) -> None:
        """Unknown."""
