"""Savers for LangGraph, through its interface, where they are installed; ``scripts/bench --peers`` installs them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, ClassVar

import redis

from .backends import Call, FileStore, OurRedis, OurSqlite, ServerStore, Store, opened
from .baselines import EngineMemory, EngineSqlite, RawStore
from .calls import chat_calls, small_calls
from .measure import Progress
from .workloads import Scale, Small, Step, config

CONSTANT = {"user", "done", "topic", "question", "document"}


class LangGraphStore(ServerStore):
    """A saver of LangGraph on a Redis server."""

    package: ClassVar[str]

    def close_worker(self, worker: Any) -> None:
        """See `Store`."""
        worker.bench_client.close()

    @staticmethod
    def put_call(worker: Any, step: Step) -> Call:
        """See `ServerStore`: with a version for each channel, which is new if the step changed it."""
        values = step.checkpoint["channel_values"]
        number = step.checkpoint["_step"] + 1
        versions = {channel: f"{1 if channel in CONSTANT else number:032}.0" for channel in values}
        changed = {c: version for c, version in versions.items() if number == 1 or c not in CONSTANT}
        checkpoint = {
            "v": 4,
            "id": step.checkpoint_id,
            "ts": step.checkpoint["ts"],
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {},
            "updated_channels": list(changed),
        }
        return partial(worker.put, step.parent, checkpoint, step.metadata, changed)

    @staticmethod
    def put_writes_call(worker: Any, step: Step) -> Call:
        """See `ServerStore`."""
        writes = [(channel, value) for _, channel, value in step.writes]
        return partial(worker.put_writes, step.config, writes, step.task)

    @staticmethod
    def list_call(worker: Any, thread: str, limit: int) -> Call:
        """See `ServerStore`."""
        return lambda: list(worker.list(config(thread), limit=limit))


class AwsValkey(LangGraphStore):
    """The Valkey saver of langgraph-checkpoint-aws."""

    name = "AWS Valkey"
    package = "langgraph-checkpoint-aws"

    @classmethod
    def connect(cls, url: str) -> Any:
        """See `ServerStore`."""
        client = import_module("valkey").Valkey.from_url(url)
        return _with_client(import_module("langgraph_checkpoint_aws").ValkeySaver(client), client)


class PlainRedis(LangGraphStore):
    """langgraph-checkpoint-plainredis."""

    name = "plainredis"
    package = "langgraph-checkpoint-plainredis"

    @classmethod
    def connect(cls, url: str) -> Any:
        """See `ServerStore`."""
        client = redis.Redis.from_url(url)
        return _with_client(import_module("langgraph_checkpoint_plainredis").RedisSaver(client), client)


class LangGraphRedis(LangGraphStore):
    """langgraph-checkpoint-redis, which needs RedisJSON and RediSearch on the server."""

    name = "langgraph redis"
    package = "langgraph-checkpoint-redis"

    @classmethod
    def connect(cls, url: str) -> Any:
        """See `ServerStore`."""
        client = redis.Redis.from_url(url)
        saver = import_module("langgraph.checkpoint.redis").RedisSaver(redis_client=client)
        saver.setup()
        return _with_client(saver, client)


def _with_client(saver: Any, client: Any) -> Any:
    """Give a saver the client that `close_worker` closes."""
    saver.bench_client = client
    return saver


class LangGraphWorker:
    """LangGraph's SqliteSaver with the signatures of ZeroGraph's."""

    def __init__(self, path: str) -> None:
        """Open the file at *path*."""
        module = import_module("langgraph.checkpoint.sqlite")
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._saver = module.SqliteSaver(self._connection)
        self.get_tuple = self._saver.get_tuple
        self.delete_thread = self._saver.delete_thread

    def put(self, config: dict[str, Any], checkpoint: dict[str, Any], metadata: dict[str, Any]) -> None:
        """As ZeroGraph's saver does."""
        self._saver.put(config, checkpoint, metadata, {})

    def put_writes(self, config: dict[str, Any], writes: Sequence[tuple[str, str, Any]], task: str) -> None:
        """As ZeroGraph's saver does."""
        self._saver.put_writes(config, [(channel, value) for _, channel, value in writes], task)

    def list(self, config: dict[str, Any], *, limit: int) -> Any:
        """As ZeroGraph's saver does."""
        return list(self._saver.list(config, limit=limit))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class LangGraphSqlite(FileStore):
    """langgraph-checkpoint-sqlite."""

    name = "langgraph sqlite"
    package = "langgraph-checkpoint-sqlite"
    connect = LangGraphWorker


SERVED: tuple[type[LangGraphStore], ...] = (AwsValkey, PlainRedis, LangGraphRedis)


def peers(scale: Scale, progress: Progress) -> dict[str, Any]:
    """Calls of the Redis savers of others, ours and the baseline in the same rounds, and the memory of a chat."""
    if not usable():
        return {}
    with opened(RawStore, OurRedis, *usable()) as stores:
        progress(f"2 KB: {', '.join(stores)}")
        found = small_calls(stores, scale)
        before = {name: store.server.memory() for name, store in stores.items()}
        progress("chat")
        found |= chat_calls(stores, scale)
        memory = {name: (store.server.memory() - before[name]) // scale.chats for name, store in stores.items()}
    return {"calls": {row: clocks.summary() for row, clocks in found.items()}, "memory": memory}


@cache
def states() -> dict[str, str]:
    """By package of others: its version, and whether it is measured or why not."""
    found = {}
    for kind in (*SERVED, LangGraphSqlite):
        try:
            version = metadata.version(kind.package)
        except metadata.PackageNotFoundError:
            found[kind.package] = "not installed"
            continue
        found[kind.package] = f"{version}, {_try(kind)}"
    return found


def _try(kind: type[Store]) -> str:
    """Store a checkpoint and read it; returns ``measured``, or why that failed."""
    if not issubclass(kind, LangGraphStore):
        return "measured"
    step = next(Small().thread("try", 1))
    try:
        with opened(kind) as stores:
            store = stores[kind.name]
            store.put_call(store.worker, step)()
            state = store.get_call(store.worker, step.thread)().checkpoint["channel_values"]
    except Exception as error:  # noqa: BLE001 - whatever fails there is reported
        return f"does not run here: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return "measured" if state == step.checkpoint["channel_values"] else "does not return what was stored"


def usable() -> list[type[LangGraphStore]]:
    """The Redis savers of others that run here."""
    return [kind for kind in SERVED if states()[kind.package].endswith("measured")]


def local_stores(directory: Path) -> list[Any]:
    """The local stores that can be measured here, each empty."""
    kinds: list[Any] = [OurSqlite, EngineSqlite, EngineMemory]
    if states()[LangGraphSqlite.package].endswith("measured"):
        kinds.append(LangGraphSqlite)
    return [kind(directory) for kind in kinds]
