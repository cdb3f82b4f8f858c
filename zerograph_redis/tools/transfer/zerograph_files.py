"""The database files of ZeroGraph's own `SqliteSaver`, as a source of threads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from zerograph.checkpoint import sqlite as engine

from zerograph_redis.backends.sqlite.backend import READS, WRITES
from zerograph_redis.backends.sqlite.schema import TABLES
from zerograph_redis.core.checkpoint_operations import CheckpointOperations, PreparedWrites
from zerograph_redis.core.configs import Address
from zerograph_redis.core.drive import run
from zerograph_redis.core.records import name_of
from zerograph_redis.core.requests import Request
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import PreparedPut, cut_state
from zerograph_redis.core.writes import identity_of
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, ConfigError, CorruptCheckpointError

from .files import THEIRS, connect, tables_in, translated
from .image import ThreadImage
from .reading import read_thread

R = TypeVar("R")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MOMENT = 4_000_000_000_000_000  # µs, in the year 2096: a later one would leave no room for the orders after it


class EngineFile:
    """Reads the threads of a file that a ZeroGraph may be using: read-only, in one short transaction for each thread.

    Values are those that ZeroGraph's own saver returns, in its order.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        """Open the file; threads are laid out as a store under *settings* would.

        Raises:
            BackendUnavailableError: There is no such file, or it cannot be opened.
            ConfigError: It has no tables of ZeroGraph's saver.
        """
        self.path = str(path)
        self.settings = settings
        if not Path(path).is_file():
            raise BackendUnavailableError(f"there is no SQLite database {path}")
        with translated(self.path), closing(connect(self.path)) as connection:
            if not tables_in(connection) >= THEIRS:
                raise ConfigError(f"{path} has no tables of ZeroGraph's own SqliteSaver")
        self._connection = connect(self.path)
        self._connection.row_factory = sqlite3.Row
        self._saver = _ReadOnlySaver(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def list_ids(self, prefix: str) -> list[str]:
        """Name the threads whose ids begin with *prefix*.

        Raises:
            ConfigError: One has an id that no other store could take, and *prefix* does not leave it out.
        """
        with translated(self.path):
            rows = self._connection.execute(
                "SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM pending_writes ORDER BY thread_id"
            ).fetchall()
        names = [name for (name,) in rows]
        odd = next((name for name in names if not isinstance(name, str)), None)
        if odd is not None and not prefix:
            raise ConfigError(f"{self.path} has a thread whose id is no text, {odd!r}: name the threads to move")
        return [name for name in names if isinstance(name, str) and name.startswith(prefix)]

    def read_thread(self, thread: str) -> ThreadImage | None:
        """Read a thread; None if the file does not have it.

        Raises:
            CorruptCheckpointError: ZeroGraph itself could not read it.
            SerializationError: A value cannot be stored.
        """
        with closing(_Replay(thread, self.settings)) as replay:
            with translated(self.path), self._transaction():
                self._replay(thread, replay)
            return run(read_thread(thread), replay)

    def _replay(self, thread: str, replay: _Replay) -> None:
        rows = self._connection.execute(
            "SELECT checkpoint_ns, checkpoint_id, created_at FROM checkpoints WHERE thread_id = ? "
            "ORDER BY created_at, rowid",
            (thread,),
        ).fetchall()
        for namespace, checkpoint_id, created in rows:
            with self._named(thread, namespace, checkpoint_id):
                found = self._saver.get_tuple(_config(thread, namespace, checkpoint_id))
                replay.put(namespace, checkpoint_id, found, _microseconds(created))
        places = self._connection.execute(
            "SELECT DISTINCT checkpoint_ns, checkpoint_id FROM pending_writes WHERE thread_id = ? ORDER BY 1, 2",
            (thread,),
        ).fetchall()
        for namespace, checkpoint_id in places:
            with self._named(thread, namespace, checkpoint_id):
                writes = self._saver.get_pending_writes(_config(thread, namespace, checkpoint_id))
                replay.put_writes(namespace, checkpoint_id, writes)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _named(self, thread: str, namespace: Any, checkpoint_id: Any) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, CheckpointError):
            raise
        except Exception as error:  # whatever ZeroGraph's decoding raises
            raise CorruptCheckpointError(
                f"{name_of(thread, namespace, checkpoint_id)} cannot be read from {self.path}: "
                f"{type(error).__name__}: {error}"
            ) from error


class _ReadOnlySaver(engine.SqliteSaver):
    """ZeroGraph's saver on our connection: with a connection that it opens, it would make tables and write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _get_conn(self) -> sqlite3.Connection:
        return self._connection


class _Replay:
    """Stores a thread in a temporary database, each checkpoint at the time of its creation."""

    def __init__(self, thread: str, settings: Settings) -> None:
        self._thread = thread
        self._operations = CheckpointOperations(replace(settings, keep_last=None, max_age=None))
        self._now = 0
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.executescript(f"{TABLES} BEGIN")

    def close(self) -> None:
        self._connection.close()

    def execute(self, request: Request[R]) -> R:
        """Answer a request, as the backend of operations."""
        answer = WRITES.get(type(request)) or READS[type(request)]
        reply: R = answer(self._connection, request, self._now)
        return reply

    def put(self, namespace: str, checkpoint_id: str, found: Any, created: int) -> None:
        """Store a checkpoint after all others."""
        if not isinstance(found.checkpoint, Mapping) or not isinstance(found.metadata, Mapping | None):
            raise TypeError("a checkpoint and its metadata are dicts")
        serializer = self._operations.serializer
        parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
        state = cut_state(dict(found.checkpoint), serializer, None)
        metadata = serializer.pack(found.metadata or {}, root="metadata")
        self._now = max(created, self._now + 1)
        address = Address(self._thread, namespace, parent or None, None)
        run(self._operations.store_put(PreparedPut(address, checkpoint_id, state, metadata, None)), self)

    def put_writes(self, namespace: str, checkpoint_id: str, writes: list[tuple[str, str, Any]]) -> None:
        """Store the pending writes of a checkpoint."""
        packed = {
            identity_of(task, channel): self._operations.serializer.pack(value, root=f"writes[{number}]")
            for number, (task, channel, value) in enumerate(writes)
        }
        self._now = self._now or time.time_ns() // 1000
        address = Address(self._thread, namespace, checkpoint_id, None)
        run(self._operations.store_writes(PreparedWrites(address, checkpoint_id, packed, None)), self)


def _config(thread: str, namespace: str, checkpoint_id: str) -> dict[str, Any]:
    for what, name in (("thread", thread), ("checkpoint", checkpoint_id)):
        if not isinstance(name, str) or not name:
            raise ValueError(f"the id of a {what} must be a text that is not empty, not {name!r}")
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _microseconds(moment: Any) -> int:
    """Read when a checkpoint was made; 0 if that is no time."""
    try:
        found = datetime.fromisoformat(moment)
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return min(max((aware - _EPOCH) // timedelta(microseconds=1), 0), _LATEST_MOMENT)
    except (TypeError, ValueError, OverflowError):
        return 0
