"""Many workers on one store: processes, forks, OS threads, event loops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import fakeredis
import pytest
from support.data import at, cancel_puts_anywhere, fill, ids, place, state, thread_info
from support.interrupts import Interrupted, interrupt_at
from support.stores import make_store, matrix
from zerograph import Command

import zerograph_redis
from zerograph_redis import AsyncRedisSaver, EncryptedSerializer, RedisSaver, SqliteSaver, fork_hooks, open_saver

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(HERE), str(Path(zerograph_redis.__file__).parent.parent)]),
    "PYTHONUNBUFFERED": "1",
}


@contextmanager
def worker(*arguments, script="worker"):
    """A process that has ended when the block ends, whatever happens."""
    command = [sys.executable, str(HERE / "support" / f"{script}.py"), *map(str, arguments)]
    process = subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            # The whole group: a fork that hangs would outlive its parent, and hold the pipes open.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ended(process, seconds=90):
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out.splitlines()


@pytest.fixture(params=["redis", "sqlite"])
def place_to_share(request, tmp_path):
    """A URL and a prefix that processes can share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shared.db'}", "p"
    else:
        store = make_store("redis-sync", request)
        yield store.url, store.prefix
        store.close()


def test_a_worker_continues_what_another_one_was_killed_in(place_to_share):
    url, prefix = place_to_share
    with worker("start", url, prefix) as first:
        assert first.stdout.readline() == "inside\n"
        first.kill()
        first.wait()
        assert first.returncode == -9
    with worker("continue", url, prefix) as second:
        lines = ended(second)
    assert lines[0] == "inside"
    assert json.loads(lines[1]) == {"log": ["start", "first after 1", "worked after 2", "last after 3"]}
    with open_saver(url, prefix=prefix) as saver:
        assert saver.get(at())["channel_values"]["log"] == json.loads(lines[1])["log"]


def test_a_worker_continues_what_this_process_was_interrupted_in(place_to_share):
    from support import graphs

    url, prefix = place_to_share
    with open_saver(url, prefix=prefix) as saver:
        app = graphs.approval(checkpointer=saver)
        app.invoke({"log": ["start"]}, at())
        assert len(app.get_state_history(at())[0].interrupts) == 1
    code = (
        "import sys, json; from support import graphs; from support.data import at; from zerograph import Command\n"
        "from zerograph_redis import open_saver\n"
        "with open_saver(sys.argv[1], prefix=sys.argv[2]) as saver:\n"
        "    print(json.dumps(graphs.approval(checkpointer=saver).invoke(Command(resume='yes'), at())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url, prefix],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["log"] == ["start", "before after 1", "answered yes", "after after 3"]
    with open_saver(url, prefix=prefix) as saver:
        assert graphs.approval(checkpointer=saver).get_state(at()).values == json.loads(done.stdout)


def test_processes_that_hammer_one_store_lose_nothing(place_to_share):
    url, prefix = place_to_share
    names, rounds = ("a", "b", "c", "d"), 40
    processes = [worker("hammer", url, prefix, name, rounds) for name in names]
    started = [each.__enter__() for each in processes]
    try:
        assert [ended(each) for each in started] == [["done"]] * len(names)
    finally:
        for each in processes:
            each.__exit__(None, None, None)
    with open_saver(url, prefix=prefix) as saver:
        shared = ids(saver.list(at("shared"), limit=None))
        assert sorted(shared) == sorted(f"{name}-{number}" for name in names for number in range(rounds))
        for name in names:
            own = [each for each in shared if each.startswith(name)]
            assert own == [f"{name}-{number}" for number in range(rounds - 1, -1, -1)]
            assert len(saver.list(at(f"own {name}"), limit=None)) == rounds
        assert len(saver.get_pending_writes(at("shared", id="all"))) == len(names) * rounds


@pytest.mark.parametrize(
    "busy", [pytest.param(0, id="alone", marks=pytest.mark.full), pytest.param(3, id="beside-busy-threads")]
)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "async-redis"])
def test_parent_and_child_of_a_fork_keep_working(kind, busy, request, tmp_path):
    with ExitStack() as stack:
        where, prefix = tmp_path / "forked.db", "p"
        if "redis" in kind:
            store = make_store("redis-sync", request)
            stack.callback(store.close)
            where, prefix = store.url, store.prefix
        process = stack.enter_context(worker(kind, where, prefix, busy, script="forked"))
        assert ended(process) == ["[0, 0]"]


def together(count, work):
    """Run `work(number)` in so many OS threads that all begin at the same time."""
    barrier = threading.Barrier(count)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


@pytest.fixture(
    params=matrix(
        ["memory-sync", "sqlite-sync", "fakeredis-sync", "redis-sync", "redis-decoded-sync", "redis-async"],
        usual={"memory-sync", "sqlite-sync", "redis-sync", "redis-async"},
    )
)
def threaded_store(request):
    store = make_store(request.param, request)
    yield store
    store.close()


def test_many_os_threads_use_one_saver_at_once(threaded_store):
    saver = threaded_store.open_bare()

    def work(number):
        for each in range(15):
            config = saver.put(at(f"t{number}"), state(f"c{each}", n=(number, each)), {})
            saver.put_writes(config, [("t", "a", each)], "")
            found = saver.get_tuple(at(f"t{number}"))
            assert found.checkpoint["channel_values"]["n"] == (number, each)
            assert found.pending_writes == [("t", "a", each)]
        return len(saver.list(at(f"t{number}"), limit=None))

    assert together(12, work) == [15] * 12
    assert len(saver.list_threads()) == 12


def test_parallel_tasks_lose_no_write_of_one_checkpoint(threaded_store):
    saver = threaded_store.open_bare()
    fill(saver, 1)

    def work(number):
        for each in range(15):
            saver.put_writes(at(id="c0"), [(f"task {number}", str(each), each)], "")

    together(10, work)
    found = saver.get_tuple(at()).pending_writes
    assert len(found) == 150
    for number in range(10):
        own = [value for task, _, value in found if task == f"task {number}"]
        assert own == list(range(15))


def test_parallel_puts_to_one_thread_have_one_order_that_each_writer_agrees_with(threaded_store):
    saver = threaded_store.open_bare()

    def work(number):
        for each in range(15):
            saver.put(at(), state(f"{number}-{each}"), {})

    together(10, work)
    found = ids(saver.list(at(), limit=None))
    assert len(set(found)) == len(found) == 150
    for number in range(10):
        own = [each for each in found if each.startswith(f"{number}-")]
        assert own == [f"{number}-{each}" for each in range(14, -1, -1)]
    assert thread_info(saver).checkpoints == 150


def test_only_one_of_many_copies_to_one_target_wins(threaded_store):
    saver = threaded_store.open_bare()
    for number in range(6):
        fill(saver, 30, f"source {number}")
        saver.put(at(f"source {number}"), state(f"mark {number}"), {})

    def work(number):
        try:
            return saver.copy_thread(f"source {number}", "target")
        except ValueError:
            return None

    results = together(6, work)
    (winner,) = [number for number, count in enumerate(results) if count is not None]
    assert results[winner] == 31
    assert saver.get(at("target"))["id"] == f"mark {winner}"
    assert len(saver.list(at("target"), limit=None)) == 31


def test_reading_while_others_write_and_prune_is_always_whole(threaded_store):
    saver = threaded_store.open_bare()
    fill(saver, 5)

    def work(number):
        for each in range(20):
            if number % 4 == 0:
                config = saver.put(at(), state(f"{number}-{each}", text="x" * 2000), {})
                saver.put_writes(config, [("t", "a", "y" * 500)], "")
            elif number % 4 == 1:
                saver.prune("thread", 3)
            else:
                found = saver.get_tuple(at())
                assert found is not None
                assert all(value == "y" * 500 for *_, value in found.pending_writes)
                listed = saver.list(at())
                assert len(set(ids(listed))) == len(listed)

    together(8, work)


def test_threads_on_a_file_never_see_a_locked_database(tmp_path):
    savers = [SqliteSaver(tmp_path / "c.db") for _ in range(4)]

    def work(number):
        saver = savers[number % 4]
        for each in range(20):
            saver.put(at(f"{number % 3}"), state(f"{number}-{each}", text="x" * 5000), {})
            saver.list(at(f"{(number + 1) % 3}"))
            saver.list_threads()

    together(16, work)
    assert sum(each.checkpoints for each in savers[0].list_threads()) == 320
    for each in savers:
        each.close()


def test_many_processes_may_open_a_new_file_at_the_same_time(tmp_path):
    for attempt in range(3):
        path = tmp_path / f"new{attempt}.db"

        def work(number, path=path):
            with SqliteSaver(path) as saver:
                saver.put(at(f"{number}"), state("c"), {})

        together(12, work)
        with SqliteSaver(path) as saver:
            assert len(saver.list_threads()) == 12


def test_one_async_saver_serves_event_loops_one_after_the_other(real_store):
    saver = AsyncRedisSaver.from_url(real_store.url, prefix=real_store.prefix)

    async def use(number):
        await saver.aput(at(), state(f"c{number}"), {})
        found = await saver.aget_tuple(at())
        await saver._async_clients.aclose()
        return place(found.config)[2]

    assert [asyncio.run(use(number)) for number in range(3)] == ["c0", "c1", "c2"]
    saver.close()


def test_one_async_saver_serves_event_loops_of_several_os_threads_at_once(real_store):
    saver = AsyncRedisSaver.from_url(real_store.url, prefix=real_store.prefix)

    def work(number):
        async def use():
            async def task(each):
                config = await saver.aput(at(f"{number}"), state(f"c{each}"), {})
                await saver.aput_writes(config, [("t", "a", each)], "")
                return (await saver.aget_tuple(config)).pending_writes

            found = await asyncio.gather(*(task(each) for each in range(20)))
            await saver._async_clients.aclose()
            return found

        return asyncio.run(use())

    for found in together(4, work):
        assert found == [[("t", "a", each)] for each in range(20)]
    assert len(saver.list_threads()) == 4
    saver.close()


def test_an_awaited_call_that_is_cancelled_leaves_the_saver_usable(real_store):
    async def use():
        async with AsyncRedisSaver.from_url(real_store.url, prefix=real_store.prefix) as saver:
            await cancel_puts_anywhere(saver)

    asyncio.run(use())


def test_two_clients_of_one_server_are_two_workers(real_store):
    with (
        RedisSaver.from_url(real_store.url, prefix=real_store.prefix) as one,
        RedisSaver.from_url(real_store.url, prefix=real_store.prefix) as other,
    ):
        from support import graphs

        graphs.approval(checkpointer=one).invoke({"log": []}, at())
        result = graphs.approval(checkpointer=other).invoke(Command(resume="yes"), at())
        assert result["log"] == ["before after 0", "answered yes", "after after 2"]


def test_processes_and_threads_that_write_to_one_encrypted_checkpoint_lose_nothing(place_to_share):
    url, prefix = place_to_share
    config, serializer = {"configurable": {"checkpoint_id": "all"}}, EncryptedSerializer({"key": bytes(32)})
    with ExitStack() as stack:
        running = [stack.enter_context(worker("encrypt", url, prefix, f"process {name}", 15)) for name in range(3)]
        saver = stack.enter_context(open_saver(url, prefix=prefix, serializer=serializer))
        pool = stack.enter_context(ThreadPoolExecutor(8))
        writing = [
            pool.submit(saver.put_writes, config, [(f"thread {name}", str(number), number)], "")
            for number in range(5)
            for name in range(8)
        ]
        for each in writing:
            each.result()
        for process in running:
            ended(process)
        found = saver.get_pending_writes(config)
    expected = {(f"process {name}", str(number)) for name in range(3) for number in range(15)}
    expected |= {(f"thread {name}", str(number)) for name in range(8) for number in range(5)}
    assert {(task, channel) for task, channel, _ in found} == expected
    assert len(found) == len(expected)
    # Those of one writer are in its order.
    assert [value for task, _, value in found if task == "process 1"] == list(range(15))


def hooks_of_a_fork():
    """What Python calls around a fork, in the parent; it drops what is raised there."""
    for hook in (fork_hooks._before, partial(fork_hooks._after, child=False), partial(fork_hooks._after, child=False)):
        try:
            hook()
        except Interrupted:
            pass


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_signal_handler_raises_around_a_fork_leaves_no_lock_taken(count):
    """Savers on one client, as of a cluster, share its locks."""
    locks = [threading.RLock(), threading.RLock()]
    savers = [RedisSaver(fakeredis.FakeRedis()) for _ in range(count)]
    for saver in savers:
        saver._transport.locks = lambda: locks
    with ThreadPoolExecutor(1) as other:

        def is_free(lock):
            return lock.acquire(blocking=False) and lock.release() is None

        number = 0
        while interrupt_at(number, hooks_of_a_fork):
            assert all(other.submit(is_free, lock).result() for lock in locks), f"interrupted at point {number}"
            number += 1
    assert number > 10
