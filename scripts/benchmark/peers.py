"""Savers of other engines, where they are installed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from .backends import FileStore, OurSqlite, Store
from .baselines import EngineMemory, EngineSqlite

__all__ = ("local_stores", "peers")


class LangGraphWorker:
    """LangGraph's SqliteSaver, in the words of ZeroGraph's."""

    def __init__(self, path: str) -> None:
        """Open the file at *path*."""
        module = import_module("langgraph.checkpoint.sqlite")
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._saver = module.SqliteSaver(self._connection)
        self.get_tuple = self._saver.get_tuple
        self.delete_thread = self._saver.delete_thread

    def put(self, config: dict[str, Any], checkpoint: dict[str, Any], metadata: dict[str, Any]) -> None:
        """As ZeroGraph's saver does."""
        self._saver.put(config, checkpoint, metadata, {})

    def put_writes(self, config: dict[str, Any], writes: Sequence[tuple[str, str, Any]], task: str) -> None:
        """As ZeroGraph's saver does."""
        self._saver.put_writes(config, [(channel, value) for _, channel, value in writes], task)

    def list(self, config: dict[str, Any], *, limit: int) -> Any:
        """As ZeroGraph's saver does."""
        return list(self._saver.list(config, limit=limit))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class LangGraphSqlite(FileStore):
    """langgraph-checkpoint-sqlite."""

    name = "langgraph sqlite"

    def __init__(self, directory: Path) -> None:
        """Make a file in *directory*."""
        super().__init__(directory, LangGraphWorker)


PEERS: dict[str, type[Store] | None] = {
    "langgraph-checkpoint-sqlite": LangGraphSqlite,
    "langgraph-checkpoint-redis": None,
    "langgraph-checkpoint-plainredis": None,
    "langgraph-checkpoint-aws": None,
    "langgraph-checkpoint-postgres": None,
}


def peers() -> dict[str, str]:
    """What becomes of each package of others: its version, or why it is not measured."""
    found = {}
    for name, store in PEERS.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "skipped: not installed"
        else:
            found[name] = f"{version}, measured" if store else f"{version}, skipped: nothing here drives it"
    return found


def local_stores(directory: Path) -> list[Any]:
    """The stores of one machine that can be measured here, each new."""
    kinds: list[Any] = [OurSqlite, EngineSqlite, EngineMemory]
    known = peers()
    kinds += [store for name, store in PEERS.items() if store and "measured" in known[name]]
    return [kind(directory) for kind in kinds]
