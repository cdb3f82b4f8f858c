"""One bad thread among sound ones: anything anywhere in it, and then every method and every command.

Each round restores a store, puts something into one place of the thread ``bad`` that no saver put there, and makes all
calls: none may raise anything but the errors of the package, none may take long, and the other threads stay as they are,
readable and listed. A round is made of its seed alone. It calls every method, and of the commands every third: which,
goes by the seed too.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from importlib import metadata
from io import BytesIO, TextIOWrapper
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import redis
from typer.main import get_command

from support import mutating
from support.data import at, everything, state, thread_ids
from support.mutating import US, junk, near
from support.servers import RedisServer
from zerograph_redis import CheckpointError, EncryptedSerializer, RedisSaver, SqliteSaver
from zerograph_redis.cli.app import app
from zerograph_redis.core.bounds import UNREADABLE
from zerograph_redis.core.drive import run
from zerograph_redis.tools.inspect.watching import Watch

SOUND = ("sound-0", "sound-1")
NAMESPACES = ("", "sub")
KEY = bytes(range(32))
MEMORY = 400 * 1024  # KiB that a round may take more than what was taken before
SLOW = 50_000  # µs that a script may take
WAYS: tuple[dict[str, Any], ...] = ({}, {"compression": "zstd"}, {"encrypted": True})


class Finding(NamedTuple):
    """What should not have happened."""

    seed: int
    mutation: str
    call: str
    what: str
    detail: str = ""


class TooLongError(BaseException):
    """A call took longer than any may."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt a block that takes longer."""

    def end(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def options_of(way: dict[str, Any]) -> dict[str, Any]:
    """The options of a saver."""
    options = dict(way)
    if options.pop("encrypted", False):
        options["serializer"] = EncryptedSerializer({"test": KEY})
    return options


def fill(saver: Any, thread: str) -> None:
    """Store a thread that has some of everything."""
    texts: list[str] = []
    for namespace in NAMESPACES:
        config = at(thread, namespace)
        for number in range(3):
            texts.append(f"{number} of {thread}: " + "all that was said " * 40)
            checkpoint = state(f"{namespace}c{number}", texts=list(texts), n=number, _step=number)
            config = saver.put(config, checkpoint, {"step": number, "source": "loop"})
        saver.put_writes(config, [("t", "channel", {"x": number}), ("t", "__interrupt__", "really?")], "t")
    with saver.lease(thread, ttl=3600):
        pass  # what it was stays written there


class Target:
    """A store whose thread ``bad`` can be spoiled, and put back."""

    name: str
    url: str

    def __init__(self, way: dict[str, Any]) -> None:
        self.options = options_of(way)
        self.encrypts = "serializer" in self.options

    def open(self) -> Any:
        """Open a saver that knows nothing."""
        raise NotImplementedError

    def begin(self) -> None:
        """Store the threads, and remember everything."""
        with closing(self.open()) as saver:
            for thread in (SOUND[0], "bad", SOUND[1]):
                fill(saver, thread)
            self.sound = {thread: everything(saver, thread, *NAMESPACES) for thread in SOUND}
        self.keep()
        self.base = self.kept

    def keep(self) -> None:
        """Remember all that is stored now."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Store again what was remembered last."""
        raise NotImplementedError

    def spoil(self, rng: Random) -> str:
        """Change something in ``bad``; returns a description."""
        raise NotImplementedError

    def slow(self) -> list[str]:
        """What kept the server for long."""
        return []

    def close(self) -> None:
        """Remove the store."""

    def _record(self, rng: Random, namespace: str, name: str, stored: bytes) -> bytes:
        if not self.encrypts and rng.randrange(3):
            with suppress(*UNREADABLE):  # it was spoiled before
                return mutating.forged_record(rng, namespace, name, stored)
        return near(rng, stored)

    def _write(self, rng: Random, namespace: str, name: str, identity: str, stored: bytes) -> bytes:
        forgeable = not self.encrypts and rng.randrange(2)
        return mutating.forged_write(rng, namespace, name, identity) if forgeable else near(rng, stored)


class RedisTarget(Target):
    """A server for one run."""

    name = "redis"

    def __init__(self, way: dict[str, Any], server: RedisServer) -> None:
        super().__init__(way)
        self.url = server.url
        self._client = server.client()
        self._client.flushall()
        self._client.config_set("slowlog-log-slower-than", SLOW)
        self._client.slowlog_reset()

    def open(self) -> Any:
        return RedisSaver(self._client, ttl=3600, **self.options)

    def keep(self) -> None:
        keys = sorted(self._client.keys())
        self.kept: Any = {key: (self._client.dump(key), max(self._client.pttl(key), 0)) for key in keys}

    def put_back(self) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.flushdb()
            for key, (dump, ttl) in self.kept.items():
                if dump is not None:
                    pipeline.restore(key, ttl, dump)
            pipeline.execute()

    def close(self) -> None:
        self._client.close()

    def slow(self) -> list[str]:
        # A script reads one thread alone, so those of others are slow only where the machine is.
        found = [each for each in self._client.slowlog_get() if b"{bad}" in each["command"][:300]]
        self._client.slowlog_reset()
        return [f"{each['duration']} µs: {each['command'][:200]!r}" for each in found]

    def spoil(self, rng: Random) -> str:
        try:
            return self._spoil(rng)
        except (*UNREADABLE, redis.ResponseError):  # it was spoiled before, so that this does not fit there
            return self._retype(rng, "zerograph:{bad}:log:1")

    def _spoil(self, rng: Random) -> str:
        stem = "zerograph:{bad}:"
        kind = rng.choice(
            (
                "thread",
                "thread",
                "index",
                "checkpoints",
                "checkpoints",
                "checkpoints",
                "writes",
                "writes",
                "log:0",
                "list",
                "type",
            )
        )
        if kind == "type":
            return self._retype(rng, stem + rng.choice(("thread", "index", "checkpoints", "writes", "log:0", "log:1")))
        if kind == "list":
            return self._relist(rng)
        key = stem + kind
        if kind == "index":
            return self._reindex(rng, key)
        if kind == "log:0":
            log = self._client.get(key) or b""
            self._client.set(key, near(rng, log), keepttl=True)
            return key
        return self._refield(rng, key, kind)

    def _refield(self, rng: Random, key: str, kind: str) -> str:
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

    def _reindex(self, rng: Random, key: str) -> str:
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

    def _relist(self, rng: Random) -> str:
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

    def _retype(self, rng: Random, key: str) -> str:
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


class SqliteTarget(Target):
    """A file for one run."""

    name = "sqlite"
    _TABLES = ("threads", "checkpoints", "logs", "older_logs", "leases", "writes")

    def __init__(self, way: dict[str, Any], directory: Path) -> None:
        super().__init__(way)
        self.path = directory / "store.db"
        self.url = f"sqlite:///{self.path}"
        self._saver = SqliteSaver(self.path, ttl=3600, **self.options)
        self._raw = sqlite3.connect(self.path, isolation_level=None)
        self._raw.text_factory = bytes

    def open(self) -> Any:
        return SqliteSaver(self.path, ttl=3600, **self.options)

    def keep(self) -> None:
        self.kept = {
            table: self._raw.execute(f"SELECT {self._columns(table)} FROM zerograph_redis_{table}").fetchall()
            for table in self._TABLES
        }

    def _columns(self, table: str) -> str:
        names = [row[1].decode() for row in self._raw.execute(f"PRAGMA table_info(zerograph_redis_{table})")]
        return ", ".join(f"{name}, typeof({name})" for name in names)

    def put_back(self) -> None:
        self._raw.execute("BEGIN IMMEDIATE")
        for table, rows in self.kept.items():
            self._raw.execute(f"DELETE FROM zerograph_redis_{table}")
            for row in rows:
                # A text that is no UTF-8 can be bound as a blob alone.
                marks = ", ".join("CAST(? AS TEXT)" if kind == b"text" else "?" for kind in row[1::2])
                self._raw.execute(f"INSERT INTO zerograph_redis_{table} VALUES ({marks})", row[::2])
        self._raw.execute("COMMIT")

    def spoil(self, rng: Random) -> str:
        while True:
            try:
                done = self._spoil(rng)
            except (*UNREADABLE, sqlite3.IntegrityError):  # a constraint keeps that out, or it was spoiled before
                continue
            if done:
                return done

    def _spoil(self, rng: Random) -> str:
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


Call = Callable[[Any], Any]

READS: dict[str, Call] = {
    "get_tuple": lambda saver: saver.get_tuple(at("bad")),
    "get_tuple of a namespace": lambda saver: saver.get_tuple(at("bad", "sub")),
    "get_tuple by id": lambda saver: saver.get_tuple(at("bad", id="c1")),
    "get": lambda saver: saver.get(at("bad")),
    "get_by_id": lambda saver: saver.get_by_id("subc1", "bad"),
    "get_by_id of all": lambda saver: saver.get_by_id("c2"),
    "get_by_id of none": lambda saver: saver.get_by_id("nowhere"),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at("bad", id="c2")),
    "list": lambda saver: saver.list(at("bad"), limit=None),
    "list before": lambda saver: saver.list(at("bad"), before=at("bad", id="c2")),
    "list filtered": lambda saver: saver.list(at("bad"), filter={"step": 0}),
    "list_threads": lambda saver: saver.list_threads(limit=None),
    "list_threads one by one": lambda saver: _pages(saver),
    "list_threads before": lambda saver: saver.list_threads(before="bad"),
    "watch": lambda saver: _watch(saver, None),
    "watch one": lambda saver: _watch(saver, "bad"),
}
WRITES: dict[str, Call] = {
    "put": lambda saver: saver.put(at("bad", id="c2"), state("new", texts=["all that was said " * 50] * 3), {}),
    "put again": lambda saver: saver.put(at("bad"), state("c1", again=True), {}),
    "put_writes": lambda saver: saver.put_writes(at("bad", id="c2"), [("t", "new", 1), ("t", "channel", 2)], "t"),
    "lease": lambda saver: _lease(saver),
    "break_lease": lambda saver: saver.break_lease("bad"),
    "prune": lambda saver: saver.prune("bad", 1),
    "prune to nothing": lambda saver: saver.prune("bad", 0),
    "copy_thread": lambda saver: saver.copy_thread("bad", "copy"),
    "copy_thread to": lambda saver: saver.copy_thread(SOUND[0], "bad"),
    "delete_thread": lambda saver: saver.delete_thread("bad"),
}
LOOKS: tuple[tuple[str, ...], ...] = (
    ("threads",),
    ("threads", "--json", "--limit", "2"),
    ("threads", "--match", "b"),
    ("history", "bad"),
    ("history", "bad", "--all", "--json"),
    ("show", "bad"),
    ("show", "bad", "c", "--json"),
    ("show", "bad", "@1", "--namespace", "sub"),
    ("diff", "bad"),
    ("diff", "bad", "c0", "c2", "--json"),
    ("stats", "--json"),
    ("stats",),
    ("doctor",),
    ("doctor", "--quick", "--json"),
    ("unlock", "bad"),
    ("prune", "--all", "--keep", "1"),
    ("prune", "bad", "--keep", "1", "--json"),
    ("delete", "--match", "b", "--json"),
    ("delete", "--idle", "1s"),
    ("export", "{directory}/out.zgt", "--json"),
    ("migrate", "{url}", "sqlite:///{directory}/other.db", "--json"),
)
CHANGES: tuple[tuple[str, ...], ...] = (
    ("doctor", "--fix"),
    ("unlock", "bad", "--yes"),
    ("prune", "--all", "--keep", "2", "--yes"),
    ("copy", "bad", "copied"),
    ("import", "{directory}/base.zgt", "--update", "--yes"),
    ("delete", "bad", "--yes"),
)
ACROSS = {("threads",), ("stats",), ("stats", "--json"), ("doctor", "--quick", "--json")}
"""Commands that end well in spite of a bad thread; the doctor has an exit code for problems."""


def _pages(saver: Any) -> Any:
    before, found = None, 0
    while page := saver.list_threads(limit=1, before=before):
        before = page[-1]
        found += 1
        assert found < 10_000, "it never ends"
    return found


def _watch(saver: Any, thread: str | None) -> None:
    watch = Watch(saver.store.settings, thread)
    for _ in range(2):
        run(watch.poll(), saver.store.backend)


def _lease(saver: Any) -> None:
    with saver.lease("bad", ttl=60) as lease:
        saver.put(lease.config(), state("under a lease"), {})


class Fuzz:
    """Rounds on one store."""

    def __init__(self, target: Target, directory: Path, seconds: float) -> None:
        self.target = target
        self.directory = directory
        self.seconds = seconds
        self.findings: list[Finding] = []
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self._commands = get_command(app)
        target.begin()
        self._command("export", "{directory}/base.zgt")

    def play(self, seed: int) -> list[Finding]:
        """Make a round; returns what was found."""
        rng = Random(seed)
        target = self.target
        before = len(self.findings)
        target.kept = target.base
        target.put_back()
        self._seed, self._mutation = seed, "; ".join(target.spoil(rng) for _ in range(rng.choice((1, 1, 1, 2))))
        target.keep()
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        saver = target.open()
        for name, call in READS.items():
            self._attempt(name, lambda call=call: call(saver))
        for arguments in LOOKS[seed // 6 % 3 :: 3]:
            self._look(arguments)
        self._check_sound("reads", saver)
        for name, call in WRITES.items():
            target.put_back()
            fresh = target.open()
            self._attempt(name, lambda call=call, fresh=fresh: call(fresh))
            self._check_sound(name, saver)
        for arguments in CHANGES[seed // 6 % 3 :: 3]:
            target.put_back()
            self._look(arguments)
            if arguments[0] != "prune":
                self._check_sound(" ".join(arguments), saver)
        for slow in target.slow():
            self._find("the server", "slow script", slow)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size > MEMORY:
            self._find("the round", "memory")
        return self.findings[before:]

    def _attempt(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls += 1
        try:
            with limited(self.seconds):
                return call()
        except CheckpointError as error:
            self.errors[type(error).__name__] += 1
            if type(error).__name__ == "BackendUnavailableError":
                self._find(name, "BackendUnavailableError", str(error)[:300])
        except TooLongError:
            self._find(name, f"longer than {self.seconds} s", traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - it is a finding
            self._find(name, type(error).__name__, traceback.format_exc())
        return None

    def _look(self, arguments: Sequence[str]) -> None:
        for made in ("out.zgt", "out.zgt.part", "other.db", "other.db-wal", "other.db-shm"):
            (self.directory / made).unlink(missing_ok=True)
        name = " ".join(arguments)
        code = self._attempt(name, lambda: self._command(*arguments))
        if code not in {None, 0, 1, 4, 5, 6, 2}:
            self._find(name, f"exit code {code}")
        if tuple(arguments) in ACROSS and code not in ({0, 1} if arguments[0] == "doctor" else {0}):
            self._find(name, f"it ends with {code}")

    def _command(self, *arguments: str) -> int:
        given = [each.format(directory=self.directory, url=self.target.url) for each in arguments]
        store = () if arguments[0] == "migrate" else ("--url", self.target.url)
        types = ("--types", "support.fuzz_types") if self.target.encrypts else ()
        out, err = (TextIOWrapper(BytesIO(), "utf-8") for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            code = self._commands.main([*store, *types, "--debug", *given], standalone_mode=False)
        return code or 0

    def _check_sound(self, after: str, saver: Any) -> None:
        for thread, stored in self.target.sound.items():
            found = self._attempt(
                f"{thread} after {after}", lambda thread=thread: everything(saver, thread, *NAMESPACES)
            )
            if found != stored:
                self._find(f"{thread} after {after}", "a sound thread is another")
        listed = self._attempt(f"list_threads after {after}", lambda: thread_ids(saver, limit=None))
        if not set(SOUND) <= set(listed or ()):
            self._find(f"list_threads after {after}", "a sound thread is not listed")

    def _find(self, call: str, what: str, detail: str = "") -> None:
        self.findings.append(Finding(self._seed, self._mutation, call, what, detail))


@contextmanager
def fuzzes(directory: Path, kinds: Sequence[str], seconds: float) -> Iterator[list[Fuzz]]:
    """Make a fuzz of each kind of store: plain, compressed and encrypted."""
    made: list[Fuzz] = []
    servers = []
    os.environ.setdefault("XDG_STATE_HOME", str(directory / "state"))
    logging.getLogger("zerograph_redis").addHandler(logging.NullHandler())
    logging.getLogger("zerograph_redis").propagate = False
    try:
        for number, (kind, way) in enumerate((kind, way) for kind in kinds for way in WAYS):
            place = directory / f"{kind}-{number}"
            place.mkdir()
            if kind == "redis":
                servers.append(RedisServer(place / "server"))
                target: Target = RedisTarget(way, servers[-1].start())
            else:
                target = SqliteTarget(way, place)
            made.append(Fuzz(target, place, seconds))
        yield made
    finally:
        logging.getLogger("zerograph_redis").propagate = True
        for each in made:
            each.target.close()
        for server in servers:
            server.stop()


def main() -> int:
    """Play rounds, in turns on all kinds of stores, and count what was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="how many rounds, over all stores (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first round; each round has the next")
    parser.add_argument("--only", default="redis,sqlite", help="some of redis, sqlite, with commas")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds that a call may take (default 2)")
    parser.add_argument("--show", type=int, default=2, help="how many findings of a round to show (default 2)")
    given = parser.parse_args()
    metadata.version = cache(metadata.version)  # which every connection of redis-py looks up
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    begun = time.monotonic()
    try:
        with fuzzes(directory, given.only.split(","), given.limit) as made:
            for number in range(given.rounds):
                found = made[number % len(made)].play(given.seed + number)
                for finding in found[: given.show]:
                    _say(f"\n--seed {finding.seed}: {finding.mutation}\n{finding.call}: {finding.what}")
                    _say(finding.detail[-2500:])
                if number % 100 == 99:
                    count = sum(len(each.findings) for each in made)
                    _say(f"{number + 1:,} rounds, {time.monotonic() - begun:.0f} s, {count:,} findings")
            return _tell(made, given, time.monotonic() - begun)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _tell(made: list[Fuzz], given: argparse.Namespace, seconds: float) -> int:
    findings = [(each.target.name, finding) for each in made for finding in each.findings]
    calls, errors = sum(each.calls for each in made), sum((each.errors for each in made), Counter[str]())
    _say(f"\n{given.rounds:,} rounds from seed {given.seed}, {calls:,} calls, {seconds:.0f} s")
    _say(f"errors of the tree: {dict(errors)}")
    _say(f"{len(findings):,} findings in {len({finding.seed for _, finding in findings}):,} rounds")
    for (kind, what), count in Counter((kind, finding.what) for kind, finding in findings).most_common():
        _say(f"{count:7,}  {kind:7} {what}")
    return 1 if findings else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
