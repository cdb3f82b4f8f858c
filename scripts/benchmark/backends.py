"""Stores to measure: where they keep data, the worker that writes, and others that know nothing yet."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from zerograph_redis import RedisSaver, SqliteSaver

from .measure import Server
from .workloads import Step, config

__all__ = ("TTL", "Call", "FileStore", "OurRedis", "OurSqlite", "ServerStore", "Store", "WithTtl", "opened", "state_of")

Call = Callable[[], Any]
TTL = 3600  # seconds


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

    @staticmethod
    def putting(worker: Any, step: Step) -> Call:
        """A call that stores the checkpoint of *step*, with all prepared that is none of the store's work."""
        return partial(worker.put, step.parent, step.checkpoint, step.metadata)

    @staticmethod
    def writing(worker: Any, step: Step) -> Call:
        """A call that stores the pending writes of *step*."""
        return partial(worker.put_writes, step.config, step.writes, step.task)

    @staticmethod
    def reading(worker: Any, thread: str) -> Call:
        """A call that returns the newest checkpoint."""
        return partial(worker.get_tuple, config(thread))

    @classmethod
    def fetching(cls, worker: Any, thread: str) -> Call:
        """The same, but what a baseline returns is left packed."""
        return cls.reading(worker, thread)

    @staticmethod
    def listing(worker: Any, thread: str, limit: int) -> Call:
        """A call that returns checkpoints, newest first."""
        return partial(worker.list, config(thread), limit=limit)

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


class WithTtl(OurRedis):
    """The same with a time to live."""

    name = "ttl"

    @classmethod
    def connect(cls, url: str, **options: Any) -> RedisSaver:
        """See `ServerStore`."""
        return super().connect(url, ttl=TTL, **options)


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


@contextmanager
def opened(*kinds: type[ServerStore]) -> Iterator[dict[str, ServerStore]]:
    """A store of each kind by its name, on a server of its own."""
    with ExitStack() as stack:
        stores = {kind.name: kind(stack.enter_context(Server())) for kind in kinds}
        for store in stores.values():
            stack.callback(store.close)
        yield stores
