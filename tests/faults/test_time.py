"""The budget of a request: whatever a server does not do, the error comes in time, and states how long it was tried."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ConstantBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from support.data import at, state
from support.faces import AsyncFace, SyncFace
from support.sites import open_site

from zerograph_redis import AsyncRedisSaver, BackendUnavailableError, RedisSaver

AMPLE = 60.0
"""Seconds for a request that a server answers."""
BUDGET = 0.5
"""Seconds for a request that it does not."""
BOUND = 4.0
"""Seconds that distinguish the budget from a socket's time-out of five, also on a busy machine."""
PATIENT = {"socket_timeout": 30.0, "socket_connect_timeout": 30.0}
SETTINGS = ("url", "pool", "single", "sentinel", "cluster", "cluster client")


@pytest.fixture(params=["sync", "async"])
def opening(request):
    """Open savers of a setting, to be used through either face."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner()) if request.param == "async" else None

        def clients(setting, url, kinds):
            if setting == "cluster client":
                host, port = url.rpartition("/")[2].split(":")
                node = (ClusterNode if kinds is redis else redis.asyncio.cluster.ClusterNode)(host, int(port))
                return kinds.RedisCluster(startup_nodes=[node], **PATIENT)
            retry = (Retry if kinds is redis else AsyncRetry)(ConstantBackoff(0.1), 5)
            return kinds.Redis.from_url(url, single_connection_client=setting == "single", retry=retry, **PATIENT)

        def call(setting, url):
            if setting in {"url", "sentinel", "cluster"}:
                saver = (RedisSaver if runner is None else AsyncRedisSaver).from_url(url, timeout=AMPLE)
            elif runner is None:
                client = clients(setting, url, redis)
                stack.callback(client.close)
                saver = RedisSaver(client, timeout=AMPLE)
            else:
                blocking, client = clients(setting, url, redis), clients(setting, url, redis.asyncio)
                stack.callback(blocking.close)
                stack.callback(lambda: runner.run(client.aclose()))
                saver = AsyncRedisSaver(client, sync_client=blocking, timeout=AMPLE)
            face = SyncFace(saver) if runner is None else AsyncFace(saver, runner)
            stack.callback(face.close)
            return face

        yield call


@contextmanager
def standing_still(addresses):
    """Have the servers at these addresses do nothing."""
    pids = []
    for host, port in addresses:
        with redis.Redis(host=host, port=port) as client:
            pids.append(client.info("server")["process_id"])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def refused_in_time(saver, call, monkeypatch):
    backend = saver.saver.store.backend
    with monkeypatch.context() as patch:
        patch.setattr(getattr(backend, "inner", backend), "_timeout", BUDGET)
        begun = time.monotonic()
        with pytest.raises(BackendUnavailableError, match=r"tried (once|\d+ times) in \d+\.\d s"):
            call(saver)
        assert time.monotonic() - begun < BOUND


@pytest.mark.parametrize(
    "setting",
    [pytest.param(each, marks=pytest.mark.full) if each in {"single", "cluster client"} else each for each in SETTINGS],
)
def test_a_server_that_stands_still_is_an_error_in_time(opening, tmp_path, monkeypatch, setting):
    with ExitStack() as stack:
        url, addresses = open_site(setting, tmp_path, stack)
        saver, cold = opening(setting, url), opening(setting, url)
        saver.put(at(), state("c0"), {})
        sentinels = [("127.0.0.1", int(url.split(":")[2].split("/")[0]))] if setting == "sentinel" else []
        with standing_still([*addresses, *sentinels]):
            for each in (saver, cold):
                refused_in_time(each, lambda saver: saver.get(at()), monkeypatch)
                refused_in_time(each, lambda saver: saver.put(at(), state("c1"), {}), monkeypatch)
        # Replies to requests that were given up are dropped.
        assert saver.get(at("another")) is None
        assert saver.get(at())["id"] in {"c0", "c1"}


@pytest.fixture
def black_hole():
    """An address to which no connection comes about: its queue is full, and no process accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            each = stack.enter_context(closing(socket.socket()))
            each.setblocking(False)
            each.connect_ex(address)
        yield address[1]


@pytest.mark.parametrize("setting", ["url", "pool"])
def test_a_connection_that_does_not_come_about_is_an_error_in_time(opening, black_hole, monkeypatch, setting):
    saver = opening(setting, f"redis://127.0.0.1:{black_hole}/0")
    refused_in_time(saver, lambda saver: saver.get(at()), monkeypatch)


def test_a_cluster_that_does_not_name_its_nodes_is_an_error_in_time(black_hole):
    begun = time.monotonic()
    with pytest.raises(BackendUnavailableError):
        RedisSaver.from_url(f"redis+cluster://127.0.0.1:{black_hole}", timeout=BUDGET)
    assert time.monotonic() - begun < BOUND


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "15", True, None, timedelta(0), 10**400])
def test_a_budget_that_makes_no_sense_is_refused(timeout):
    for make in (RedisSaver.from_url, AsyncRedisSaver.from_url):
        with pytest.raises(ValueError, match="timeout must be"):
            make("redis://localhost:1/0", timeout=timeout)


def test_a_budget_may_be_a_timedelta():
    RedisSaver.from_url("redis://localhost:1/0", timeout=timedelta(seconds=3)).close()
