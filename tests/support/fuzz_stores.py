"""The stores of the fuzz: each corrupts one place of the thread ``bad``, and restores itself afterwards."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import redis

from support import mutating
from support.data import at, everything, state
from support.mutating import US, junk, near
from support.servers import RedisServer
from zerograph_redis import EncryptedSerializer, RedisSaver, SqliteSaver
from zerograph_redis.core.bounds import UNREADABLE

SOUND = ("sound-0", "sound-1")
NAMESPACES = ("", "sub")
SLOW = 50_000  # µs that a script may take
serializer = EncryptedSerializer({"test": bytes(range(32))})
"""Of encrypted stores; commands find it with ``--types support.fuzz_stores``."""


def fill(saver: Any, thread: str) -> None:
    """Store a thread with two namespaces, pending writes and an expired lease."""
    texts: list[str] = []
    for namespace in NAMESPACES:
        config = at(thread, namespace)
        for number in range(3):
            texts.append(f"{number} of {thread}: " + "some words of a chat " * 40)
            checkpoint = state(f"{namespace}c{number}", texts=list(texts), n=number, _step=number)
            config = saver.put(config, checkpoint, {"step": number, "source": "loop"})
        saver.put_writes(config, [("t", "channel", {"x": number}), ("t", "__interrupt__", "really?")], "t")
    with saver.lease(thread, ttl=3600):
        pass  # its fields stay


class FuzzedStore:
    """A store whose thread ``bad`` can be corrupted, and that can be restored."""

    name: str
    url: str

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.encrypts = "serializer" in self.options

    def open(self) -> Any:
        """Open a saver with empty caches."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Store the threads, and take a snapshot."""
        with closing(self.open()) as saver:
            for thread in (SOUND[0], "bad", SOUND[1]):
                fill(saver, thread)
            self.sound = {thread: everything(saver, thread, *NAMESPACES) for thread in SOUND}
        self.take_snapshot()
        self.base = self.snapshot

    def take_snapshot(self) -> None:
        """Remember all that is stored now."""
        raise NotImplementedError

    def restore(self) -> None:
        """Return to the last snapshot."""
        raise NotImplementedError

    def corrupt(self, rng: Random) -> str:
        """Change something in ``bad``; returns a description."""
        raise NotImplementedError

    def slow_scripts(self) -> list[str]:
        """Scripts that blocked the server for long, since the last call."""
        return []

    def close(self) -> None:
        """Remove the store."""

    def _record(self, rng: Random, namespace: str, name: str, stored: bytes) -> bytes:
        if not self.encrypts and rng.randrange(3):
            with suppress(*UNREADABLE):  # it was corrupted before
                return mutating.forged_record(rng, namespace, name, stored)
        return near(rng, stored)

    def _write(self, rng: Random, namespace: str, name: str, identity: str, stored: bytes) -> bytes:
        forgeable = not self.encrypts and rng.randrange(2)
        return mutating.forged_write(rng, namespace, name, identity) if forgeable else near(rng, stored)


class FuzzedRedis(FuzzedStore):
    """A whole server."""

    name = "redis"

    def __init__(self, options: dict[str, Any], server: RedisServer) -> None:
        super().__init__(options)
        self.url = server.url
        self._client = server.client()
        self._client.flushall()
        self._client.config_set("slowlog-log-slower-than", SLOW)
        self._client.slowlog_reset()

    def open(self) -> Any:
        return RedisSaver(self._client, ttl=3600, **self.options)

    def take_snapshot(self) -> None:
        keys = sorted(self._client.keys())
        self.snapshot: Any = {key: (self._client.dump(key), max(self._client.pttl(key), 0)) for key in keys}

    def restore(self) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.flushdb()
            for key, (dump, ttl) in self.snapshot.items():
                if dump is not None:
                    pipeline.restore(key, ttl, dump)
            pipeline.execute()

    def close(self) -> None:
        self._client.close()

    def slow_scripts(self) -> list[str]:
        # A script reads only its thread: with other threads it is slow only where the machine is.
        found = [each for each in self._client.slowlog_get() if b"{bad}" in each["command"][:300]]
        self._client.slowlog_reset()
        return [f"{each['duration']} µs: {each['command'][:200]!r}" for each in found]

    def corrupt(self, rng: Random) -> str:
        try:
            return self._corrupt(rng)
        except (*UNREADABLE, redis.ResponseError):  # an earlier corruption is in the way
            return self._change_type(rng, "zerograph:{bad}:log:1")

    def _corrupt(self, rng: Random) -> str:
        stem = "zerograph:{bad}:"
        kinds = {"thread": 2, "index": 1, "checkpoints": 3, "writes": 2, "log:0": 1, "threads": 1, "type": 1}
        (kind,) = rng.choices(list(kinds), list(kinds.values()))
        if kind == "type":
            return self._change_type(
                rng, stem + rng.choice(("thread", "index", "checkpoints", "writes", "log:0", "log:1"))
            )
        if kind == "threads":
            return self._change_thread_index(rng)
        key = stem + kind
        if kind == "index":
            return self._change_index(rng, key)
        if kind == "log:0":
            log = self._client.get(key) or b""
            self._client.set(key, near(rng, log), keepttl=True)
            return key
        return self._change_field(rng, key, kind)

    def _change_field(self, rng: Random, key: str, kind: str) -> str:
        fields = sorted(self._client.hgetall(key).items())
        name, value = rng.choice(fields)
        if rng.randrange(12) == 0:
            self._client.hdel(key, name)
            return f"{key} without {name!r}"
        if rng.randrange(12) == 0:
            name = near(rng, name)
        elif rng.randrange(4) == 0:
            value = junk(rng)
        elif kind == "thread":
            value = rng.choice(
                (*mutating.NUMBERS, junk(rng), near(rng, value), *[mutating.other_words(rng, value)] * 9)
            )
        elif kind == "checkpoints":
            value = self._record(rng, *map(bytes.decode, name.split(US)), value)
        elif name.count(US) == 1:
            value = self._manifest(rng, value)
        else:
            namespace, checkpoint, number = name.split(US)
            manifest = self._client.hget(key, namespace + US + checkpoint)
            identity = manifest.split(US)[int(number)].decode()
            value = self._write(rng, namespace.decode(), checkpoint.decode(), identity, value)
        self._client.hset(key, name, value)
        return f"{key} {name[:80]!r} = {value[:80]!r}"

    def _manifest(self, rng: Random, sound: bytes) -> bytes:
        if rng.randrange(3) == 0:
            return near(rng, sound)
        count, size = rng.choice(mutating.NUMBERS), rng.choice(mutating.NUMBERS)
        identities = rng.choice((sound.partition(US)[2], US * rng.randrange(100), junk(rng), b""))
        return b"1:%b:%b%b%b" % (count, size, US, identities)

    def _change_index(self, rng: Random, key: str) -> str:
        member = rng.choice(sorted(self._client.zrange(key, 0, -1)))
        match rng.randrange(4):
            case 0:
                self._client.zrem(key, member)
                return f"{key} without {member!r}"
            case 1:
                self._client.zadd(key, {member: rng.choice((1, -1, "inf", 1e300))})
                return f"{key} with another score of {member!r}"
            case _:
                if rng.randrange(2):
                    self._client.zrem(key, member)
                odd = rng.choice((junk(rng), near(rng, member)))
                self._client.zadd(key, {odd: 0})
                return f"{key} {odd[:80]!r}"

    def _change_thread_index(self, rng: Random) -> str:
        key = rng.choice(("zerograph:threads", "zerograph:deadlines"))
        score = rng.choice((0, -1, 1.5, "inf", "-inf", 1e300, 2**53, time.time() * 1e6, time.time() * 1e3))
        members = [rng.choice((b"bad", junk(rng), near(rng, b"bad")))]
        if rng.randrange(4) == 0:
            members = [b"%d\xff" % number for number in range(1300)]
        elif rng.randrange(4) == 0:
            members = [b"odd %d" % number for number in range(300)]
        members = [each for each in members if each.decode("utf-8", "replace") not in SOUND]
        self._client.zadd(key, dict.fromkeys(members, score))
        return f"{key} {members[0][:80]!r} and {len(members) - 1} more at {score}"

    def _change_type(self, rng: Random, key: str) -> str:
        self._client.delete(key)
        kind = rng.choice(("string", "list", "set", "zset", "hash", "stream", "none"))
        content = junk(rng)
        make: dict[str, Callable[[], Any]] = {
            "string": lambda: self._client.set(key, content),
            "list": lambda: self._client.rpush(key, content),
            "set": lambda: self._client.sadd(key, content),
            "zset": lambda: self._client.zadd(key, {content: 0}),
            "hash": lambda: self._client.hset(key, content, content),
            "stream": lambda: self._client.xadd(key, {content: content}),
            "none": lambda: None,
        }
        make[kind]()
        return f"{key} is a {kind}: {content[:80]!r}"


class FuzzedSqlite(FuzzedStore):
    """A file."""

    name = "sqlite"
    _TABLES = ("threads", "checkpoints", "logs", "older_logs", "leases", "writes")

    def __init__(self, options: dict[str, Any], directory: Path) -> None:
        super().__init__(options)
        self.path = directory / "store.db"
        self.url = f"sqlite:///{self.path}"
        self._saver = SqliteSaver(self.path, ttl=3600, **self.options)
        self._raw = sqlite3.connect(self.path, isolation_level=None)
        self._raw.text_factory = bytes

    def open(self) -> Any:
        return SqliteSaver(self.path, ttl=3600, **self.options)

    def take_snapshot(self) -> None:
        self.snapshot = {
            table: self._raw.execute(f"SELECT {self._columns(table)} FROM zerograph_redis_{table}").fetchall()
            for table in self._TABLES
        }

    def _columns(self, table: str) -> str:
        names = [row[1].decode() for row in self._raw.execute(f"PRAGMA table_info(zerograph_redis_{table})")]
        return ", ".join(f"{name}, typeof({name})" for name in names)

    def restore(self) -> None:
        self._raw.execute("BEGIN IMMEDIATE")
        for table, rows in self.snapshot.items():
            self._raw.execute(f"DELETE FROM zerograph_redis_{table}")
            for row in rows:
                # Text that is not UTF-8 can only be bound as a blob.
                marks = ", ".join("CAST(? AS TEXT)" if kind == b"text" else "?" for kind in row[1::2])
                self._raw.execute(f"INSERT INTO zerograph_redis_{table} VALUES ({marks})", row[::2])
        self._raw.execute("COMMIT")

    def corrupt(self, rng: Random) -> str:
        while True:
            try:
                done = self._corrupt(rng)
            except (*UNREADABLE, sqlite3.IntegrityError):  # a constraint or an earlier corruption is in the way
                continue
            if done:
                return done

    def _corrupt(self, rng: Random) -> str:
        table = rng.choice((*self._TABLES, "checkpoints", "checkpoints", "writes"))
        columns = [row[1].decode() for row in self._raw.execute(f"PRAGMA table_info(zerograph_redis_{table})")]
        named = "'bad'"
        if table not in {"threads", "leases"}:
            named = "(SELECT number FROM zerograph_redis_threads WHERE thread = 'bad')"
        rows = self._raw.execute(f"SELECT * FROM zerograph_redis_{table} WHERE thread = {named}").fetchall()
        if not rows:
            return ""
        row = dict(zip(columns, rng.choice(rows), strict=True))
        column = rng.choice((*columns, "record") if "record" in row else columns)
        where = f"thread = {named}" + "".join(
            f" AND {name} IS ?" if not isinstance(row[name], bytes) else f" AND CAST({name} AS BLOB) IS ?"
            for name in columns
            if name in {"number", "stop", "id", "namespace"}
        )
        keys = [row[name] for name in columns if name in {"number", "stop", "id", "namespace"}]
        value, mark = self._value(rng, table, column, row)
        self._raw.execute(f"UPDATE zerograph_redis_{table} SET {column} = {mark} WHERE {where}", (value, *keys))
        return f"{table}.{column} = {mark} {str(value)[:80]}"

    def _value(self, rng: Random, table: str, column: str, row: dict[str, Any]) -> tuple[Any, str]:
        before = row[column]
        if column == "record" and rng.randrange(3):
            namespace, name = row["namespace"].decode(), row["id"].decode()
            if table == "writes":
                return self._write(rng, namespace, name, row["identity"].decode(), before), "?"
            return self._record(rng, namespace, name, before), "?"
        match rng.randrange(6):
            case 0:
                return None, "?"
            case 1:
                return rng.choice((0, 1, -1, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), 253402300800000000)), "?"
            case 2:
                return rng.choice((0.0, 1.5, -1e308, 1e308, float("inf"))), "?"
            case 3:
                return junk(rng), "?"
            case 4:
                return junk(rng), "CAST(? AS TEXT)"
            case _:
                data = before if isinstance(before, bytes) else str(before).encode()
                return near(rng, data), rng.choice(("?", "CAST(? AS TEXT)"))

    def close(self) -> None:
        self._saver.close()
        self._raw.close()
