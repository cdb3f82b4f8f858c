"""The database files of ZeroGraph's own `SqliteSaver`, as a source of threads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zerograph.checkpoint import sqlite as engine

from zerograph_redis.core.configs import Address
from zerograph_redis.core.records import name_of, pack_header, pack_writes
from zerograph_redis.core.requests import NO_LOG, LogRange, Page, Placed, StoredCheckpoint
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import PreparedPut, cut_state, draft_put
from zerograph_redis.core.writes import encrypt_writes, identity_of
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, ConfigError, CorruptCheckpointError
from zerograph_redis.ids import random_name
from zerograph_redis.state_log.log import BaseCheckpoint

from .files import THEIRS, connect, tables_in, translated
from .image import ThreadImage, ThreadTimes

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
        builder = _ImageBuilder(thread, self.settings)
        try:
            with translated(self.path), self._transaction():
                self._build(thread, builder)
        except BaseException:
            builder.image.close()
            raise
        return builder.end()

    def _build(self, thread: str, builder: _ImageBuilder) -> None:
        rows = self._connection.execute(
            "SELECT checkpoint_ns, checkpoint_id, created_at FROM checkpoints WHERE thread_id = ? "
            "ORDER BY created_at, rowid",
            (thread,),
        ).fetchall()
        for namespace, checkpoint_id, created in rows:
            with self._named(thread, namespace, checkpoint_id):
                found = self._saver.get_tuple(_config(thread, namespace, checkpoint_id))
                builder.add_checkpoint(namespace, checkpoint_id, found, _microseconds(created))
        places = self._connection.execute(
            "SELECT DISTINCT checkpoint_ns, checkpoint_id FROM pending_writes WHERE thread_id = ? ORDER BY 1, 2",
            (thread,),
        ).fetchall()
        for namespace, checkpoint_id in places:
            with self._named(thread, namespace, checkpoint_id):
                writes = self._saver.get_pending_writes(_config(thread, namespace, checkpoint_id))
                builder.add_writes(namespace, checkpoint_id, writes)

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


class _ImageBuilder:
    """Lays a thread out as puts would have, one checkpoint after another."""

    def __init__(self, thread: str, settings: Settings) -> None:
        self.image = ThreadImage(thread, ThreadTimes(0, 0, None, None))
        self._settings = settings
        self._cipher = settings.cipher(thread)
        self._bases: dict[str, BaseCheckpoint] = {}
        self._first = self._order = self._end = 0
        self._generation = random_name()

    def add_checkpoint(self, namespace: str, checkpoint_id: str, found: Any, moment: int) -> None:
        """Add a checkpoint that comes after all that were added before."""
        if not isinstance(found.checkpoint, Mapping) or not isinstance(found.metadata, Mapping | None):
            raise TypeError("a checkpoint and its metadata are dicts")
        parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
        metadata = self._settings.serializer.pack(found.metadata or {}, root="metadata")
        state = cut_state(dict(found.checkpoint), self._settings.serializer, self._bases.get(namespace))
        address = Address(self.image.thread, namespace, parent or None, None)
        prepared = PreparedPut(address, checkpoint_id, state, metadata, None)
        put = draft_put(prepared, self._bases.get(namespace), self._settings)
        request, appended = put.request, put.request.appended
        self._order = max(moment, self._order + 1)
        self._first = self._first or self._order
        generation, base = (self._generation, self._end) if put.segments else (NO_LOG, 0)
        size = len(appended)
        header = pack_header(request.version, self._order, int(generation, 16), base, size, request.attempt)
        ranges = [LogRange(generation, base, appended)] if size else []
        self._add(namespace, StoredCheckpoint(checkpoint_id, header + request.record, []), ranges)
        self._end += size
        self._bases[namespace] = put.base_at(Placed(f"{self._order:016x}", generation, base))

    def add_writes(self, namespace: str, checkpoint_id: str, writes: list[tuple[str, str, Any]]) -> None:
        """Add the pending writes of a checkpoint."""
        packed = {
            identity_of(task, channel): self._settings.serializer.pack(value, root=f"writes[{number}]")
            for number, (task, channel, value) in enumerate(writes)
        }
        if self._cipher is None:
            stored = pack_writes(namespace, checkpoint_id, packed, None)
        else:
            stored = encrypt_writes(namespace, checkpoint_id, packed, self._cipher)
        self._add(namespace, StoredCheckpoint(checkpoint_id, None, stored), [])

    def _add(self, namespace: str, row: StoredCheckpoint, ranges: list[LogRange]) -> None:
        current = self._generation if self._end or ranges else NO_LOG
        self.image.add(Page([(namespace, row)], ranges, "", current, None))

    def end(self) -> ThreadImage | None:
        """Return the image; None if nothing was added."""
        image = self.image
        if not image.checkpoints and not image.checkpoints_with_writes:
            image.close()
            return None
        now = time.time_ns() // 1000
        image.times = ThreadTimes(self._first or now, self._order or now, None, None)
        return image


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
