"""A process whose signal handler raises at random moments of a saver's calls; it prints what it found as one JSON object."""

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
from support.stepping import cancelled_at
from zerograph_redis import AsyncRedisSaver, ConflictError, RedisSaver

THREADS = 6
"""Threads of the saver, in the data model's sense, that one OS thread writes and reads."""
OTHERS = 15
"""OS threads beside the main thread, where a pool is shared."""
SETTINGS = ("url", "pool", "single", "blocking", "sentinel", "cluster", "cluster client")
AWAITED = ("url", "pool", "blocking", "sentinel", "cluster", "cluster client")


class Interrupt(BaseException):
    """What Ctrl-C raises is none of `Exception` either."""


class SoftLimit(Exception):  # noqa: N818 - a time limit of a job is one
    """What the time limits of task queues raise."""


class Alarm:
    """Raises from a signal handler at a random moment of a call, at times more than once."""

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
            # Not by an interval: signals that come faster than they are handled keep everything else from running.
            self._again = False
            signal.setitimer(signal.ITIMER_REAL, self._dice.random() * 2e-4 + 1e-6)
        raise Interrupt if self._dice.random() < 0.5 else SoftLimit

    def during(self, call: Callable[[], Any]) -> tuple[bool, Any]:
        """Make *call*; whether it came to its end, and its result."""
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
            except (Interrupt, Exception) as error:
                self._armed = False
                failure = error
        except (Interrupt, Exception) as error:
            self._armed = False
            failure = error
        signal.setitimer(signal.ITIMER_REAL, 0)
        if failure is not None:
            if not has_interrupt(failure):
                raise failure
            return False, None
        self._usual += 0.1 * (time.perf_counter() - begun - self._usual)
        return True, result


class Model:
    """What is known of the threads that one OS thread, or one task, writes."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.names = [f"{name}-{number}" for number in range(THREADS)]
        self.seen: Counter[str] = Counter()
        self._dice = dice
        self._tried = dict.fromkeys(self.names, 0)
        self._acknowledged = dict.fromkeys(self.names, 0)
        self._said: dict[str, set[str]] = {name: set() for name in self.names}

    def choose(self) -> tuple[str, str, tuple[Any, ...]]:
        """Choose what to do: its kind, its thread, and the arguments of the saver's method."""
        thread, kind = self._dice.choice(self.names), self._dice.choice(("put", "put", "refused", "get", "get"))
        if kind == "get":
            return kind, thread, (at(thread),)
        if kind == "refused":
            return kind, thread, (at(thread, expect_checkpoint_id="another"), state("refused", thread=thread), {})
        self._tried[thread] += 1
        number = self._tried[thread]
        text = "x" * self._dice.choice((10, 600, 3000))
        return kind, thread, (at(thread), state(f"{number:06}", thread=thread, number=number, text=text), {})

    def note(self, kind: str, thread: str, result: Any) -> None:
        """Note what a call returned."""
        self.seen["returned"] += 1
        if kind == "refused":
            self.seen["refused, and returned as stored"] += 1
        elif kind == "put":
            self.seen["acknowledged"] += 1
            self._acknowledged[thread] = self._tried[thread]
            self._said[thread].add(f"{self._tried[thread]:06}")
            if result["configurable"]["thread_id"] != thread:
                self.seen["foreign config"] += 1
        else:
            self._note_read(thread, result)

    def _note_read(self, thread: str, found: Any) -> None:
        if found is None:
            self.seen["lost"] += bool(self._acknowledged[thread])
            return
        values = found["channel_values"]
        if values["thread"] != thread:
            self.seen["foreign state"] += 1
        elif not self._acknowledged[thread] <= values.get("number", 0) <= self._tried[thread]:
            self.seen["lost"] += 1

    def fail(self, error: Exception) -> None:
        """Note what a call raised."""
        if isinstance(error, ConflictError):
            self.seen["refused"] += 1
        elif not has_interrupt(error):
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.seen[f"error: {type(error).__name__} at {where}: {str(error)[:200]}"] += 1

    def look(self, saver: Any) -> None:
        """Look for all that was acknowledged."""
        for thread in self.names:
            missing = self._said[thread] - set(ids(saver.list(at(thread), limit=None)))
            self.seen["lost"] += len(missing)


def has_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt caused an error, as in code that handles `Exception`."""
    while error is not None:
        if isinstance(error, Interrupt | SoftLimit):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_blocking(setting: str, url: str, name: str) -> tuple[Any, RedisSaver, Callable[[], None]]:
    """Open a saver on the client of a setting: the client, the saver, and what closes both."""
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
    """How many clients are connected to the servers, but for this function's own."""
    found = 0
    for host, port in addresses:
        with redis.Redis(host=host, port=port, protocol=2) as client:
            found += len(client.client_list(_type="normal")) - 1
    return found


def pool_damage(client: Any) -> list[str]:
    """What is wrong with the counters of a client's pools, of which no connection is in use."""
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
                damage.append(f"{pool.pool.qsize()} of {pool.max_connections} places, {len(pool._connections)} made")
        elif len(pool._in_use_connections) != held or pool._created_connections != held + len(
            pool._available_connections
        ):
            damage.append(
                f"{len(pool._in_use_connections)} in use, {len(pool._available_connections)} idle, "
                f"{pool._created_connections} counted"
            )
    return damage


def interrupt(setting: str, url: str, addresses: list[tuple[str, int]], count: int, seed: int) -> dict[str, Any]:
    """Interrupt so many calls of the main thread, while other OS threads call too."""
    dice = random.Random(seed)
    before = count_connections(addresses)
    client, saver, close = open_blocking(setting, url, f"i{seed}")
    alarm, stop = Alarm(dice), threading.Event()
    models = [Model(f"{seed}-{number}", random.Random(seed + number)) for number in range(1 + OTHERS)]
    crowded = setting == "blocking"
    others = [
        threading.Thread(target=work, args=(saver, model, stop), daemon=True)
        for model in models[1 : 1 + (OTHERS if crowded else 2)]
    ]
    for each in others:
        each.start()
    model, most = models[0], 0
    deadline = time.monotonic() + 600
    calls = 0
    while alarm.raised < count and time.monotonic() < deadline:
        kind, thread, given = model.choose()
        method = saver.get if kind == "get" else saver.put
        try:
            whole, result = alarm.during(lambda method=method, given=given: method(*given))
        except Exception as error:
            model.fail(error)
        else:
            if whole:
                model.note(kind, thread, result)
        calls += 1
        if calls % 200 == 0:
            most = max(most, count_connections(addresses) - before)
    stop.set()
    for each in others:
        each.join(60)
    stuck = sum(each.is_alive() for each in others)
    seen: Counter[str] = Counter()
    for each in models:
        try:
            each.look(saver)
        except Exception as error:
            each.fail(error)
        seen += each.seen
    settled = time.monotonic() + 5
    while (damage := pool_damage(client)) and time.monotonic() < settled:
        time.sleep(0.01)
    gc.collect()  # what was interrupted in its own closing is closed by this at the latest
    last = count_connections(addresses) - before
    close()
    while (left := count_connections(addresses) - before) and time.monotonic() < settled:
        time.sleep(0.01)
    return {
        "interrupts": alarm.raised,
        "seen": seen,
        "stuck": stuck,
        "pools": damage,
        "connections": {"most": max(most, last), "last": last, "after close": left},
    }


def work(saver: RedisSaver, model: Model, stop: threading.Event) -> None:
    """Call what the main thread calls, undisturbed, until the end."""
    while not stop.is_set():
        kind, thread, given = model.choose()
        try:
            model.note(kind, thread, (saver.get if kind == "get" else saver.put)(*given))
        except Exception as error:
            model.fail(error)


async def open_awaited(setting: str, url: str) -> tuple[Any, AsyncRedisSaver, Callable[[], Any]]:
    """Open a saver on the asyncio client of a setting, as above."""
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
    """Cancel calls at each place at which they wait, one after the other, while another task calls too."""
    dice = random.Random(seed)
    before = count_connections(addresses)
    seen: Counter[str] = Counter()
    damage: list[str] = []
    cancelled = most = 0
    while cancelled < count:
        client, saver, close = await open_awaited(setting, url)
        model, other = (Model(f"{seed}-{cancelled}-{each}", dice) for each in ("a", "b"))
        place = before_this = 0
        while before_this < min(60, count - cancelled):
            beside = asyncio.create_task(call_awaited(saver, other))
            kind, thread, given = model.choose()
            try:
                ending = await cancelled_at((saver.aget if kind == "get" else saver.aput)(*given), place)
            except Exception as error:
                model.fail(error)
                place = 0
            else:
                if ending.whole:
                    model.note(kind, thread, ending.result)
                before_this += ending.cancelled
                place = place + 1 if ending.cancelled else 0
            await beside
            await call_awaited(saver, model)
        cancelled += before_this
        for _ in range(10):
            await call_awaited(saver, model)
        pool = getattr(client, "connection_pool", None)
        if pool is not None and len(pool._in_use_connections):
            damage.append(f"{len(pool._in_use_connections)} connections in use")
        most = max(most, await asyncio.to_thread(count_connections, addresses) - before)
        await asyncio.to_thread(model.look, saver)
        await close()
        seen += model.seen + other.seen
    settled = time.monotonic() + 5
    while (left := count_connections(addresses) - before) and time.monotonic() < settled:
        await asyncio.sleep(0.01)
    return {
        "interrupts": cancelled,
        "seen": seen,
        "stuck": 0,
        "pools": damage,
        "connections": {"most": most, "last": most, "after close": left},
    }


async def call_awaited(saver: AsyncRedisSaver, model: Model) -> None:
    """Call what the model chooses, undisturbed."""
    kind, thread, given = model.choose()
    try:
        model.note(kind, thread, await (saver.aget if kind == "get" else saver.aput)(*given))
    except Exception as error:
        model.fail(error)


def main(face: str, setting: str, url: str, addresses: str, count: str, seed: str) -> None:
    given = (setting, url, [tuple(each) for each in json.loads(addresses)], int(count), int(seed))
    found = interrupt(*given) if face == "signals" else asyncio.run(cancel(*given))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
