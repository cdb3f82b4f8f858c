"""Savers whose connections a test can harm at a chosen request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from support.faces import AsyncFace, SyncFace
from support.rig import Rig, open_rig
from support.servers import NO_RETRY

from zerograph_redis import AsyncRedisSaver, RedisSaver


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A server of which a test may lose any request or reply; each test uses prefixes of its own."""
    with open_rig(tmp_path_factory.mktemp("rig")) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
def opening(request) -> Iterator[Callable[..., Any]]:
    """Open savers by an url, with retries or without, to be used through either face."""
    closing: list[Callable[[], object]] = []
    with asyncio.Runner() as runner:

        def call(url: str, *, retries: bool = False, **options: Any) -> Any:
            client = redis.Redis.from_url(url, retry=NO_RETRY)
            closing.append(client.close)
            if request.param == "sync":
                saver = RedisSaver.from_url(url, **options) if retries else RedisSaver(client, **options)
                closing.append(saver.close)
                return SyncFace(saver)
            if retries:
                saver = AsyncRedisSaver.from_url(url, **options)
            else:
                awaited = redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0))
                closing.append(lambda: runner.run(awaited.aclose()))
                saver = AsyncRedisSaver(awaited, sync_client=client, **options)
            closing.append(lambda: runner.run(saver.aclose()))
            return AsyncFace(saver, runner)

        yield call
        for each in reversed(closing):
            each()


@pytest.fixture
def opened(opening, rig) -> Iterator[Callable[..., Any]]:
    """Open savers through the proxy."""

    def call(prefix: str, **options: Any) -> Any:
        return opening(f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout=0.3", prefix=prefix, **options)

    yield call
    rig.proxy.calm()
