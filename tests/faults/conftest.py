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
def opened(request, rig) -> Iterator[Callable[..., Any]]:
    """Open a saver through the proxy, with retries or without."""
    closing: list[Callable[[], object]] = []
    with asyncio.Runner() as runner:

        def opening(prefix: str, *, retries: bool) -> Any:
            url = f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout=0.3"
            client = redis.Redis.from_url(url, retry=NO_RETRY)
            closing.append(client.close)
            if request.param == "sync":
                saver = RedisSaver.from_url(url, prefix=prefix) if retries else RedisSaver(client, prefix=prefix)
                closing.append(saver.close)
                return SyncFace(saver)
            if retries:
                saver = AsyncRedisSaver.from_url(url, prefix=prefix)
            else:
                given = redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0))
                closing.append(lambda: runner.run(given.aclose()))
                saver = AsyncRedisSaver(given, sync_client=client, prefix=prefix)
            closing.append(lambda: runner.run(saver.aclose()))
            return AsyncFace(saver, runner)

        yield opening
        rig.proxy.calm()
        for each in reversed(closing):
            each()
