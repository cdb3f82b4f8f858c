"""Savers whose connections a test can harm at a chosen request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
    """A server of which a test may lose any request or reply; each test uses other prefixes."""
    with open_rig(tmp_path_factory.mktemp("rig")) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
def opening(request) -> Iterator[Callable[..., Any]]:
    """Open savers by URL, with or without retries, to be used through either face."""
    with ExitStack() as stack:

        def blocking(url: str) -> redis.Redis:
            client = redis.Redis.from_url(url, retry=NO_RETRY)
            stack.callback(client.close)
            return client

        def awaited(url: str, runner: asyncio.Runner) -> redis.asyncio.Redis:
            client = redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0))
            stack.callback(lambda: runner.run(client.aclose()))
            return client

        def call(url: str, *, retries: bool = False, **options: Any) -> Any:
            if request.param == "sync":
                made = RedisSaver.from_url(url, **options) if retries else RedisSaver(blocking(url), **options)
                stack.callback(made.close)
                return SyncFace(made)
            runner = stack.enter_context(asyncio.Runner())
            if retries:
                made = AsyncRedisSaver.from_url(url, **options)
            else:
                made = AsyncRedisSaver(awaited(url, runner), sync_client=blocking(url), **options)
            stack.callback(lambda: runner.run(made.aclose()))
            return AsyncFace(made, runner)

        yield call


@pytest.fixture
def opened(opening, rig) -> Iterator[Callable[..., Any]]:
    """Open savers through the proxy, which wait for a reply for so many seconds."""

    def call(prefix: str, *, retries: bool = True, patience: float = 10.0, **options: Any) -> Any:
        url = f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout={patience}"
        return opening(url, retries=retries, prefix=prefix, **options)

    yield call
    rig.proxy.calm()
