"""The leases of threads: take, renew, release and break them, and check them at every write."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.refusals import lease_held, lease_lost
from zerograph_redis.core.requests import DeleteThread, Leased, LeaseThread
from zerograph_redis.ids import escape, read_name

KEPT = 86_400_000_000  # µs that an ended lease is kept; without it, later tokens are larger too, as they grow with the clock


def check_fence(connection: Connection, request: Any, now: int) -> int:
    """Refuse a write without a token while a worker holds the thread, or with a token that is not the current one.

    Returns the deadline of the thread's last lease, 0 if it has none.
    """
    thread = escape(request.thread)
    try:
        return _check(request, _row(connection, thread), now)
    except bounds.UNREADABLE:
        # No worker can hold an unreadable lease, so a damaged thread can be deleted in spite of it.
        if not isinstance(request, DeleteThread):
            raise
        connection.execute("DELETE FROM zerograph_redis_leases WHERE thread = ?", (thread,))
        return _check(request, _NO_LEASE, now)


_NO_LEASE = (0, 0, "-", "")
"""Token, deadline, attempt and owner of a thread without a lease."""


def _row(connection: Connection, thread: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(
        "SELECT token, deadline, attempt, owner FROM zerograph_redis_leases WHERE thread = ?", (thread,)
    ).fetchone()
    return _NO_LEASE if row is None else row


def _check(request: Any, lease: tuple[Any, ...], now: int) -> int:
    token, deadline, _, owner = lease
    left = bounds.whole(deadline) - now
    if request.fence is None:
        if left > 0:
            raise lease_held(request.thread, read_name(owner), left / 1_000_000)
    elif left <= 0 or bounds.whole(token) != request.fence:
        raise lease_lost(request.thread, read_name(owner) if left > 0 else "")
    return now + left


def remaining(connection: Connection, thread: str, now: int) -> tuple[int, str]:
    """For how many ms a worker still holds an escaped thread, and its name."""
    _, deadline, _, owner = _read(connection, thread)
    left = max((deadline - now + 999) // 1000, 0)
    return left, owner if left else ""


def _read(connection: Connection, thread: str) -> tuple[int, int, str, str]:
    """Return token, deadline, attempt and owner of the last lease of a thread."""
    token, deadline, attempt, owner = _row(connection, thread)
    return bounds.whole(token), bounds.whole(deadline), bounds.text(attempt), read_name(owner)


def lease_thread(connection: Connection, request: LeaseThread, now: int) -> Leased:
    """Take, renew, release, break or read a lease: as lease_thread.lua does."""
    thread = escape(request.thread)
    try:
        token, deadline, attempt, owner = _read(connection, thread)
    except bounds.UNREADABLE:
        # No worker can hold an unreadable lease, so it may be broken. The next token is larger all the same: see KEPT.
        if request.action != "break":
            raise
        token, deadline, attempt, owner = 0, now + 1, "-", ""
    is_held = deadline > now
    is_ours = is_held and (request.token == token or request.attempt == attempt)
    if request.action == "take" and not is_held:
        token, attempt, owner = max(now, token + 1), request.attempt, request.owner
        is_ours = True
    if is_ours and request.action in {"take", "renew"}:
        deadline = now + request.ttl * 1000
    elif is_ours and request.action == "release":
        deadline = 0
    elif is_held and request.action == "break":
        deadline, attempt, is_ours = 0, request.attempt, True
    left = max(-(-(deadline - now) // 1000), 0)
    if is_ours:
        connection.execute("DELETE FROM zerograph_redis_leases WHERE deadline < ?", (now - KEPT,))
        connection.execute(
            "INSERT OR REPLACE INTO zerograph_redis_leases VALUES (?, ?, ?, ?, ?)",
            (thread, token, deadline or now, attempt, escape(owner)),
        )
        if left:
            # Holding a thread renews its TTL.
            connection.execute(
                "UPDATE zerograph_redis_threads SET deadline = ?1 + MAX(ttl, ?2) * 1000 WHERE thread = ?3 AND deadline > ?1",
                (now, left, thread),
            )
    return Leased(token, attempt, owner, left)
