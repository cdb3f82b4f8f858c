"""The requests about whole threads, and the row that every thread has: its order, its times, its deadline."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.refusals import asked_for
from zerograph_redis.core.requests import (
    DeleteThread,
    DescribeThread,
    DescribeThreads,
    ForgetThread,
    IndexCursor,
    IndexedThread,
    IndexPage,
    ListThreads,
    Request,
    ThreadFacts,
)
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import escape, read_name

from . import leases

MOMENT = 16_000_000  # µs in which the place of a thread in the index of last writes stays the same
SWEPT = 2  # expired threads that are removed at a time
CONTENT = (
    "zerograph_redis_checkpoints",
    "zerograph_redis_writes",
    "zerograph_redis_logs",
    "zerograph_redis_older_logs",
)


def number_of(connection: sqlite3.Connection, thread: str, now: int) -> int:
    """The number of an escaped thread that is stored and not expired; 0 if there is none."""
    row = connection.execute(
        "SELECT number FROM zerograph_redis_threads WHERE thread = ? AND (deadline IS NULL OR deadline > ?)",
        (thread, now),
    ).fetchone()
    return 0 if row is None else bounds.whole(row[0], 1 << 63)


@dataclass(slots=True)
class Facts:
    """What a write has to know of a thread, and changes: see `schema`."""

    number: int = 0
    """Names its rows; 0 if there are none."""
    last_order: int = 0
    generation: int = 0
    length: int = 0
    dropped: int = 0
    live: int = 0
    gone: int = 0
    moment: int = 0
    lease_deadline: int = field(default=0, kw_only=True)
    """A thread lives at least for as long as somebody holds it."""


FACTS = "threads.number, last_order, generation, length, dropped, live, gone, moment, threads.deadline, leases.token"
"""The columns that `read_facts` reads, of `threads` and the `leases` joined to it."""

_LOAD = (
    f"SELECT {FACTS} FROM zerograph_redis_threads AS threads "  # noqa: S608 - our own words
    "LEFT JOIN zerograph_redis_leases AS leases USING (thread) WHERE thread = ?"
)


def load_facts(connection: sqlite3.Connection, request: Any, thread: str, now: int) -> Facts:
    """Read what a write has to know of a thread; refuse one that its lease does not permit; remove one that expired."""
    return read_facts(connection, request, connection.execute(_LOAD, (thread,)).fetchone(), now)


def read_facts(connection: sqlite3.Connection, request: Any, row: Sequence[Any] | None, now: int) -> Facts:
    """Do what `load_facts` does, for the row of the thread if there is one; it begins with `FACTS`."""
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


def start_thread(connection: sqlite3.Connection, thread: str, facts: Facts, now: int) -> None:
    """Make the row of a thread that has none."""
    facts.number, facts.moment = new_number(connection, now), now // MOMENT
    connection.execute(
        "INSERT INTO zerograph_redis_threads (number, thread, created, updated, moment) VALUES (?1, ?2, ?3, ?3, ?4)",
        (facts.number, thread, now, facts.moment),
    )


def new_number(connection: sqlite3.Connection, now: int) -> int:
    """Return a number for a new thread: the time, or the first after it that no thread has."""
    number = now
    while connection.execute("SELECT 1 FROM zerograph_redis_threads WHERE number = ?", (number,)).fetchone():
        number += 1
    return number


_SAVE_ALL = (
    "UPDATE zerograph_redis_threads SET last_order = ?, updated = ?, ttl = ?, deadline = ?, generation = ?, length = ?, "
    "dropped = ?, live = ?, gone = ?{} WHERE number = ?"
)
_SAVE, _SAVE_MOMENT = _SAVE_ALL.format(""), _SAVE_ALL.format(", moment = ?")


def save_write(connection: sqlite3.Connection, facts: Facts, ttl: int | None, now: int) -> None:
    """Note a write to a thread, and give it its deadline."""
    deadline = None if ttl is None else max(now + ttl * 1000, facts.lease_deadline)
    changed = (
        facts.last_order, now, ttl, deadline, facts.generation, facts.length, facts.dropped, facts.live, facts.gone
    )  # fmt: skip
    moment = now // MOMENT
    if moment == facts.moment:
        connection.execute(_SAVE, (*changed, facts.number))
    else:
        connection.execute(_SAVE_MOMENT, (*changed, moment, facts.number))


def save_log(connection: sqlite3.Connection, facts: Facts) -> None:
    """Note what became of the log of a thread, which is no use of the thread."""
    connection.execute(
        "UPDATE zerograph_redis_threads SET generation = ?, length = ?, dropped = ?, live = ?, gone = ? WHERE number = ?",
        (facts.generation, facts.length, facts.dropped, facts.live, facts.gone, facts.number),
    )


def sweep(connection: sqlite3.Connection, now: int) -> bool:
    """Remove a few threads that expired. Returns whether there may be more."""
    expired = connection.execute(
        "SELECT number FROM zerograph_redis_threads WHERE deadline <= ? LIMIT ?", (now, SWEPT)
    ).fetchall()
    for (each,) in expired:
        delete_rows(connection, each)
    return len(expired) == SWEPT


def is_late(ttl: Any, deadline: Any, now: int) -> bool:
    """Tell whether a read moves a thread's deadline, by more than a hundredth of its ttl: a read should seldom write."""
    return deadline is not None and bounds.whole(deadline) < now + bounds.whole(ttl, bounds.END_OF_ORDERS) * 990


def refresh(connection: sqlite3.Connection, request: Any, now: int) -> None:
    """Move a thread's deadline to where its ttl puts it from now."""
    connection.execute(
        "UPDATE zerograph_redis_threads SET deadline = MAX(?2 + ttl * 1000, "
        "COALESCE((SELECT deadline FROM zerograph_redis_leases WHERE thread = ?1), 0)) WHERE thread = ?1 AND deadline > ?2",
        (escape(request.thread), now),
    )


def delete_rows(connection: sqlite3.Connection, number: int) -> None:
    """Remove every row of the thread that has a number."""
    for table in CONTENT:
        connection.execute(f"DELETE FROM {table} WHERE thread = ?", (number,))  # noqa: S608 - our own table names
    connection.execute("DELETE FROM zerograph_redis_threads WHERE number = ?", (number,))


def delete_thread_rows(connection: sqlite3.Connection, thread: str) -> None:
    """Remove every row of an escaped thread, if there is any."""
    row = connection.execute("SELECT number FROM zerograph_redis_threads WHERE thread = ?", (thread,)).fetchone()
    if row is not None:
        delete_rows(connection, row[0])


def delete_thread(connection: sqlite3.Connection, request: DeleteThread, now: int) -> bool:
    """Remove a thread, unless it was written since *updated*."""
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


def forget_thread(connection: sqlite3.Connection, request: ForgetThread, now: int) -> None:
    """Remove what is left of an expired thread."""
    thread = escape(request.thread)
    if not number_of(connection, thread, now):
        delete_thread_rows(connection, thread)


def list_threads(connection: sqlite3.Connection, request: ListThreads, now: int) -> IndexPage:
    """List threads by last write."""
    cursor = request.cursor
    behind, bound = "", ()
    if cursor is not None:
        # Whatever is in a column has a place in SQLite's order.
        updated = cursor.updated
        place = updated if isinstance(updated, tuple) else _place_of(connection, cursor.name, updated)
        bound = (*place, cursor.name)
        behind = "moment <= ?1 AND (moment, updated, thread) < (?1, ?2, ?3) AND"
    rows = connection.execute(
        f"SELECT moment, updated, thread FROM zerograph_redis_threads WHERE {behind} thread >= ? "  # noqa: S608 - our own
        "AND (deadline IS NULL OR deadline > ?) ORDER BY moment DESC, updated DESC, thread DESC LIMIT ?",
        (*bound, " ", now, request.limit),
    ).fetchall()
    found, odd = [], []
    for _, updated, thread in rows:
        try:
            found.append(IndexedThread(updated if type(updated) is int else 0, read_name(thread)))
        except bounds.UNREADABLE:
            odd.append(shown_name(thread))
    last = IndexCursor(rows[-1][:2], rows[-1][2]) if len(rows) == request.limit else None
    return IndexPage(found, last, odd)


def _place_of(connection: sqlite3.Connection, thread: Any, updated: int) -> tuple[Any, Any]:
    """Where in the list a thread stands that was written last at a time; elsewhere, if its row says two times."""
    row = connection.execute(
        "SELECT moment, updated FROM zerograph_redis_threads WHERE thread = ? AND moment IS NOT updated / ?",
        (thread, MOMENT),
    ).fetchone()
    return (updated // MOMENT, updated) if row is None else row


def shown_name(stored: Any) -> str:
    """Spell what stands where the id of a thread should be."""
    if isinstance(stored, bytes):
        return stored.decode("utf-8", "backslashreplace")
    return str(stored).encode("utf-8", "backslashreplace").decode()


def describe_thread(connection: sqlite3.Connection, request: DescribeThread, now: int) -> ThreadFacts | None:
    """Count what a thread holds."""
    thread = escape(request.thread)
    row = connection.execute(
        "SELECT number, created, updated, deadline, ttl, last_order, origin FROM zerograph_redis_threads "
        "WHERE thread = ?1 AND (deadline IS NULL OR deadline > ?2)",
        (thread, now),
    ).fetchone()
    if row is None:
        return None
    number, created, updated, deadline, lifetime, order, origin = row
    checkpoints, namespaces, size = connection.execute(
        "SELECT COUNT(*), COUNT(DISTINCT namespace), COALESCE(SUM(LENGTH(record)), 0) "
        "FROM zerograph_redis_checkpoints WHERE thread = ?",
        (number,),
    ).fetchone()
    (beside,) = connection.execute(
        "SELECT (SELECT COALESCE(SUM(LENGTH(record)), 0) FROM zerograph_redis_writes WHERE thread = ?1) "
        "+ (SELECT COALESCE(SUM(stop - start), 0) FROM zerograph_redis_logs WHERE thread = ?1)",
        (number,),
    ).fetchone()
    return ThreadFacts(
        bounds.whole(created, bounds.END_OF_ORDERS),
        bounds.whole(updated, bounds.END_OF_ORDERS),
        checkpoints,
        namespaces,
        bounds.whole(size + beside),
        None if deadline is None else (bounds.whole(deadline) - now) // 1000,
        None if lifetime is None else bounds.whole(lifetime, bounds.END_OF_ORDERS),
        f"{bounds.whole(order, bounds.END_OF_ORDERS):016x}",
        None if origin is None else bounds.text(origin),
        *leases.remaining(connection, thread, now),
    )


def describe_threads(
    connection: sqlite3.Connection, request: DescribeThreads, now: int
) -> list[ThreadFacts | CorruptCheckpointError | None]:
    """Count what each thread holds."""
    return [_described(connection, DescribeThread(thread), now) for thread in request.threads]


def _described(
    connection: sqlite3.Connection, request: DescribeThread, now: int
) -> ThreadFacts | CorruptCheckpointError | None:
    try:
        return describe_thread(connection, request, now)
    except bounds.UNREADABLE as error:
        return bounds.unreadable(asked_for(request), error)
    except sqlite3.OperationalError as error:
        if "integer overflow" not in str(error):
            raise
        return bounds.unreadable(asked_for(request), error)


Answer = Callable[[sqlite3.Connection, Any, int], Any]

READS: Mapping[type[Request[Any]], Answer] = {
    ListThreads: list_threads,
    DescribeThread: describe_thread,
    DescribeThreads: describe_threads,
}
WRITES: Mapping[type[Request[Any]], Answer] = {
    DeleteThread: delete_thread,
    ForgetThread: forget_thread,
}
