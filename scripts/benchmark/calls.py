"""The cost of a call compared with one EVALSHA: how long its caller waits, its CPU time, and the server's time.

Each round calls every store once, in random order. The baselines store and return the same state, packed beforehand; only
one of them packs it in the call. They unpack the chats that they read, and leave 2 KB packed.
"""

from __future__ import annotations

import asyncio
import copy
import random
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgpack
import redis.asyncio

from zerograph_redis import AsyncRedisSaver, RedisSaver

from .backends import Call, OurRedis, OurSqlite, ServerStore, WithTtl, opened
from .baselines import EngineSqlite, FloorStore, PackingStore, RawStore
from .measure import BASE, Clocks, Figures, Progress, check_results, quiet
from .workloads import Chat, RandomBytes, Scale, Small, Step, config

Stores = Mapping[str, ServerStore]


def small_steps(name: str, count: int) -> list[Step]:
    """Steps of threads of 5 checkpoints of about 2 KB, one thread after the other."""
    threads = (islice(Small().thread(f"{name}-{number}", number % 50), 5) for number in range(-(-count // 5)))
    return [step for thread in threads for step in thread][:count]


def chat_steps(number: int, scale: Scale) -> tuple[list[Step], list[Step]]:
    """The first four fifths of a chat's steps, and the last fifth, with states of 160 KB on average."""
    steps = list(islice(Chat().thread(f"chat-{number}", number), scale.steps))
    return steps[: -scale.steps // 5], steps[-scale.steps // 5 :]


def blocking(scale: Scale, progress: Progress) -> Figures:
    """All calls of the blocking saver, with and without a TTL, and of all baselines."""
    with opened(RawStore, FloorStore, PackingStore, OurRedis, WithTtl) as stores:
        progress("2 KB")
        found = small_calls(stores, scale)
        progress("chat")
        found |= chat_calls(stores, scale)
        progress("random 20 KB")
        put = Clocks(BASE)
        with quiet():
            for step in islice(RandomBytes().thread("random", 1), scale.rounds):
                put.run(put_calls(stores, step))
    found["random 20 KB: put"] = put
    ours = OurRedis.name
    return {
        row: clocks.summary()
        | {
            "ttl": clocks.waited.ratio(WithTtl.name, ours),
            "packing": [each.ratio(ours, PackingStore.name) for each in (clocks.waited, clocks.computed)],
        }
        for row, clocks in found.items()
    }


def small_calls(stores: Stores, scale: Scale) -> dict[str, Clocks]:
    """Put, get_tuple of the newest, which has no pending writes yet, and put_writes, on threads of 2 KB."""
    steps = small_steps("small", scale.puts)
    put, write, get = (Clocks(BASE) for _ in range(3))
    with quiet():
        for step in steps:
            put.run(put_calls(stores, step))
        for number, step in enumerate(random.Random(5).choices(steps[4::5], k=scale.puts)):
            found = get.run({name: store.get_packed_call(store.worker, step.thread) for name, store in stores.items()})
            check_results(found, [step], number)
        for step in steps:
            write.run({name: store.put_writes_call(store.worker, step) for name, store in stores.items()})
    return {"2 KB: put": put, "2 KB: get_tuple, same worker": get, "put_writes, 2 of 200 bytes": write}


def chat_calls(stores: Stores, scale: Scale) -> dict[str, Clocks]:
    """Put, get_tuple of the newest, and list, on chats of 500 steps; another worker has not read them."""
    put, same, another, ten, hundred = (Clocks(BASE) for _ in range(5))
    threads = []
    for number in range(scale.chats):
        before, steps = chat_steps(number, scale)
        with quiet():
            for step in before:
                for store in stores.values():
                    store.put_call(store.worker, step)()
                    store.put_writes_call(store.worker, step)()
            for step in steps:
                put.run(put_calls(stores, step))
                for store in stores.values():
                    store.put_writes_call(store.worker, step)()
        threads.append([*before, *steps])
    choose = random.Random(7)
    with quiet():
        for number in range(scale.reads):
            thread = choose.choice(threads)
            calls = {name: store.get_call(store.worker, thread[0].thread) for name, store in stores.items()}
            check_results(same.run(calls), thread[-1:], number)
        for clocks, times, count in (
            (another, scale.lists, 1),
            (ten, scale.lists, 10),
            (hundred, scale.long_lists, 100),
        ):
            for number in range(times):
                thread = choose.choice(threads)
                workers = {name: store.new_worker() for name, store in stores.items()}
                calls = {name: read(stores[name], each, thread[0].thread, count) for name, each in workers.items()}
                check_results(clocks.run(calls), thread[: -count - 1 : -1], number)
                for name, worker in workers.items():
                    stores[name].close_worker(worker)
    return {
        "chat: put": put,
        "chat: get_tuple, same worker": same,
        "chat: get_tuple, another worker": another,
        "chat: list(10), another worker": ten,
        "chat: list(100), another worker": hundred,
    }


def put_calls(stores: Stores, step: Step) -> dict[str, Call]:
    """The call of every store that stores the checkpoint of *step*."""
    return {name: store.put_call(store.worker, step) for name, store in stores.items()}


def read(store: ServerStore, worker: Any, thread: str, count: int) -> Call:
    """A call that reads the newest checkpoints: one by get_tuple, several by list."""
    return store.get_call(worker, thread) if count == 1 else store.list_call(worker, thread, count)


def awaited(scale: Scale, progress: Progress) -> Figures:
    """Aput, and aget_tuple of the newest, compared with redis.asyncio's EVALSHA, on an idle event loop."""
    with opened(RawStore, OurRedis) as stores:
        progress("2 KB and chat")
        clocks = asyncio.run(_awaited(stores, scale))
    return {row: each.summary() for row, each in clocks.items()}


async def _awaited(stores: Stores, scale: Scale) -> dict[str, Clocks]:
    raw = copy.copy(stores[RawStore.name].worker.bytes)
    raw.client = redis.asyncio.Redis.from_url(stores[RawStore.name].server.url)
    ours = AsyncRedisSaver.from_url(stores[OurRedis.name].server.url)

    async def unpacked(thread: str) -> Any:
        return msgpack.unpackb(await raw.newest(thread))

    steps = small_steps("small", scale.puts)
    before, after = chat_steps(0, scale)
    found: dict[str, Clocks] = {}
    for name, first, timed, reads in (("2 KB", [], steps, raw.newest), ("chat", before, after, unpacked)):
        put, get = Clocks(BASE), Clocks(BASE)
        for step in first:
            await raw.put(step.thread, step.checkpoint_id, msgpack.packb(step.checkpoint))
            await ours.aput(step.parent, step.checkpoint, step.metadata)
        with quiet():
            for step in timed:
                packed = msgpack.packb(step.checkpoint)
                await put.arun(
                    {
                        RawStore.name: partial(raw.put, step.thread, step.checkpoint_id, packed),
                        OurRedis.name: partial(ours.aput, step.parent, step.checkpoint, step.metadata),
                    }
                )
            last = timed[-1]
            for number in range(scale.reads):
                newest = partial(ours.aget_tuple, config(last.thread))
                check_results(
                    await get.arun({RawStore.name: partial(reads, last.thread), OurRedis.name: newest}), [last], number
                )
        found |= {f"{name}: aput": put, f"{name}: aget_tuple": get}
    await ours.aclose()
    await raw.client.aclose()
    return found


def queued(scale: Scale, progress: Progress) -> Figures:
    """Put with ``durability="async"``: the caller's wait where steps take longer than storing, and puts in a row."""
    with opened(RawStore, OurRedis) as stores:
        saver = RedisSaver.from_url(stores[OurRedis.name].server.url, durability="async")
        progress("2 KB and chat")
        before, after = chat_steps(0, scale)
        found: Figures = {}
        for name, first, timed in (("2 KB", [], small_steps("small", scale.puts)), ("chat", before, after)):
            put = Clocks(BASE)
            for step in first:
                RawStore.put_call(stores[RawStore.name].worker, step)()
                saver.put(step.parent, step.checkpoint, step.metadata)
            saver.flush()
            with quiet():
                for step in timed:
                    put.run(
                        {
                            RawStore.name: RawStore.put_call(stores[RawStore.name].worker, step),
                            OurRedis.name: OurRedis.put_call(saver, step),
                        }
                    )
                    saver.flush()
            found[f"{name}: put, queued"] = put.summary()
        rows = Clocks(BASE)
        for block in range(scale.turns):
            steps = small_steps(f"row-{block}", scale.puts // 5)
            raw = [RawStore.put_call(stores[RawStore.name].worker, step) for step in steps]
            ours = [*(OurRedis.put_call(saver, step) for step in steps), saver.flush]
            with quiet():
                rows.run({RawStore.name: partial(make_all, raw), OurRedis.name: partial(make_all, ours)})
        saver.close()
    found["2 KB: puts in a row and a flush, each"] = {
        "waited": {
            name: each | {"p50": round(each["p50"] / len(steps), 1)} for name, each in rows.waited.summary().items()
        }
    }
    return found


def make_all(calls: Iterable[Call]) -> None:
    """Make calls one after the other."""
    for call in calls:
        call()


def serving(scale: Scale, progress: Progress) -> Figures:
    """The time of a put's script on the server, by its clock, and the server's CPU time of a step of a chat."""
    blocks = 20 if not scale.quick else 5
    scripts: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with opened(RawStore, OurRedis) as stores:
        progress("scripts of puts of 2 KB")
        for steps in batched(small_steps("small", scale.puts), scale.puts // blocks):
            for name, store in stores.items():
                calls = [store.put_call(store.worker, step) for step in steps]
                with store.server.metered() as meter:
                    make_all(calls)
                scripts.setdefault(name, []).append(meter.scripts / meter.script_calls)
        progress("steps of a chat")
        for steps in batched([step for part in chat_steps(0, scale) for step in part], scale.steps // blocks):
            for name, store in stores.items():
                pairs = [
                    (store.put_call(store.worker, step), store.put_writes_call(store.worker, step)) for step in steps
                ]
                with store.server.metered() as meter:
                    make_all([call for pair in pairs for call in pair])
                cpu.setdefault(name, []).append(meter.cpu / len(steps))
    ours, raw = OurRedis.name, RawStore.name
    ratio = statistics.median(a / b for a, b in zip(scripts[ours], scripts[raw], strict=True))
    return {
        "script of a put of 2 KB": {name: round(statistics.median(each), 1) for name, each in scripts.items()}
        | {"ratio": round(ratio, 3)},
        "CPU of a chat's step: put and put_writes": {
            name: round(statistics.mean(each), 1) for name, each in cpu.items()
        }
        | {"ratio": round(sum(cpu[ours]) / sum(cpu[raw]), 3)},
    }


def batched(steps: Sequence[Step], size: int) -> Iterator[Sequence[Step]]:
    """Divide steps into blocks; the last may be shorter."""
    return (steps[start : start + size] for start in range(0, len(steps), size))


def files(scale: Scale, progress: Progress) -> Figures:
    """Put, get_tuple and list(1) of 2 KB in a SQLite file, compared with ZeroGraph's own SqliteSaver."""
    base = EngineSqlite.name
    put, get, newest = Clocks(base), Clocks(base), Clocks(base)
    steps = small_steps("small", scale.puts)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        stores = [kind(Path(directory)) for kind in (EngineSqlite, OurSqlite)]
        workers = {store.name: store.worker for store in stores}
        progress("2 KB")
        with quiet():
            for step in steps:
                put.run({n: partial(w.put, step.parent, step.checkpoint, step.metadata) for n, w in workers.items()})
            for number, step in enumerate(random.Random(5).choices(steps[4::5], k=scale.puts)):
                where = config(step.thread)
                check_results(get.run({n: partial(w.get_tuple, where) for n, w in workers.items()}), [step], number)
                check_results(
                    newest.run({n: partial(w.list, where, limit=1) for n, w in workers.items()}), [step], number
                )
        for store in stores:
            store.close()
    rows = {"put": put, "get_tuple": get, "list(1)": newest}
    return {f"SQLite, 2 KB: {row}": clocks.summary() for row, clocks in rows.items()}
