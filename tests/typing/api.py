"""The public API as a user would use it. Never run: it is only type-checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

import redis
import redis.asyncio
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from zerograph.checkpoint import BaseCheckpointSaver, Checkpoint, CheckpointTuple

from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    BackendUnavailableError,
    CheckpointError,
    ConfigError,
    CorruptCheckpointError,
    EncryptedSerializer,
    InMemorySaver,
    LeaseInfo,
    MsgpackSerializer,
    RedisSaver,
    Registered,
    SerializationError,
    Serializer,
    SqliteSaver,
    Telemetry,
    ThreadInfo,
    aopen_saver,
    open_saver,
)


@dataclass
class Order:
    number: int


def opening() -> None:
    serializer: Serializer = MsgpackSerializer(types=[Order, Registered("order", Order)])
    RedisSaver(redis.Redis(), serializer=EncryptedSerializer({"key": bytes(32)}, serializer))
    saver = RedisSaver.from_url("redis://localhost:6379/0", ttl=3600, keep_last=50)
    assert_type(saver, RedisSaver)
    RedisSaver(redis.Redis(), prefix="app", ttl=timedelta(hours=1), refresh_on_read=False, serializer=serializer)
    AsyncRedisSaver(redis.asyncio.Redis(), sync_client=redis.Redis(), max_age=timedelta(days=1))
    assert_type(AsyncRedisSaver.from_url("redis://localhost"), AsyncRedisSaver)
    SqliteSaver("checkpoints.db", ttl=1.5)
    AsyncSqliteSaver(":memory:")
    RedisSaver(redis.Redis(), telemetry=Telemetry())
    AsyncSqliteSaver("x.db", telemetry=Telemetry(NoOpTracerProvider(), meter_provider=NoOpMeterProvider()))
    InMemorySaver(max_per_thread=100)
    InMemorySaver(None)
    engine: BaseCheckpointSaver = open_saver("sqlite:///x.db", fallback="memory://", ttl=5)
    with open_saver() as opened:
        opened.close()
    with SqliteSaver() as sqlite:
        assert_type(sqlite, SqliteSaver)


def blocking(saver: RedisSaver) -> None:
    config: dict[str, Any] = {"configurable": {"thread_id": "thread"}}
    assert_type(saver.get_tuple(config), CheckpointTuple | None)
    assert_type(saver.get(config), Checkpoint | None)
    assert_type(saver.get_by_id("id"), CheckpointTuple | None)
    assert_type(saver.get_by_id("id", "thread"), CheckpointTuple | None)
    checkpoint: Checkpoint = {"v": 1, "channel_values": {"a": 1}}
    config = saver.put(config, checkpoint, {"source": "loop", "step": 1})
    saver.put_writes(config, [("task", "channel", object())], "task")
    saver.put_writes(config, (("task", "channel", 1),), task_id="")
    for task, channel, value in saver.get_pending_writes(config):
        assert_type(task, str)
        assert_type(channel, str)
    tuples: Sequence[CheckpointTuple] = saver.list(config, limit=None, before=config, filter={"step": 1})
    assert_type(saver.prune("thread", keep=3), int)
    assert_type(saver.prune("thread", 1, max_age=timedelta(days=7)), int)
    saver.delete_thread("thread")
    assert_type(saver.copy_thread("a", "b"), int)
    threads = saver.list_threads(limit=None)
    for info in saver.list_threads(before=threads[-1]):
        assert_type(info, ThreadInfo)
        assert_type(info.thread_id, str)
        assert_type(info.created, datetime)
        assert_type(info.checkpoints, int)
        assert_type(info.ttl, float | None)
        if info.lease is not None:
            assert_type(info.lease, LeaseInfo)
            assert_type(info.lease.owner, str)
            assert_type(info.lease.seconds_left, float)
    assert_type(saver.break_lease("thread"), str | None)
    assert_type(saver.flush("thread"), None)
    saver.list_threads(before="thread")


async def awaited(saver: AsyncRedisSaver) -> None:
    config: dict[str, Any] = {}
    assert_type(await saver.aget_tuple(config), CheckpointTuple | None)
    assert_type(await saver.aget(config), Checkpoint | None)
    await saver.aget_by_id("id", thread_id="thread")
    config = await saver.aput(config, {"v": 1}, {})
    await saver.aput_writes(config, [], "")
    pending: Sequence[tuple[str, str, Any]] = await saver.aget_pending_writes(config)
    tuples: Sequence[CheckpointTuple] = await saver.alist(config, limit=3, filter={"a": 1})
    assert_type(await saver.aprune("thread", 3), int)
    await saver.adelete_thread("thread")
    assert_type(await saver.acopy_thread("a", "b"), int)
    assert_type(await saver.abreak_lease("thread"), str | None)
    assert_type(await saver.aflush(), None)
    threads: Sequence[ThreadInfo] = await saver.alist_threads(before="thread")
    saver.get_tuple(config)
    async with await aopen_saver("redis://localhost", fallback=None) as opened:
        await opened.aget_tuple(config)
    async with AsyncSqliteSaver() as sqlite:
        assert_type(sqlite, AsyncSqliteSaver)


def errors(saver: RedisSaver) -> None:
    try:
        saver.get_tuple({})
    except (ConfigError, SerializationError, CorruptCheckpointError, BackendUnavailableError) as error:
        base: CheckpointError = error
    try:
        saver.put({}, {}, {})
    except ValueError:
        pass
    except TypeError:
        pass
