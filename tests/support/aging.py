"""Makes threads and checkpoints older: moves the times in a store back, without the saver knowing."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.facts import change_facts, note_namespaces, read_facts
from support.stores import STORES, Store, matrix
from zerograph_redis.backends.sqlite.thread_rows import PERIOD
from zerograph_redis.ids import escape

US = b"\x1f"

where_orders_can_be_changed = pytest.mark.parametrize(
    "store", matrix(name for name in STORES if "encrypted" not in name), indirect=True
)
"""An encrypted checkpoint has the order that it was stored behind, so readers see that its own was changed."""


def make_older(store: Store, saver: Any, seconds: float, thread: str = "thread", only: Collection[str] = ()) -> None:
    """Make the checkpoints of a thread, or *only* those with these ids, *seconds* older."""
    move = int(seconds * 1_000_000)
    name = escape(thread)
    if store.kind in {"sqlite", "memory"}:
        with transaction(saver) as connection:
            rows = connection.execute(
                "SELECT number, id, position, record FROM zerograph_redis_checkpoints WHERE thread = "
                "(SELECT number FROM zerograph_redis_threads WHERE thread = ?)",
                (name,),
            ).fetchall()
            for number, checkpoint_id, position, record in rows:
                if not only or checkpoint_id in only:
                    older = record[:1] + b"%016x" % (position - move) + record[17:]
                    connection.execute(
                        "UPDATE zerograph_redis_checkpoints SET position = ?, record = ? WHERE number = ?",
                        (position - move, older, number),
                    )
        return
    client, stem = store.client(), f"{store.prefix}:{{{name}}}:"
    for member in client.zrange(stem + "index", 0, -1):
        namespace, order, checkpoint_id = member.split(US)
        if only and checkpoint_id.decode() not in only:
            continue
        older = b"%016x" % (int(order, 16) - move)
        field = US.join((namespace, checkpoint_id))
        record = client.hget(stem + "checkpoints", field)
        client.hset(stem + "checkpoints", field, record[:1] + older + record[17:])
        client.zrem(stem + "index", member)
        client.zadd(stem + "index", {US.join((namespace, older, checkpoint_id)): 0})
    note_namespaces(client, stem)


def make_idle(store: Store, saver: Any, seconds: float, thread: str = "thread") -> None:
    """Make the last write of a thread *seconds* older."""
    move = int(seconds * 1_000_000)
    name = escape(thread)
    if store.kind in {"sqlite", "memory"}:
        with transaction(saver) as connection:
            connection.execute(
                "UPDATE zerograph_redis_threads SET updated = updated - ?1, period = (updated - ?1) / ?2 WHERE thread = ?3",
                (move, PERIOD, name),
            )
        return
    client, key = store.client(), f"{store.prefix}:{{{name}}}:thread"
    updated = int(read_facts(client, key)["updated"]) - move
    change_facts(client, key, updated=updated)
    for listing in _backend(saver).keyspace.shards if store.kind == "cluster" else (f"{store.prefix}:threads",):
        if client.zscore(listing, name) is not None:
            client.zadd(listing, {name: updated})


def _backend(saver: Any) -> Any:
    return getattr(saver, "saver", saver).store.backend


@contextmanager
def transaction(saver: Any) -> Iterator[sqlite3.Connection]:
    """A connection to a SQLite store, to change rows without the saver knowing."""
    seat = _backend(saver)._connections._entry()
    with seat.lock, seat.connection as connection:
        yield connection
