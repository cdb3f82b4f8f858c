"""Stores that can be restored to any earlier moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol
from unittest import mock

import fakeredis
import redis

from zerograph_redis.backends.redis import Keyspace, RedisBackend
from zerograph_redis.backends.redis.bindings import BINDINGS
from zerograph_redis.backends.redis.transport import Transport
from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.core.requests import Request, ScanThread

PREFIX = "simulated"


class World(Protocol):
    """A store with the failures of a server."""

    def execute(self, request: Request[Any]) -> Any:
        """Answer a request, like a worker's backend."""

    def snapshot(self) -> Any:
        """Remember this moment."""

    def restore(self, moment: Any, *, clock: bool = False) -> None:
        """Return to a moment; None for the empty store. With *clock*, the clock returns too, where it can be set."""

    def expire(self, thread: str) -> None:
        """Remove a thread, as the end of its TTL does."""

    def close(self) -> None:
        """Close the store."""


@contextmanager
def changed_script(request: type[Request[Any]], old: str, new: str) -> Iterator[None]:
    """Change the script that answers a request."""
    script = BINDINGS[request].script
    assert script is not None
    before = script.source
    assert old in before, f"the script has no {old!r}"
    script.change(before.replace(old, new))
    try:
        yield
    finally:
        script.change(before)


class SqliteWorld:
    """A SQLite database in memory with a slow clock: several requests share a microsecond."""

    def __init__(self) -> None:
        self._calls = 0
        self._patches = ExitStack()
        for name, value in {"connections._now": self._now, "copying.ROWS": 2, "copying.PAGE": 1000}.items():
            self._patches.enter_context(mock.patch(f"zerograph_redis.backends.sqlite.{name}", value))
        self._backend = SqliteBackend(":memory:")
        self._connection = self._backend.read(lambda connection: connection)  # memory has only one
        self._empty = self.snapshot()[0]

    def _now(self) -> int:
        self._calls += 1
        return 1_700_000_000_000_000 + self._calls // 3

    def execute(self, request: Request[Any]) -> Any:
        return self._backend.execute(request)

    def snapshot(self) -> tuple[bytes, int]:
        return self._connection.serialize(), self._calls

    def restore(self, moment: tuple[bytes, int] | None, *, clock: bool = False) -> None:
        database, calls = moment or (self._empty, self._calls)
        self._connection.deserialize(database)
        if clock:
            self._calls = calls

    def expire(self, thread: str) -> None:
        self._connection.execute("UPDATE zerograph_redis_threads SET deadline = 1 WHERE thread = ?", (thread,))

    def close(self) -> None:
        self._backend.close()
        self._patches.close()


class RedisWorld:
    """A Redis server or fakeredis, restored with DUMP and RESTORE."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._patches = ExitStack()
        # Small pages: the threads are small, and a copy should take several pages.
        self._patches.enter_context(changed_script(ScanThread, "local PAGE = 256 * 1024", "local PAGE = 1000"))
        self._backend = RedisBackend(Transport(client), Keyspace(PREFIX))
        self.restore(None)

    def execute(self, request: Request[Any]) -> Any:
        return self._backend.execute(request)

    def snapshot(self) -> dict[bytes, tuple[bytes, int]]:
        keys = list(self._client.scan_iter(match=f"{PREFIX}:*", count=1000))
        with self._client.pipeline(transaction=True) as pipeline:
            for key in keys:
                pipeline.dump(key)
                pipeline.pttl(key)
            found = pipeline.execute()
        return {
            key: (data, max(left, 0))
            for key, data, left in zip(keys, found[::2], found[1::2], strict=True)
            if data is not None
        }

    def restore(self, moment: dict[bytes, tuple[bytes, int]] | None, *, clock: bool = False) -> None:
        moment = moment or {}
        later = [key for key in self._client.scan_iter(match=f"{PREFIX}:*", count=1000) if key not in moment]
        with self._client.pipeline(transaction=True) as pipeline:
            if later:
                pipeline.unlink(*later)
            for key, (data, left) in moment.items():
                pipeline.restore(key, left, data, replace=True)
            pipeline.execute()

    def expire(self, thread: str) -> None:
        keys = list(self._client.scan_iter(match=f"{PREFIX}:{{{thread}}}:*", count=1000))
        if keys:
            self._client.unlink(*keys)

    def close(self) -> None:
        self.restore(None)
        self._patches.close()
        self._client.close()


def make_world(kind: str, port: int | None = None) -> World:
    """Make an empty world: ``memory``, ``fakeredis``, or ``redis`` on a loopback port."""
    match kind:
        case "memory":
            return SqliteWorld()
        case "fakeredis":
            return RedisWorld(fakeredis.FakeRedis(server=fakeredis.FakeServer(version=(7,))))
        case _:
            assert port is not None
            return RedisWorld(redis.Redis(host="127.0.0.1", port=port))
