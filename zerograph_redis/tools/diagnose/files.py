"""A SQLite database looked over: its pages, its size, and rows that belong to nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.backends.sqlite.threads import CONTENT, shown_name
from zerograph_redis.ids import SEPARATOR

from .examination import Names
from .findings import Finding, Level
from .keys import note_thread

_LARGE = 64 * 1024 * 1024  # bytes of a write-ahead log that nothing keeps from being written back
_SHOWN = 10


def judge_file(backend: SqliteBackend, *, deep: bool) -> list[Finding]:
    """Judge a database, and the file that it is in."""

    def judge(connection: sqlite3.Connection) -> list[Finding]:
        found = [_integrity(connection, deep=deep), _journal(connection)]
        if found[0].level is Level.OK:
            found.append(_rows(connection))
        if backend.path != ":memory:":
            found.append(_size(connection, Path(backend.path)))
        return found

    return backend.read(judge)


def find_names(backend: SqliteBackend) -> Names:
    """Find the names of all threads, and of copies that are not published."""

    def find(connection: sqlite3.Connection) -> Names:
        names = Names()
        for (name,) in connection.execute("SELECT thread FROM zerograph_redis_threads"):
            _note_name(name, names)
        return names

    return backend.read(find)


def _note_name(name: Any, names: Names) -> None:
    match name.split(SEPARATOR) if isinstance(name, str) else name:
        case [thread]:
            note_thread(thread, names.stored, names.odd)
        case ["", token, thread]:
            staged: set[str] = set()
            note_thread(thread, staged, names.odd, name)
            names.staged.update((each, token) for each in staged)
        case _:
            names.odd.append(shown_name(name))


def _integrity(connection: sqlite3.Connection, *, deep: bool) -> Finding:
    check = "integrity_check" if deep else "quick_check"
    told = [row[0] for row in connection.execute(f"PRAGMA {check}({_SHOWN})")]
    if told == ["ok"]:
        return Finding("integrity", Level.OK, f"SQLite {sqlite3.sqlite_version} finds the database whole")
    return Finding(
        "integrity",
        Level.PROBLEM,
        f"SQLite finds the database damaged: {told[0]}",
        "bring back a backup, or what `sqlite3 FILE .recover` finds",
        items=told,
    )


def _rows(connection: sqlite3.Connection) -> Finding:
    lost = 0
    for table in CONTENT:
        belongs = "thread IN (SELECT number FROM zerograph_redis_threads)"
        rows = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE NOT {belongs}")  # noqa: S608 - our own names
        lost += rows.fetchone()[0]
    if not lost:
        return Finding("rows", Level.OK, "every row belongs to a thread")
    told = f"{lost:,} rows belong to no thread: its row was lost, and with it the thread"
    return Finding("rows", Level.PROBLEM, told, "bring back a backup")


def _journal(connection: sqlite3.Connection) -> Finding:
    mode = _pragma(connection, "journal_mode")
    if mode in {"wal", "memory"}:
        return Finding("journal", Level.OK, f"mode {mode}")
    told = f"the journal mode is {mode}, not wal: readers and writers wait for each other"
    return Finding("journal", Level.WARNING, told, "keep the file on a disk of this machine, not on a network's")


def _size(connection: sqlite3.Connection, path: Path) -> Finding:
    page, pages, free = (_pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    ahead = Path(f"{path}-wal")
    waiting = ahead.stat().st_size if ahead.exists() else 0
    told = f"{page * pages:,} bytes, {free / max(pages, 1):.0%} of them free; write-ahead log {waiting:,} bytes"
    if waiting > max(_LARGE, page * pages):
        mend = "a reader that never ends keeps it: find that process; then PRAGMA wal_checkpoint(TRUNCATE)"
        return Finding("size", Level.WARNING, told, mend)
    return Finding("size", Level.OK, told)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
