"""The savers for one machine: a SQLite file, or memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typing_extensions import Unpack

from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.core.settings import CommonOptions, Options, Settings
from zerograph_redis.store import Store
from zerograph_redis.telemetry import names

from .base import AsyncSaver, Saver

_ATTRIBUTES = {names.SYSTEM: "sqlite"}


class SqliteSaver(Saver):
    """Keeps checkpoints in a SQLite file, for many OS threads and processes of one machine.

    The file may also hold the tables of ZeroGraph's own saver; they are not touched.
    """

    store: Store[SqliteBackend]  # type: ignore[assignment]

    def __init__(self, conn_string: str | Path = "checkpoints.db", **options: Unpack[Options]) -> None:
        """Open a database, or create it.

        Args:
            conn_string: A path, or ``:memory:``.
            **options: Those of every saver: see `Options`.

        Raises:
            ValueError: An option is out of range or of the wrong type.
            BackendUnavailableError: The database could not be opened.
        """
        settings = Settings.check(**options)
        super().__init__(Store(SqliteBackend(conn_string), settings, f"sqlite:///{conn_string}"), _ATTRIBUTES)

    def _close(self) -> None:
        self.store.backend.close()


class AsyncSqliteSaver(AsyncSaver, SqliteSaver):
    """A `SqliteSaver` whose methods can be awaited too; they run in the event loop's thread pool."""

    store: Store[SqliteBackend]  # type: ignore[assignment]

    async def _aclose(self) -> None:
        await asyncio.to_thread(self._close)


class InMemorySaver(AsyncSaver):
    """Keeps checkpoints in the memory of this process, as bytes: later changes to the caller's objects do not reach them."""

    store: Store[SqliteBackend]  # type: ignore[assignment]

    def __init__(self, max_per_thread: int | None = 100, **options: Unpack[CommonOptions]) -> None:
        """Make an empty store.

        Args:
            max_per_thread: How many checkpoints a put keeps in its namespace; None for all.
            **options: Those of `SqliteSaver`, except ``keep_last``.

        Raises:
            TypeError: There is no option of this name.
            ValueError: An option is out of range or of the wrong type.
        """
        if "keep_last" in options:
            raise TypeError("InMemorySaver has no keep_last: use max_per_thread")
        names = {*CommonOptions.__optional_keys__, "max_per_thread"}
        settings = Settings.check(names=names, keep_last=max_per_thread, **options)
        super().__init__(Store(SqliteBackend(":memory:"), settings, "memory://"), _ATTRIBUTES)

    def _close(self) -> None:
        self.store.backend.close()

    async def _aclose(self) -> None:
        self._close()
