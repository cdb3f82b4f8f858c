"""Stores that a test opens savers on: one class a backend, the same few methods each."""

from __future__ import annotations

import asyncio
import itertools
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import fakeredis
import pytest
import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode

from support.checking import assert_sound
from support.clusters import Cluster
from support.faces import AsyncFace, SyncFace
from support.rights import PASSWORD, rights_of
from support.servers import RedisServer
from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    EncryptedSerializer,
    InMemorySaver,
    RedisSaver,
    SqliteSaver,
)

KEY = bytes(range(32))


class Store:
    """A place for checkpoints; `open` gives a new saver on it."""

    kind: str
    shared = True
    """Whether two savers of this store see the same threads."""

    def __init__(self, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.keeps_ttl: bool | None = None
        """Whether each key of a thread must have a TTL at the end: if every saver had one, and no config asked for none."""
        self.encrypts = False
        """Whether every saver encrypts."""
        self.queues = False
        """Whether every saver has ``durability="async"``, unless a test chooses another."""
        self.flushes = False
        """Whether what is put through a face is stored when the call returns all the same."""
        self._runner: asyncio.Runner | None = None
        self._opened: list[Any] = []
        self._last: dict[Any, Any] = {}
        """The saver that was opened last on each set of threads."""

    @property
    def runner(self) -> asyncio.Runner:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner

    def open(self, **options: Any) -> Any:
        """Open a saver, and show the face that the test is about."""
        saver = self.open_bare(**options)
        face = AsyncFace(saver, self.runner) if self.asynchronous else SyncFace(saver)
        face.flushes = self.queues and self.flushes
        return face

    def open_bare(self, **options: Any) -> Any:
        """Open a saver."""
        self.keeps_ttl = self.keeps_ttl is not False and options.get("ttl") is not None
        if self.encrypts:
            options["serializer"] = EncryptedSerializer({"test": KEY}, options.get("serializer"))
        if self.queues:
            options.setdefault("durability", "async")
        saver = self._make(options)
        self._opened.append(saver)
        self._last[options.get("prefix") if self.shared else len(self._opened)] = saver
        return saver

    def _make(self, options: dict[str, Any]) -> Any:
        raise NotImplementedError

    def check(self) -> None:
        """Read all that is stored, as the doctor does, and fail if anything is wrong with it."""
        for saver in self._last.values():
            assert_sound(saver)

    def close(self) -> None:
        for saver in self._opened:
            if self.asynchronous:
                self.runner.run(saver.aclose())
            else:
                saver.close()
        self._close()
        if self._runner is not None:
            self._runner.close()

    def _close(self) -> None:
        pass


class MemoryStore(Store):
    kind = "memory"
    shared = False

    def _make(self, options: dict[str, Any]) -> Any:
        kept = dict(options)
        kept.pop("prefix", None)
        return InMemorySaver(max_per_thread=kept.pop("keep_last", None), **kept)


class SqliteStore(Store):
    kind = "sqlite"

    def __init__(self, *, asynchronous: bool, directory: Path) -> None:
        super().__init__(asynchronous=asynchronous)
        self.path = directory / f"{uuid4().hex}.db"

    def _make(self, options: dict[str, Any]) -> Any:
        kept = dict(options)
        kept.pop("prefix", None)
        return (AsyncSqliteSaver if self.asynchronous else SqliteSaver)(self.path, **kept)


class RedisStore(Store):
    """A Redis: keys under a prefix that no other test has, checked when the store is closed."""

    kind = "redis"

    def __init__(self, *, asynchronous: bool, decoded: bool) -> None:
        super().__init__(asynchronous=asynchronous)
        self.decoded = decoded
        self.prefix = f"t{uuid4().hex[:12]}"
        self.prefixes = {self.prefix}
        self._clients: list[Any] = []
        self._async_clients: list[Any] = []

    def client(self, **options: Any) -> redis.Redis:
        """A blocking client, closed with the store."""
        made = self._connect({"decode_responses": False, **options})
        self._clients.append(made)
        return made

    def async_client(self, **options: Any) -> redis.asyncio.Redis:
        """An asyncio client, closed with the store."""
        made = self._aconnect({"decode_responses": False, **options})
        self._async_clients.append(made)
        return made

    def _make(self, options: dict[str, Any]) -> Any:
        options = {"prefix": self.prefix, **options}
        self.prefixes.add(options["prefix"])
        given = {"decode_responses": self.decoded, **self._credentials(options["prefix"])}
        if self.asynchronous:
            return AsyncRedisSaver(self.async_client(**given), **options)
        return RedisSaver(self.client(**given), **options)

    def _credentials(self, prefix: str) -> dict[str, str]:
        """How the clients of savers log in."""
        return {}

    def _connect(self, options: dict[str, Any]) -> redis.Redis:
        raise NotImplementedError

    def _aconnect(self, options: dict[str, Any]) -> redis.asyncio.Redis:
        raise NotImplementedError

    def all_keys(self) -> list[bytes]:
        return list(self.client().scan_iter(count=1000))

    def clear(self) -> None:
        """Remove every key."""
        self.client().flushall()

    def _close(self) -> None:
        client = self.client()
        try:
            keys = self.all_keys()
            stray = [key for key in keys if not any(key.startswith(f"{each}:".encode()) for each in self.prefixes)]
            assert not stray, f"keys outside the prefix: {stray}"
            if self.keeps_ttl:
                # The keys of a thread are those with a hash tag.
                lasting = [key for key in keys if b"{" in key and client.pttl(key) == -1]
                assert not lasting, f"keys of a thread without a TTL: {lasting}"
        finally:
            self.clear()
            for each in self._clients:
                each.close()
            for each in self._async_clients:
                self.runner.run(each.aclose())


class FakeRedisStore(RedisStore):
    kind = "fakeredis"

    def __init__(self, *, asynchronous: bool, decoded: bool) -> None:
        super().__init__(asynchronous=asynchronous, decoded=decoded)
        self._server = fakeredis.FakeServer(version=(7,))

    def _connect(self, options: dict[str, Any]) -> redis.Redis:
        return fakeredis.FakeRedis(server=self._server, **options)

    def _aconnect(self, options: dict[str, Any]) -> redis.asyncio.Redis:
        return fakeredis.FakeAsyncRedis(server=self._server, **options)


class RealRedisStore(RedisStore):
    def __init__(self, *, asynchronous: bool, decoded: bool, server: RedisServer) -> None:
        super().__init__(asynchronous=asynchronous, decoded=decoded)
        self.server = server

    @property
    def url(self) -> str:
        return self.server.url

    def _connect(self, options: dict[str, Any]) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.server.port, **options)

    def _aconnect(self, options: dict[str, Any]) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(host="127.0.0.1", port=self.server.port, **options)


class RestrictedStore(RealRedisStore):
    """A real Redis whose savers may do what the documentation says that they need, with the keys of their prefix alone."""

    def _credentials(self, prefix: str) -> dict[str, str]:
        self.client().execute_command(*rights_of(prefix, prefix))
        return {"username": prefix, "password": PASSWORD}

    def _close(self) -> None:
        for each in self.prefixes:
            self.client().acl_deluser(each)
        super()._close()


class ClusterStore(RedisStore):
    """A real cluster, which other processes of the tests use at the same time, under prefixes of their own."""

    kind = "cluster"

    def __init__(self, *, asynchronous: bool, cluster: Cluster) -> None:
        super().__init__(asynchronous=asynchronous, decoded=False)
        self.cluster = cluster

    @property
    def url(self) -> str:
        return self.cluster.url

    def client(self, **options: Any) -> redis.RedisCluster:
        """The blocking client that all tests of the process share: it takes long to make one."""
        assert not options.get("decode_responses")
        return self.cluster.shared_client

    def _make(self, options: dict[str, Any]) -> Any:
        if not self.asynchronous:
            return super()._make(options)
        options = {"prefix": self.prefix, **options}
        self.prefixes.add(options["prefix"])
        return AsyncRedisSaver(self.async_client(), sync_client=self.client(), **options)

    def _aconnect(self, options: dict[str, Any]) -> redis.asyncio.RedisCluster:
        return redis.asyncio.RedisCluster(
            startup_nodes=[AsyncClusterNode(*node) for node in self.cluster.nodes], **options
        )

    def _found(self) -> list[bytes]:
        """The keys of the tests, but for those of the other processes; every prefix of a test begins alike."""
        keys = self.client().scan_iter(count=1000)
        return [key for key in keys if key.startswith(self.prefix.encode()) or not _OF_A_TEST.match(key)]

    def all_keys(self) -> list[bytes]:
        """The keys but for the shards of the list of threads, which readers and later writers repair."""
        return [key for key in self._found() if not _SHARD.fullmatch(key)]

    def clear(self) -> None:
        if found := self._found():
            self.client().unlink(*found)


_OF_A_TEST = re.compile(rb"t[0-9a-f]{12}")
_SHARD = re.compile(rb"[^{}]*:threads:\{\d+\}")

BACKENDS = ("memory", "sqlite", "fakeredis", "fakeredis-decoded", "redis", "redis-decoded-restricted", "cluster")
FACES = ("sync", "async")
QUEUED_STORES = ("memory-queued-async", "sqlite-queued-sync", "fakeredis-queued-sync", "redis-encrypted-queued-async")
STORES = (
    *(f"{backend}-{face}" for backend, face in itertools.product(BACKENDS, FACES)),
    "redis-encrypted-sync",
    "sqlite-encrypted-sync",
)
SHARED_STORES = tuple(name for name in STORES if not name.startswith("memory"))
REDIS_STORES = tuple(name for name in SHARED_STORES if not name.startswith("sqlite"))
ENGINE_STORES = (
    *(f"{backend}-{face}" for backend in ("memory", "sqlite", "fakeredis", "redis") for face in FACES),
    *QUEUED_STORES,
)
USUAL_STORES = {
    "memory-sync", "sqlite-async", "fakeredis-sync", "redis-decoded-restricted-async", "cluster-sync",
    "redis-encrypted-sync",
}  # fmt: skip
"""Every backend, face, client and option once; the others are tested with --full."""

USUAL_ENGINE_STORES = {"memory-sync", "sqlite-async", "redis-encrypted-queued-async"}

on_one_store = pytest.mark.parametrize("store", ["memory-sync"], indirect=True)
"""For refusals that come before any request to the store."""


def matrix(names: Iterable[str], usual: Collection[str] = USUAL_STORES) -> list[Any]:
    """Return the parameters of a fixture that is any of these stores: the *usual* ones, and with --full all."""
    return [pytest.param(name, marks=() if name in usual else pytest.mark.full) for name in names]


def opened(request: Any) -> Iterator[Store]:
    """The store of a fixture's parameter, for as long as its test lasts."""
    store = make_store(request.param, request)
    store.flushes = request.node.get_closest_marker("stored") is not None
    yield store
    try:
        if request.node.get_closest_marker("unchecked") is None:
            store.check()
    finally:
        store.close()


def fixture_of(*names: str) -> Any:
    """A fixture that is each of these stores in turn. What is stored at the end is not checked."""

    @pytest.fixture(params=names)
    def store(request: pytest.FixtureRequest) -> Iterator[Store]:
        made = make_store(request.param, request)
        yield made
        made.close()

    return store


def make_store(name: str, request: Any) -> Store:
    """Make the store of a parameter such as ``redis-decoded-restricted-async``."""
    backend, *ways, face = name.split("-")
    store = _make(backend, ways, request, asynchronous=face == "async")
    store.encrypts = "encrypted" in ways
    store.queues = "queued" in ways
    return store


def _make(backend: str, ways: Sequence[str], request: Any, *, asynchronous: bool) -> Store:
    decoded = "decoded" in ways
    if backend == "memory":
        return MemoryStore(asynchronous=asynchronous)
    if backend == "sqlite":
        directory = Path(tempfile.mkdtemp(dir=request.getfixturevalue("tmp_path")))
        return SqliteStore(asynchronous=asynchronous, directory=directory)
    if backend == "fakeredis":
        return FakeRedisStore(asynchronous=asynchronous, decoded=decoded)
    if backend == "cluster":
        return ClusterStore(asynchronous=asynchronous, cluster=request.getfixturevalue("cluster"))
    server = request.getfixturevalue("redis_server")
    kind = RestrictedStore if "restricted" in ways else RealRedisStore
    return kind(asynchronous=asynchronous, decoded=decoded, server=server)
