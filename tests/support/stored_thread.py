"""The stored bytes of an encrypted thread, read and replaced without a saver."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import redis

from support.facts import FACTS, note_of, pack_facts, unpack_facts
from zerograph_redis import EncryptedSerializer, RedisSaver, SqliteSaver

KEYS = {"k": bytes(range(32))}
THREAD = "t"
Place = tuple[str, str]
"""Namespace and id of a checkpoint."""


@dataclass
class StoredThread:
    """The stored bytes of a thread, in one form for every store."""

    checkpoints: dict[Place, tuple[str, bytes]] = field(default_factory=dict)
    """The order in the index, and the record, which contains its order too."""
    writes: dict[Place, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    """Identity and record of each pending write."""
    headers: dict[Place, bytes] = field(default_factory=dict)
    """The bytes before the identities in a list of pending writes, in Redis."""
    logs: dict[str, bytes] = field(default_factory=dict)
    facts: dict[bytes, bytes] = field(default_factory=dict)
    """The hash of the thread in Redis."""

    def set_order(self, place: Place, order: str) -> None:
        """Move a checkpoint, in the index and in its record."""
        record = self.checkpoints[place][1]
        self.checkpoints[place] = (order, record[:1] + order.encode() + record[17:])


class AttackedStore(Protocol):
    """A store under attack."""

    def open(self, *, other: bool = False) -> Any:
        """Open a saver of this store or of the *other*."""

    def load(self, thread: str, *, other: bool = False) -> StoredThread:
        """Read a thread."""

    def save(self, stored: StoredThread) -> None:
        """Replace the thread."""


class AttackedRedis:
    """A real server; the other store is another prefix."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def open(self, *, other: bool = False) -> Any:
        options = {"prefix": "other"} if other else {}
        return RedisSaver(self.client, serializer=EncryptedSerializer(KEYS), **options)

    def _key(self, kind: str, thread: str = THREAD, prefix: str = "zerograph") -> str:
        return f"{prefix}:{{{thread}}}:{kind}"

    def load(self, thread: str, *, other: bool = False) -> StoredThread:
        stored, prefix = StoredThread(), "other" if other else "zerograph"
        keys = {kind: self._key(kind, thread, prefix) for kind in ("thread", "index", "checkpoints", "writes")}
        orders = {}
        for member in self.client.zrange(keys["index"], 0, -1):
            ns, order, name = member.decode().split("\x1f")
            orders[ns, name] = order
        for name, record in self.client.hgetall(keys["checkpoints"]).items():
            where = tuple(name.decode().split("\x1f"))
            stored.checkpoints[where] = (orders[where], record)
        fields = self.client.hgetall(keys["writes"])
        for name, manifest in fields.items():
            if name.count(b"\x1f") == 1:
                header, *identities, _ = manifest.split(b"\x1f")
                where = tuple(name.decode().split("\x1f"))
                records = [fields[b"%b\x1f%d" % (name, number + 1)] for number in range(len(identities))]
                stored.writes[where] = list(zip(identities, records, strict=True))
                stored.headers[where] = header
        for log in "01":
            data = self.client.get(self._key(f"log:{log}", thread, prefix))
            if data:
                stored.logs[log] = data
        stored.facts = self.client.hgetall(keys["thread"])
        return stored

    def save(self, stored: StoredThread) -> None:
        pipe = self.client.pipeline()
        pipe.delete(*(self._key(kind) for kind in ("thread", "index", "checkpoints", "writes", "log:0", "log:1")))
        fields = {name: value for name, value in stored.facts.items() if not name.endswith(b"\x1f")}
        counts = Counter(ns for ns, _ in stored.checkpoints)
        for ns in counts:
            order, name, record = max(
                (order, name, record) for (space, name), (order, record) in stored.checkpoints.items() if space == ns
            )
            fields[f"{ns}\x1f".encode()] = order.encode() + note_of(record, name.encode())[16:]
        facts = unpack_facts(fields[FACTS])
        facts |= {"checkpoints": str(len(stored.checkpoints)), "namespaces": str(len(counts))}
        facts |= {"written": str(len(stored.writes))}
        facts["order"] = max(facts["order"], *(order for order, _ in stored.checkpoints.values()))
        fields[FACTS] = pack_facts(facts)
        pipe.hset(self._key("thread"), mapping=fields)
        for (ns, name), (order, record) in stored.checkpoints.items():
            pipe.zadd(self._key("index"), {f"{ns}\x1f{order}\x1f{name}": 0})
            pipe.hset(self._key("checkpoints"), f"{ns}\x1f{name}", record)
        for (ns, name), rows in stored.writes.items():
            size = sum(len(record) for _, record in rows)
            version, _, _, *rest = stored.headers.get((ns, name), b"1:0:0").split(b":")
            header = b":".join((version, b"%d" % len(rows), b"%d" % size, *rest))
            manifest = b"\x1f".join((header, *(identity for identity, _ in rows), b""))
            pipe.hset(self._key("writes"), f"{ns}\x1f{name}", manifest)
            for number, (_, record) in enumerate(rows, 1):
                pipe.hset(self._key("writes"), f"{ns}\x1f{name}\x1f{number}", record)
        for log, data in stored.logs.items():
            pipe.set(self._key(f"log:{log}"), data)
        pipe.execute()


class AttackedSqlite:
    """Files; the other store is another file, of another name."""

    def __init__(self, directory: Path) -> None:
        self._paths = {other: directory / f"{other}.db" for other in (False, True)}

    def open(self, *, other: bool = False) -> Any:
        serializer = EncryptedSerializer(KEYS, store="other" if other else None)
        return SqliteSaver(self._paths[other], serializer=serializer)

    @contextmanager
    def _connected(self, *, other: bool) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._paths[other], isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def load(self, thread: str, *, other: bool = False) -> StoredThread:
        stored = StoredThread()
        with self._connected(other=other) as connection:
            number = _number(connection, thread)
            for ns, name, position, record in connection.execute(
                "SELECT namespace, id, position, record FROM zerograph_redis_checkpoints WHERE thread = ?", (number,)
            ):
                stored.checkpoints[ns, name] = (f"{position:016x}", record)
            for ns, name, identity, record in connection.execute(
                "SELECT namespace, id, identity, record FROM zerograph_redis_writes WHERE thread = ? ORDER BY number",
                (number,),
            ):
                stored.writes.setdefault((ns, name), []).append((identity.encode(), record))
            for generation, start, data in connection.execute(
                "SELECT generation, start, data FROM zerograph_redis_logs WHERE thread = ? ORDER BY generation, start",
                (number,),
            ):
                log = stored.logs.setdefault(f"{generation:016x}", b"")
                assert len(log) == start
                stored.logs[f"{generation:016x}"] = log + data
        return stored

    def save(self, stored: StoredThread) -> None:
        with self._connected(other=False) as connection:
            connection.execute("BEGIN IMMEDIATE")
            number = _number(connection, THREAD)
            for table in ("checkpoints", "writes", "logs"):
                connection.execute(f"DELETE FROM zerograph_redis_{table} WHERE thread = ?", (number,))
            connection.executemany(
                "INSERT OR IGNORE INTO zerograph_redis_checkpoints (thread, namespace, id, position, record) "
                "VALUES (?, ?, ?, ?, ?)",
                [(number, *where, int(order, 16), record) for where, (order, record) in stored.checkpoints.items()],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO zerograph_redis_writes (thread, namespace, id, identity, record) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (number, *where, identity.decode(), record)
                    for where, rows in stored.writes.items()
                    for identity, record in rows
                ],
            )
            connection.executemany(
                "INSERT INTO zerograph_redis_logs (thread, generation, start, stop, data) VALUES (?, ?, 0, ?, ?)",
                [(number, int(log, 16), len(data), data) for log, data in stored.logs.items()],
            )
            connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, thread: str) -> int:
    """The number of a thread in the tables."""
    return connection.execute("SELECT number FROM zerograph_redis_threads WHERE thread = ?", (thread,)).fetchone()[0]
