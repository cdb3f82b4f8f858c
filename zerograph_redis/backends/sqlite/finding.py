"""The requests that look for checkpoints and namespaces in the whole of a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.requests import (
    FindCheckpoints,
    FindNamespace,
    FoundCheckpoint,
    FoundCheckpoints,
    FoundNamespace,
    ListNamespaces,
    NamespaceFacts,
    Namespaces,
    Request,
)
from zerograph_redis.ids import escape, read_name

from .thread_rows import number_of


def find_checkpoints(connection: sqlite3.Connection, request: FindCheckpoints, now: int) -> FoundCheckpoints:
    """Look for ids that begin alike, in all namespaces of the thread."""
    rows: list[tuple[str, str, int]] = connection.execute(
        "SELECT namespace, id, position FROM zerograph_redis_checkpoints "
        "WHERE thread = ?1 AND SUBSTR(id, 1, LENGTH(?2)) = ?2 ORDER BY namespace, position",
        (number_of(connection, escape(request.thread), now), escape(request.prefix)),
    ).fetchall()
    return FoundCheckpoints(
        [FoundCheckpoint(read_name(namespace), read_name(name), _order(order)) for namespace, name, order in rows], None
    )


def list_namespaces(connection: sqlite3.Connection, request: ListNamespaces, now: int) -> Namespaces:
    """Count what each namespace of the thread has."""
    rows: list[tuple[str, int, int]] = connection.execute(
        "SELECT namespace, COUNT(*), MAX(position) FROM zerograph_redis_checkpoints WHERE thread = ? "
        "GROUP BY namespace ORDER BY namespace",
        (number_of(connection, escape(request.thread), now),),
    ).fetchall()
    return Namespaces([NamespaceFacts(read_name(name), count, _order(newest)) for name, count, newest in rows], None)


def find_namespace(connection: sqlite3.Connection, request: FindNamespace, now: int) -> FoundNamespace:
    """Look for a checkpoint id in all namespaces of the thread."""
    row = connection.execute(
        "SELECT namespace FROM zerograph_redis_checkpoints WHERE thread = ? AND id = ? ORDER BY namespace LIMIT 1",
        (number_of(connection, escape(request.thread), now), escape(request.checkpoint_id)),
    ).fetchone()
    return FoundNamespace(None if row is None else read_name(row[0]), None)


def _order(position: Any) -> str:
    return f"{bounds.whole(position, bounds.END_OF_ORDERS):016x}"


READS: Mapping[type[Request[Any]], Callable[[sqlite3.Connection, Any, int], Any]] = {
    FindCheckpoints: find_checkpoints,
    FindNamespace: find_namespace,
    ListNamespaces: list_namespaces,
}
