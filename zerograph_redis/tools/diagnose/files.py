"""Checks a SQLite database: its pages, its journal, its size, and rows that belong to no thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.backends.sqlite.thread_rows import CONTENT

from .findings import Finding, Level, ok, problem, warning

_LARGE = 64 * 1024 * 1024  # bytes of a write-ahead log, which only a reader keeps so large
_REPORTED = 10  # faults


def judge_file(backend: SqliteBackend, *, deep: bool) -> list[Finding]:
    """Judge a database, and the file that it is in; *deep* checks its indexes too."""

    def judge(connection: sqlite3.Connection) -> list[Finding]:
        found = [_integrity(connection, deep=deep), _journal(connection)]
        if found[0].level is Level.OK:
            found.append(_rows(connection))
        if backend.path != ":memory:":
            found.append(_size(connection, Path(backend.path)))
        return found

    return backend.read(judge)


def _integrity(connection: sqlite3.Connection, *, deep: bool) -> Finding:
    pragma = "integrity_check" if deep else "quick_check"
    faults = [row[0] for row in connection.execute(f"PRAGMA {pragma}({_REPORTED})")]
    if faults == ["ok"]:
        return ok("integrity", f"SQLite {sqlite3.sqlite_version} finds no damage")
    fix = "restore a backup, or what `sqlite3 FILE .recover` can save"
    return problem("integrity", f"SQLite finds damage: {faults[0]}", fix, items=faults)


def _journal(connection: sqlite3.Connection) -> Finding:
    mode = _pragma(connection, "journal_mode")
    if mode in {"wal", "memory"}:
        return ok("journal", f"mode {mode}")
    message = f"the journal mode is {mode}, not wal: readers and writers block each other"
    return warning("journal", message, "keep the file on a local disk, not on a network file system")


def _rows(connection: sqlite3.Connection) -> Finding:
    orphans = 0
    for table in CONTENT:
        owned = "thread IN (SELECT number FROM zerograph_redis_threads)"
        rows = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE NOT {owned}")  # noqa: S608 - our own names
        orphans += rows.fetchone()[0]
    if not orphans:
        return ok("rows", "every row belongs to a thread")
    message = f"{orphans:,} rows belong to no thread: the rows that name their threads are missing"
    return problem("rows", message, "restore a backup")


def _size(connection: sqlite3.Connection, path: Path) -> Finding:
    page, pages, free = (_pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    wal = Path(f"{path}-wal")
    waiting = wal.stat().st_size if wal.exists() else 0
    message = f"{page * pages:,} bytes, {free / max(pages, 1):.0%} of them free; write-ahead log {waiting:,} bytes"
    if waiting > max(_LARGE, page * pages):
        fix = "some process reads without end, which keeps the log: stop it, then run PRAGMA wal_checkpoint(TRUNCATE)"
        return warning("size", message, fix)
    return ok("size", message)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
