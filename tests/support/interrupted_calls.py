"""A process whose signal handler raises at random moments of a saver's calls; it prints its findings as JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry

from support.data import at, ids, state
from support.interrupts import Interrupted
from support.stepping import cancelled_at
from zerograph_redis import AsyncRedisSaver, ConflictError, RedisSaver

THREADS = 6
"""Threads of the saver, in the data model's sense, that one OS thread writes and reads."""
OTHERS = 15
"""OS threads beside the main thread, where a pool is shared."""
SETTINGS = ("url", "pool", "single", "blocking", "sentinel", "cluster", "cluster client")
AWAITED = ("url", "pool", "blocking", "sentinel", "cluster", "cluster client")


class SoftLimit(Exception):  # noqa: N818 - the name that task queues give it
    """A time limit, as task queues raise them: an `Exception`, unlike `Interrupted`."""


class Alarm:
    """Raises from a signal handler at a random moment of a call, sometimes more than once."""

    def __init__(self, dice: random.Random) -> None:
        self.raised = 0
        self._dice = dice
        self._armed = self._again = False
        self._usual = 0.001
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, *_: Any) -> None:
        if not self._armed:
            return
        self.raised += 1
        if self._again:
            # No interval timer: signals that come faster than they are handled would block everything else.
            self._again = False
            signal.setitimer(signal.ITIMER_REAL, self._dice.random() * 2e-4 + 1e-6)
        raise Interrupted if self._dice.random() < 0.5 else SoftLimit

    def during(self, call: Callable[[], Any]) -> tuple[bool, Any]:
        """Make *call*; returns whether it was not interrupted, and its result."""
        begun = time.perf_counter()
        delay = max(self._dice.random() * 1.2 * self._usual, 1e-6)
        self._again = self._dice.random() < 0.2
        failure: BaseException | None = None
        result = None
        try:
            try:
                self._armed = True
                signal.setitimer(signal.ITIMER_REAL, delay)
                result = call()
                self._armed = False
            except (Interrupted, Exception) as error:
                self._armed = False
                failure = error
        except (Interrupted, Exception) as error:
            self._armed = False
            failure = error
        signal.setitimer(signal.ITIMER_REAL, 0)
        if failure is not None:
            if not has_interrupt(failure):
                raise failure
            return False, None
        self._usual += 0.1 * (time.perf_counter() - begun - self._usual)
        return True, result


class Caller:
    """The calls of one OS thread or task on threads of its own, and what they must return."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.names = [f"{name}-{number}" for number in range(THREADS)]
        self.seen: Counter[str] = Counter()
        self._dice = dice
        self._tried = dict.fromkeys(self.names, 0)
        self._acknowledged = dict.fromkeys(self.names, 0)
        self._acknowledged_ids: dict[str, set[str]] = {name: set() for name in self.names}

    def choose(self) -> tuple[str, str, tuple[Any, ...]]:
        """Choose a call: its kind, its thread, and the arguments of the saver's method."""
        thread, kind = self._dice.choice(self.names), self._dice.choice(("put", "put", "refused", "get", "get"))
        if kind == "get":
            return kind, thread, (at(thread),)
        if kind == "refused":
            return kind, thread, (at(thread, expect_checkpoint_id="another"), state("refused", thread=thread), {})
        self._tried[thread] += 1
        number = self._tried[thread]
        text = "x" * self._dice.choice((10, 600, 3000))
        return kind, thread, (at(thread), state(f"{number:06}", thread=thread, number=number, text=text), {})

    def check(self, kind: str, thread: str, result: Any) -> None:
        """Check the result of a call."""
        self.seen["returned"] += 1
        if kind == "refused":
            self.seen["refused, and returned as stored"] += 1
        elif kind == "put":
            self.seen["acknowledged"] += 1
            self._acknowledged[thread] = self._tried[thread]
            self._acknowledged_ids[thread].add(f"{self._tried[thread]:06}")
            if result["configurable"]["thread_id"] != thread:
                self.seen["foreign config"] += 1
        else:
            self._check_read(thread, result)

    def _check_read(self, thread: str, found: Any) -> None:
        if found is None:
            self.seen["lost"] += bool(self._acknowledged[thread])
            return
        values = found["channel_values"]
        if values["thread"] != thread:
            self.seen["foreign state"] += 1
        elif not self._acknowledged[thread] <= values.get("number", 0) <= self._tried[thread]:
            self.seen["lost"] += 1

    def fail(self, error: Exception) -> None:
        """Count what a call raised; an interrupt is expected."""
        if isinstance(error, ConflictError):
            self.seen["refused"] += 1
        elif not has_interrupt(error):
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.seen[f"error: {type(error).__name__} at {where}: {str(error)[:200]}"] += 1

    def check_stored(self, saver: Any) -> None:
        """Count acknowledged checkpoints that are not stored."""
        for thread in self.names:
            missing = self._acknowledged_ids[thread] - set(ids(saver.list(at(thread), limit=None)))
            self.seen["lost"] += len(missing)


def has_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is an error, its cause or its context."""
    while error is not None:
        if isinstance(error, Interrupted | SoftLimit):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_blocking(setting: str, url: str, name: str) -> tuple[Any, RedisSaver, Callable[[], None]]:
    """Open a saver on the client of a setting; returns the client, the saver, and a function that closes both."""
    if setting in {"url", "sentinel", "cluster"}:
        saver = RedisSaver.from_url(f"{url}?client_name={name}" if setting != "sentinel" else url, prefix="i")
        return saver._client, saver, saver.close
    given: dict[str, Any] = {"client_name": name, "socket_timeout": 10.0}
    if setting == "cluster client":
        host, port = url.rpartition("/")[2].split(":")
        client: Any = redis.RedisCluster(startup_nodes=[ClusterNode(host, int(port))], **given)
    elif setting == "blocking":
        pool = redis.BlockingConnectionPool.from_url(url, max_connections=1, timeout=20, **given)
        client = redis.Redis.from_pool(pool)
    else:
        retry = Retry(NoBackoff(), 1)
        client = redis.Redis.from_url(url, single_connection_client=setting == "single", retry=retry, **given)
    return client, RedisSaver(client, prefix="i"), client.close


def count_connections(addresses: list[tuple[str, int]]) -> int:
    """How many clients are connected to the servers, without this function's own."""
    found = 0
    for host, port in addresses:
        with redis.Redis(host=host, port=port, protocol=2) as client:
            found += len(client.client_list(_type="normal")) - 1
    return found


def pool_damage(client: Any) -> list[str]:
    """What is wrong with the counters of a client's pools while no connection is in use."""
    nodes = getattr(client, "get_nodes", None)
    if nodes is not None:
        pools = [each.redis_connection.connection_pool for each in nodes() if each.redis_connection]
    else:
        pools = [client.connection_pool]
    held = int(getattr(client, "connection", None) is not None)
    damage = []
    for pool in pools:
        if isinstance(pool, redis.BlockingConnectionPool):
            if pool.pool.qsize() != pool.max_connections or len(pool._connections) > pool.max_connections:
                damage.append(
                    f"{pool.pool.qsize()} of {pool.max_connections} free, {len(pool._connections)} connections"
                )
        elif len(pool._in_use_connections) != held or pool._created_connections != held + len(
            pool._available_connections
        ):
            damage.append(
                f"{len(pool._in_use_connections)} in use, {len(pool._available_connections)} idle, "
                f"{pool._created_connections} counted"
            )
    return damage


def interrupt(setting: str, url: str, addresses: list[tuple[str, int]], count: int, seed: int) -> dict[str, Any]:
    """Interrupt *count* calls of the main thread, while other OS threads call too."""
    dice = random.Random(seed)
    before = count_connections(addresses)
    client, saver, close = open_blocking(setting, url, f"i{seed}")
    alarm, stop = Alarm(dice), threading.Event()
    callers = [Caller(f"{seed}-{number}", random.Random(seed + number)) for number in range(1 + OTHERS)]
    beside = OTHERS if setting == "blocking" else 2
    others = [
        threading.Thread(target=call_until, args=(saver, caller, stop), daemon=True)
        for caller in callers[1 : 1 + beside]
    ]
    for each in others:
        each.start()
    caller, most = callers[0], 0
    deadline = time.monotonic() + 600
    calls = 0
    while alarm.raised < count and time.monotonic() < deadline:
        kind, thread, given = caller.choose()
        method = saver.get if kind == "get" else saver.put
        try:
            whole, result = alarm.during(lambda method=method, given=given: method(*given))
        except Exception as error:
            caller.fail(error)
        else:
            if whole:
                caller.check(kind, thread, result)
        calls += 1
        if calls % 200 == 0:
            most = max(most, count_connections(addresses) - before)
    stop.set()
    for each in others:
        each.join(60)
    hanging = sum(each.is_alive() for each in others)
    seen: Counter[str] = Counter()
    for each in callers:
        try:
            each.check_stored(saver)
        except Exception as error:
            each.fail(error)
        seen += each.seen
    settled = time.monotonic() + 5
    while (damage := pool_damage(client)) and time.monotonic() < settled:
        time.sleep(0.01)
    gc.collect()  # closes connections whose close was interrupted
    last = count_connections(addresses) - before
    close()
    while (left := count_connections(addresses) - before) and time.monotonic() < settled:
        time.sleep(0.01)
    return {
        "interrupts": alarm.raised,
        "seen": seen,
        "hanging": hanging,
        "pools": damage,
        "connections": {"most": max(most, last), "last": last, "after close": left},
    }


def call_until(saver: RedisSaver, caller: Caller, stop: threading.Event) -> None:
    """Make the calls that the main thread makes, uninterrupted."""
    while not stop.is_set():
        kind, thread, given = caller.choose()
        try:
            caller.check(kind, thread, (saver.get if kind == "get" else saver.put)(*given))
        except Exception as error:
            caller.fail(error)


async def open_awaited(setting: str, url: str) -> tuple[Any, AsyncRedisSaver, Callable[[], Any]]:
    """Open a saver on the asyncio client of a setting; see `open_blocking`."""
    if setting in {"url", "sentinel", "cluster"}:
        saver = AsyncRedisSaver.from_url(url, prefix="i")
        return None, saver, saver.aclose
    given: dict[str, Any] = {"socket_timeout": 10.0}
    if setting == "cluster client":
        host, port = url.rpartition("/")[2].split(":")
        client: Any = redis.asyncio.RedisCluster(host=host, port=int(port), **given)
        blocking = redis.RedisCluster(startup_nodes=[ClusterNode(host, int(port))])
    else:
        blocking = redis.Redis.from_url(url)
        if setting == "blocking":
            pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1, timeout=20, **given)
            client = redis.asyncio.Redis.from_pool(pool)
        else:
            client = redis.asyncio.Redis.from_url(url, **given)

    async def close() -> None:
        await client.aclose()
        blocking.close()

    return client, AsyncRedisSaver(client, sync_client=blocking, prefix="i"), close


async def cancel(setting: str, url: str, addresses: list[tuple[str, int]], count: int, seed: int) -> dict[str, Any]:
    """Cancel calls at each of their awaits, one after the other, while another task calls too."""
    dice = random.Random(seed)
    before = count_connections(addresses)
    seen: Counter[str] = Counter()
    damage: list[str] = []
    cancelled = most = 0
    while cancelled < count:
        client, saver, close = await open_awaited(setting, url)
        caller, other = (Caller(f"{seed}-{cancelled}-{each}", dice) for each in ("a", "b"))
        position = cancelled_here = 0
        while cancelled_here < min(60, count - cancelled):
            beside = asyncio.create_task(call_awaited(saver, other))
            kind, thread, given = caller.choose()
            try:
                ending = await cancelled_at((saver.aget if kind == "get" else saver.aput)(*given), position)
            except Exception as error:
                caller.fail(error)
                position = 0
            else:
                if ending.whole:
                    caller.check(kind, thread, ending.result)
                cancelled_here += ending.cancelled
                position = position + 1 if ending.cancelled else 0
            await beside
            await call_awaited(saver, caller)
        cancelled += cancelled_here
        for _ in range(10):
            await call_awaited(saver, caller)
        pool = getattr(client, "connection_pool", None)
        if pool is not None and len(pool._in_use_connections):
            damage.append(f"{len(pool._in_use_connections)} connections in use")
        most = max(most, await asyncio.to_thread(count_connections, addresses) - before)
        await asyncio.to_thread(caller.check_stored, saver)
        await close()
        seen += caller.seen + other.seen
    settled = time.monotonic() + 5
    while (left := count_connections(addresses) - before) and time.monotonic() < settled:
        await asyncio.sleep(0.01)
    return {
        "interrupts": cancelled,
        "seen": seen,
        "hanging": 0,
        "pools": damage,
        "connections": {"most": most, "last": most, "after close": left},
    }


async def call_awaited(saver: AsyncRedisSaver, caller: Caller) -> None:
    """Make one call, which nothing cancels."""
    kind, thread, given = caller.choose()
    try:
        caller.check(kind, thread, await (saver.aget if kind == "get" else saver.aput)(*given))
    except Exception as error:
        caller.fail(error)


def main(mode: str, setting: str, url: str, addresses: str, count: str, seed: str) -> None:
    given = (setting, url, [tuple(each) for each in json.loads(addresses)], int(count), int(seed))
    found = interrupt(*given) if mode == "signals" else asyncio.run(cancel(*given))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
