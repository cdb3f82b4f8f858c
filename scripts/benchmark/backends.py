"""Stores to measure: where they keep data, the worker that writes, and new workers with empty caches."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from zerograph_redis import RedisSaver, SqliteSaver

from .measure import Server
from .workloads import Step, config

Call = Callable[[], Any]
TTL = 3600  # seconds


class Store(ABC):
    """A store. Its `worker` has the methods of a saver that are measured."""

    name: ClassVar[str]
    worker: Any

    @abstractmethod
    def connect_worker(self) -> Any:
        """Make a worker of this store."""

    def new_worker(self) -> Any:
        """A worker that is connected and has read no thread."""
        worker = self.connect_worker()
        worker.get_tuple(config("nobody"))
        return worker

    def close_worker(self, worker: Any) -> None:
        """Disconnect a worker."""
        worker.close()

    def replace_worker(self) -> None:
        """Replace the worker with a new one."""
        worker, self.worker = self.worker, self.new_worker()
        self.close_worker(worker)

    @abstractmethod
    def size(self) -> int | None:
        """Bytes of all data; None if unknown."""

    def close(self) -> None:
        """Disconnect the worker; the data stay."""
        self.close_worker(self.worker)


class ServerStore(Store):
    """A store on a Redis server that nobody else uses."""

    def __init__(self, server: Server) -> None:
        """Use *server*."""
        self.server = server
        self.worker = self.new_worker()

    @classmethod
    @abstractmethod
    def connect(cls, url: str) -> Any:
        """Make a worker for the server at *url*."""

    @staticmethod
    def put_call(worker: Any, step: Step) -> Call:
        """A call that stores the checkpoint of *step*; what is not the store's work is prepared before."""
        return partial(worker.put, step.parent, step.checkpoint, step.metadata)

    @staticmethod
    def put_writes_call(worker: Any, step: Step) -> Call:
        """A call that stores the pending writes of *step*."""
        return partial(worker.put_writes, step.config, step.writes, step.task)

    @staticmethod
    def get_call(worker: Any, thread: str) -> Call:
        """A call that returns the newest checkpoint."""
        return partial(worker.get_tuple, config(thread))

    @classmethod
    def get_packed_call(cls, worker: Any, thread: str) -> Call:
        """The same; a baseline returns it packed."""
        return cls.get_call(worker, thread)

    @staticmethod
    def list_call(worker: Any, thread: str, limit: int) -> Call:
        """A call that returns checkpoints, newest first."""
        return partial(worker.list, config(thread), limit=limit)

    def connect_worker(self) -> Any:
        """See `Store`."""
        return self.connect(self.server.url)

    def size(self) -> int:
        """See `Store`."""
        return self.server.memory()


class OurRedis(ServerStore):
    """`RedisSaver` with its own client."""

    name = "redis"
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def connect(cls, url: str, **options: Any) -> RedisSaver:
        """See `ServerStore`."""
        return RedisSaver.from_url(url, **cls.options, **options)


class WithTtl(OurRedis):
    """The same with a TTL."""

    name = "ttl"
    options: ClassVar = {"ttl": TTL}


class FileStore(Store):
    """A store in a SQLite file."""

    connect: ClassVar[Callable[[str], Any]]
    """Makes a worker for a path."""

    def __init__(self, directory: Path) -> None:
        """Make a file in *directory*."""
        self._path = directory / f"{self.name.replace(' ', '-')}.db"
        self.worker = self.connect_worker()

    def connect_worker(self) -> Any:
        """See `Store`."""
        return self.connect(str(self._path))

    def size(self) -> int:
        """The file, after a checkpoint of its write-ahead log."""
        with sqlite3.connect(self._path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return self._path.stat().st_size


class OurSqlite(FileStore):
    """`SqliteSaver` of this package."""

    name = "sqlite"
    connect = SqliteSaver


@contextmanager
def opened(*kinds: type[ServerStore]) -> Iterator[dict[str, ServerStore]]:
    """Open a store of each kind on its own server; returns them by name."""
    with ExitStack() as stack:
        stores = {kind.name: kind(stack.enter_context(closing(Server()))) for kind in kinds}
        for store in stores.values():
            stack.callback(store.close)
        yield stores
