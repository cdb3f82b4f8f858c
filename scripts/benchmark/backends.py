"""Stores to measure: where they keep data, the worker that writes, and others that know nothing yet."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from zerograph_redis import AsyncRedisSaver, RedisSaver, SqliteSaver

from .measure import Server
from .workloads import config

__all__ = ("FileStore", "OurRedis", "OurSqlite", "ServerStore", "Store", "state_of")


def state_of(found: Any) -> Any:
    """The checkpoint in what a worker returned."""
    return getattr(found, "checkpoint", found)


class Store(ABC):
    """A store. Its `worker` has the methods of a saver, as far as they are measured."""

    name: ClassVar[str]
    worker: Any

    @abstractmethod
    def another(self) -> Any:
        """A worker that is connected and knows nothing of any thread."""

    @abstractmethod
    def leave(self, worker: Any) -> None:
        """Have done with a worker from `another`."""

    def renew(self) -> None:
        """Let another worker take over."""
        worker, self.worker = self.worker, self.another()
        self.leave(worker)

    @abstractmethod
    def size(self) -> int | None:
        """Bytes that the data take, None if nobody counts them."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


class ServerStore(Store):
    """A store on a Redis server that nobody else uses."""

    def __init__(self, server: Server) -> None:
        """Use *server*."""
        self.server = server
        self.worker = self.another()

    @classmethod
    @abstractmethod
    def connect(cls, url: str) -> Any:
        """Make a worker for the server at *url*."""

    @classmethod
    @abstractmethod
    def connect_async(cls, url: str) -> Any:
        """Make a worker with awaited methods, in a running event loop."""

    def another(self) -> Any:
        """See `Store`."""
        worker = self.connect(self.server.url)
        worker.get_tuple(config("nobody"))
        return worker

    def leave(self, worker: Any) -> None:
        """See `Store`."""
        worker.close()

    def size(self) -> int:
        """See `Store`."""
        return self.server.memory()

    def close(self) -> None:
        """Disconnect; the server goes on."""
        self.worker.close()


class OurRedis(ServerStore):
    """`RedisSaver`, with clients as it makes them by itself."""

    name = "redis"

    @classmethod
    def connect(cls, url: str, **options: Any) -> RedisSaver:
        """See `ServerStore`."""
        return RedisSaver.from_url(url, **options)

    @classmethod
    def connect_async(cls, url: str) -> AsyncRedisSaver:
        """See `ServerStore`."""
        return AsyncRedisSaver.from_url(url)


class FileStore(Store):
    """A store in a SQLite file."""

    def __init__(self, directory: Path, connect: Callable[[str], Any]) -> None:
        """Make a file in *directory*; *connect* makes a worker for a path."""
        self._path = directory / f"{self.name.replace(' ', '-')}.db"
        self._connect = connect
        self.worker = connect(str(self._path))

    def another(self) -> Any:
        """See `Store`."""
        worker = self._connect(str(self._path))
        worker.get_tuple(config("nobody"))
        return worker

    def leave(self, worker: Any) -> None:
        """See `Store`."""
        worker.close()

    def size(self) -> int:
        """The file, with its journal put into it."""
        with sqlite3.connect(self._path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return self._path.stat().st_size

    def close(self) -> None:
        """See `Store`."""
        self.worker.close()


class OurSqlite(FileStore):
    """`SqliteSaver` of this package."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        """Make a file in *directory*."""
        super().__init__(directory, SqliteSaver)
