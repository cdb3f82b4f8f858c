"""The leases of threads: taken, renewed, given back, and asked for by every write."""

from __future__ import annotations

import sqlite3

from zerograph_redis.core.refusals import held, lost
from zerograph_redis.core.requests import Fence, Leased, LeaseThread
from zerograph_redis.ids import escape, unescape

__all__ = ("check_fence", "lease_thread")

KEPT = 86_400_000_000  # µs that an ended lease is remembered, though tokens grow with the clock too


def check_fence(connection: sqlite3.Connection, thread: str, fence: Fence, now: int) -> None:
    """Refuse a write that may not be: without a token while anyone holds the thread, or with one that is not current."""
    row = connection.execute(
        "SELECT token, deadline, owner FROM zerograph_redis_leases WHERE thread = ?", (escape(thread),)
    ).fetchone()
    token, deadline, owner = row or (0, 0, "")
    left = deadline - now
    if fence is None:
        if left > 0:
            raise held(thread, unescape(owner), left / 1_000_000)
    elif left <= 0 or token != fence:
        raise lost(thread, unescape(owner) if left > 0 else "")


def lease_thread(connection: sqlite3.Connection, request: LeaseThread, now: int) -> Leased:
    """Take, renew, give back, break or look at a lease: as in lease_thread.lua."""
    thread = escape(request.thread)
    row = connection.execute(
        "SELECT token, deadline, attempt, owner FROM zerograph_redis_leases WHERE thread = ?", (thread,)
    ).fetchone()
    token, deadline, attempt, owner = row or (0, 0, "-", "")
    is_held = deadline > now
    mine = is_held and (request.token == token or request.attempt == attempt)
    if request.action == "take" and not is_held:
        token, attempt, owner = max(now, token + 1), request.attempt, escape(request.owner)
        mine = True
    if mine and request.action in {"take", "renew"}:
        deadline = now + request.ttl * 1000
    elif mine and request.action == "release":
        deadline = 0
    elif is_held and request.action == "break":
        deadline, attempt, mine = 0, request.attempt, True
    left = max(-(-(deadline - now) // 1000), 0)
    if mine:
        connection.execute("DELETE FROM zerograph_redis_leases WHERE deadline < ?", (now - KEPT,))
        connection.execute(
            "INSERT OR REPLACE INTO zerograph_redis_leases VALUES (?, ?, ?, ?, ?)",
            (thread, token, deadline or now, attempt, owner),
        )
        if left:
            # Who holds a thread uses it.
            connection.execute(
                "UPDATE zerograph_redis_threads SET deadline = ?1 + MAX(ttl, ?2) * 1000 WHERE thread = ?3 AND deadline > ?1",
                (now, left, thread),
            )
    return Leased(token, attempt, unescape(owner), left)
