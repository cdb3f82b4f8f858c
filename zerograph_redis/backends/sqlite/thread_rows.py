"""The row of a thread: its order, times, deadline and current log; expiring and deleting threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.requests import DeleteThread, ForgetThread
from zerograph_redis.ids import escape

from . import leases

PERIOD = 16_000_000  # µs: writes within one period leave the index of last writes as it is
SWEPT = 2  # expired threads that are removed at a time
CONTENT = tuple(f"zerograph_redis_{name}" for name in ("checkpoints", "writes", "logs", "older_logs"))


def live_row(connection: Connection, thread: str, now: int, columns: str = "number") -> tuple[Any, ...] | None:
    """Read columns of the row of an escaped thread, unless it has none or is expired."""
    row: tuple[Any, ...] | None = connection.execute(
        f"SELECT {columns} FROM zerograph_redis_threads "  # noqa: S608 - our own words
        "WHERE thread = ? AND (deadline IS NULL OR deadline > ?)",
        (thread, now),
    ).fetchone()
    return row


def number_of(connection: Connection, thread: str, now: int) -> int:
    """Return the number of an escaped thread that is stored and not expired; 0 if there is none."""
    row = live_row(connection, thread, now)
    return 0 if row is None else bounds.whole(row[0], 1 << 63)


def order_text(position: Any) -> str:
    """Return the order in a column as the core has it: 16 hex digits."""
    return f"{bounds.whole(position, bounds.END_OF_ORDERS):016x}"


@dataclass(slots=True)
class Facts:
    """What a write reads and changes in the row of a thread: see `schema`."""

    number: int = 0
    """Names its rows; 0 if there are none."""
    last_order: int = 0
    generation: int = 0
    length: int = 0
    dropped: int = 0
    live: int = 0
    removed: int = 0
    period: int = 0
    lease_deadline: int = field(default=0, kw_only=True)
    """A thread does not expire while a worker holds its lease."""


FACTS = "threads.number, last_order, generation, length, dropped, live, removed, period, threads.deadline, leases.token"
"""The columns that `read_facts` reads, of `threads` and the `leases` joined to it."""

_LOAD = (
    f"SELECT {FACTS} FROM zerograph_redis_threads AS threads "  # noqa: S608 - our own words
    "LEFT JOIN zerograph_redis_leases AS leases USING (thread) WHERE thread = ?"
)


def load_facts(connection: Connection, request: Any, thread: str, now: int) -> Facts:
    """Read the row of a thread for a write; refuse a write that its lease does not permit; remove an expired thread."""
    return read_facts(connection, request, connection.execute(_LOAD, (thread,)).fetchone(), now)


def read_facts(connection: Connection, request: Any, row: Sequence[Any] | None, now: int) -> Facts:
    """Do as `load_facts` with a row that begins with the columns `FACTS`; None if the thread has none."""
    held_until = 0
    if row is None or row[9] is not None or request.fence is not None:
        held_until = leases.check_fence(connection, request, now)
    if row is None:
        return Facts(lease_deadline=held_until)
    deadline = row[8]
    if deadline is not None and bounds.whole(deadline) <= now:
        delete_rows(connection, row[0])
        return Facts(lease_deadline=held_until)
    numbers = row[:8]
    if set(map(type, numbers)) != {int} or min(numbers) < 0 or numbers[1] >= bounds.END_OF_ORDERS:
        raise ValueError("a stored number is out of its bounds")
    return Facts(*numbers, lease_deadline=held_until)


def start_thread(connection: Connection, thread: str, facts: Facts, now: int) -> None:
    """Insert the row of a thread, unless it has one. Its number is the time, or the first after it that no thread has."""
    if facts.number:
        return
    number = now
    while connection.execute("SELECT 1 FROM zerograph_redis_threads WHERE number = ?", (number,)).fetchone():
        number += 1
    facts.number, facts.period = number, now // PERIOD
    connection.execute(
        "INSERT INTO zerograph_redis_threads (number, thread, created, updated, period) VALUES (?1, ?2, ?3, ?3, ?4)",
        (number, thread, now, facts.period),
    )


_SAVE = "UPDATE zerograph_redis_threads SET {} WHERE number = ?"
_LOG = "generation = ?, length = ?, dropped = ?, live = ?, removed = ?"
_SAVE_LOG = _SAVE.format(_LOG)
_SAVE_WRITE = _SAVE.format("last_order = ?, updated = ?, ttl = ?, deadline = ?, " + _LOG)
_SAVE_PERIOD = _SAVE.format("last_order = ?, updated = ?, ttl = ?, deadline = ?, period = ?, " + _LOG)


def save_write(connection: Connection, facts: Facts, ttl: int | None, now: int) -> None:
    """Save the row after a write to the thread, with a new deadline."""
    deadline = None if ttl is None else max(now + ttl * 1000, facts.lease_deadline)
    changed, period = (facts.last_order, now, ttl, deadline), now // PERIOD
    if period == facts.period:
        connection.execute(_SAVE_WRITE, (*changed, *_log_of(facts)))
    else:
        connection.execute(_SAVE_PERIOD, (*changed, period, *_log_of(facts)))


def save_log(connection: Connection, facts: Facts) -> None:
    """Save what pruning changed of the log. It neither updates the thread nor renews its TTL."""
    connection.execute(_SAVE_LOG, _log_of(facts))


def _log_of(facts: Facts) -> tuple[int, ...]:
    return facts.generation, facts.length, facts.dropped, facts.live, facts.removed, facts.number


def sweep(connection: Connection, now: int) -> bool:
    """Remove a few expired threads. Returns whether there may be more."""
    expired = connection.execute(
        "SELECT number FROM zerograph_redis_threads WHERE deadline <= ? LIMIT ?", (now, SWEPT)
    ).fetchall()
    for (each,) in expired:
        delete_rows(connection, each)
    return len(expired) == SWEPT


def is_late(ttl: Any, deadline: Any, now: int) -> bool:
    """Return whether a read renews the TTL: only by more than 1% of the TTL, since reads should seldom write."""
    return deadline is not None and bounds.whole(deadline) < now + bounds.whole(ttl, bounds.END_OF_ORDERS) * 990


def renew(connection: Connection, request: Any, now: int) -> None:
    """Renew the TTL of a thread."""
    connection.execute(
        "UPDATE zerograph_redis_threads SET deadline = MAX(?2 + ttl * 1000, "
        "COALESCE((SELECT deadline FROM zerograph_redis_leases WHERE thread = ?1), 0)) WHERE thread = ?1 AND deadline > ?2",
        (escape(request.thread), now),
    )


def delete_rows(connection: Connection, number: int) -> None:
    """Delete every row of the thread with this number."""
    for table in CONTENT:
        connection.execute(f"DELETE FROM {table} WHERE thread = ?", (number,))  # noqa: S608 - our own table names
    connection.execute("DELETE FROM zerograph_redis_threads WHERE number = ?", (number,))


def delete_thread_rows(connection: Connection, thread: str) -> None:
    """Delete every row of an escaped thread, expired or not."""
    row = connection.execute("SELECT number FROM zerograph_redis_threads WHERE thread = ?", (thread,)).fetchone()
    if row is not None:
        delete_rows(connection, row[0])


def delete_thread(connection: Connection, request: DeleteThread, now: int) -> bool:
    """Delete a thread, unless its last write was not at *updated*."""
    leases.check_fence(connection, request, now)
    row = connection.execute(
        "SELECT number, updated FROM zerograph_redis_threads WHERE thread = ?", (escape(request.thread),)
    ).fetchone()
    if row is None:
        return True
    if request.updated not in {None, row[1]}:
        return False
    delete_rows(connection, row[0])
    return True


def forget_thread(connection: Connection, request: ForgetThread, now: int) -> None:
    """Delete the rows of a thread if it has expired."""
    thread = escape(request.thread)
    if not number_of(connection, thread, now):
        delete_thread_rows(connection, thread)


def printable_name(stored: Any) -> str:
    """Return printable text for a value that is stored as the id of a thread, and is no id."""
    if isinstance(stored, bytes):
        return stored.decode("utf-8", "backslashreplace")
    return str(stored).encode("utf-8", "backslashreplace").decode()
