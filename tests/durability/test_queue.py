"""Writes that are acknowledged before they are stored: who waits for them, when they are stored, what their failures do."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count

import fakeredis
import pytest
from support.data import at, fill, ids, state
from support.interrupts import interrupt_at
from support.polling import until
from support.stores import make_store
from zerograph import Interrupt

from zerograph_redis import (
    AsyncRedisSaver,
    BackendUnavailableError,
    ConfigError,
    ConflictError,
    InMemorySaver,
    LeaseHeldError,
    LeaseLostError,
    RedisSaver,
    SqliteSaver,
)
from zerograph_redis.savers import write_queue


def going_on(name, **values):
    """A checkpoint of a run that goes on."""
    return {**state(name, **values), "_next_nodes": ["next"]}


def put_chain(saver, count, thread="thread", start=0, **configurable):
    config = at(thread, **configurable)
    for number in range(start, start + count):
        config = saver.put(
            at(thread, id=f"c{number - 1}" if number else None, **configurable), going_on(f"c{number}"), {}
        )
    return config


@contextmanager
def at_a_standstill(server):
    """A server that is stopped, and does not answer."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@pytest.fixture
def server(new_server):
    return new_server()


@pytest.fixture
def saver(server):
    with RedisSaver.from_url(server.url, durability="async") as made:
        yield made


@pytest.fixture
def other(server):
    """A saver of another worker."""
    with RedisSaver.from_url(server.url) as made:
        yield made


def stored(other, thread="thread"):
    return ids(other.list(at(thread), limit=None))[::-1]


def test_a_put_returns_while_the_server_stands_still_and_is_stored_soon(server, saver, other):
    fill(other, 1)
    with at_a_standstill(server):
        put_chain(saver, 3, start=1)
        saver.put_writes(at(id="c3"), [("t", "a", 1)], "")
    until(lambda: other.get_pending_writes(at(id="c3")))
    assert stored(other) == ["c0", "c1", "c2", "c3"]


def test_every_other_call_on_a_thread_waits_for_its_queue(saver):
    asks = {
        "get_tuple": lambda: saver.get_tuple(at()).checkpoint["id"] == "c9",
        "get": lambda: saver.get(at())["id"] == "c9",
        "list": lambda: len(saver.list(at())) == 10,
        "get_by_id": lambda: saver.get_by_id("c9") is not None,
        "get_pending_writes": lambda: saver.get_pending_writes(at(id="c9")) == [("t", "a", 1)],
        "prune": lambda: saver.prune("thread", 3) == 7,
        "copy": lambda: saver.copy_thread("thread", "copy") == 10 and saver.delete_thread("copy") is None,
        "list_threads": lambda: [each.checkpoints for each in saver.list_threads()] == [10],
        "delete": lambda: saver.delete_thread("thread") is None and saver.get(at()) is None,
    }
    for name, ask in asks.items():
        put_chain(saver, 10)
        saver.put_writes(at(id="c9"), [("t", "a", 1)], "")
        assert ask(), name
        saver.delete_thread("thread")


def test_a_lease_is_taken_after_the_queue_and_released_after_the_writes_in_its_block(saver, other):
    put_chain(saver, 5)
    with saver.lease("thread") as lease:
        assert stored(other) == [f"c{number}" for number in range(5)]
        put_chain(saver, 5, start=5)
        saver.put(lease.config(checkpoint_id="c9"), going_on("c10"), {})
    assert stored(other) == [f"c{number}" for number in range(11)]


def test_a_put_with_durability_sync_waits_for_the_queue(saver, other):
    put_chain(saver, 5)
    saver.put(at(id="c4", durability="sync"), going_on("c5"), {})
    assert stored(other) == [f"c{number}" for number in range(6)]


def test_a_config_may_choose_another_durability(other):
    fill(other, 1)
    other.put(at(id="c0", durability="async"), going_on("c1"), {})
    assert other._queue.is_busy
    other.flush("thread")
    assert not other._queue.is_busy
    assert stored(other) == ["c0", "c1"]


@pytest.mark.parametrize("wrong", ["exit", "", None, True, 1, ["async"]])
def test_another_durability_is_refused(other, wrong):
    with pytest.raises(ConfigError, match="durability"):
        other.put(at(durability=wrong), state("c0"), {})
    with pytest.raises(ConfigError, match="durability"):
        other.put_writes(at(id="c0", durability=wrong), [("t", "a", 1)], "")
    with pytest.raises(ValueError, match="durability"):
        InMemorySaver(durability=wrong)


LAST = {
    "a run that ended": lambda saver: saver.put(at(id="c2"), {**going_on("c3"), "_next_nodes": []}, {}),
    "what a functional workflow returned": lambda saver: saver.put(at(id="c2"), state("c3"), {"source": "previous"}),
    "a checkpoint of an interrupt": lambda saver: saver.put(at(id="c2"), going_on("c3"), {"source": "interrupt"}),
    "a step that is stored again": lambda saver: [
        saver.put(at(id="c2"), {**going_on("c3"), "_step": 0}, {}),
        saver.put(at(id="c3"), {**going_on("c4"), "_step": 0}, {}),
    ],
    "the first step that is known of a run": lambda saver: saver.put(at(id="x"), {**going_on("c3"), "_step": 7}, {}),
    "an interrupt": lambda saver: saver.put_writes(at(id="c2"), [("t", "__interrupt__", Interrupt("go on?"))], ""),
}


@pytest.mark.parametrize("last", LAST)
def test_where_a_run_may_stop_all_is_stored_before_the_call_returns(saver, other, last):
    put_chain(saver, 3)
    LAST[last](saver)
    assert not saver._queue.is_busy
    assert stored(other)[:3] == ["c0", "c1", "c2"]
    assert len(stored(other)) > 3 or other.get_pending_writes(at(id="c2"))


def test_a_failure_drops_the_writes_behind_it_and_is_raised_by_the_next_call_on_the_thread(saver, other):
    put_chain(saver, 3)
    saver.flush()
    with other.lease("thread"):
        put_chain(saver, 2, start=3)
        until(lambda: not saver._queue._lines)
        with pytest.raises(
            write_queue.CheckpointError, match=r"thread 'thread' .* acknowledged .* not stored.* is held by"
        ) as e:
            saver.put(at(id="c4"), going_on("c5"), {})
        assert type(e.value).__name__ == "LeaseHeldError"
        assert e.value.owner
    assert stored(other) == ["c0", "c1", "c2"]
    put_chain(saver, 2, start=3)
    assert ids(saver.list(at())) == ["c4", "c3", "c2", "c1", "c0"]


ASKS = {
    "put": lambda saver: saver.put(at(), state("new"), {}),
    "put that is stored": lambda saver: saver.put(at(durability="sync"), state("new"), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="c0"), [("t", "a", 1)], ""),
    "get": lambda saver: saver.get(at()),
    "list": lambda saver: saver.list(at()),
    "lease": lambda saver: saver.lease("thread").__enter__(),
    "break_lease": lambda saver: saver.break_lease("thread"),
    "delete_thread": lambda saver: saver.delete_thread("thread"),
    "flush": lambda saver: saver.flush(),
    "flush of the thread": lambda saver: saver.flush("thread"),
    "close": lambda saver: saver.close(),
}


@pytest.mark.parametrize("ask", ASKS)
def test_a_failure_is_raised_once_by_whatever_asks_for_the_thread(tmp_path, ask):
    with SqliteSaver(tmp_path / "c.db", durability="async") as saver, SqliteSaver(tmp_path / "c.db") as other:
        fill(other, 1)
        fill(other, 1, thread="well")
        saver.put(at(expect_checkpoint_id="another"), going_on("c1"), {})
        until(lambda: not saver._queue._lines)
        assert saver.get(at("well"))
        assert [each.thread_id for each in saver.list_threads()] == ["well", "thread"]
        with pytest.raises(ConflictError, match="thread 'thread'"):
            ASKS[ask](saver)
        if ask != "close":
            saver.flush()
            saver.put(at(), going_on("c2"), {})
            assert ids(saver.list(at())) == ["c2", "c0"]


def test_several_failures_are_one_error_of_a_flush(tmp_path):
    with SqliteSaver(tmp_path / "c.db", durability="async") as saver:
        for thread in ("a", "b", "c"):
            saver.put(at(thread, expect_checkpoint_id="none"), going_on("c1"), {})
        with pytest.raises(ConflictError, match="thread 'a'") as error:
            saver.flush()
        assert ["thread 'b'" in note or "thread 'c'" in note for note in error.value.__notes__] == [True, True]
        saver.flush()


def test_a_failure_is_raised_by_every_call_that_waits(tmp_path):
    with SqliteSaver(tmp_path / "c.db", durability="async") as saver:
        fill(saver, 1)
        lock = sqlite3.connect(tmp_path / "c.db", isolation_level=None, check_same_thread=False)
        saver.flush()
        lock.execute("BEGIN IMMEDIATE")
        saver.put(at(expect_checkpoint_id="none"), going_on("c1"), {})
        raised = []

        def wait():
            with pytest.raises(ConflictError):
                saver.flush("thread")
            raised.append(True)

        waiting = [threading.Thread(target=wait) for _ in range(4)]
        for each in waiting:
            each.start()
        until(lambda: len(saver._queue._lines["thread"][-1].gates) == 4)
        lock.execute("ROLLBACK")
        lock.close()
        for each in waiting:
            each.join()
        assert raised == [True] * 4
        assert ids(saver.list(at())) == ["c0"]


def test_a_lease_that_is_broken_ends_in_a_prefix(saver, other):
    with pytest.raises(LeaseLostError, match="acknowledged"), saver.lease("thread", ttl=60):  # noqa: PT012 - the block's end
        put_chain(saver, 3)
        saver.flush()
        other.break_lease("thread")
        put_chain(saver, 5, start=3)
    assert stored(other) == ["c0", "c1", "c2"]
    put_chain(saver, 1, start=3)
    assert ids(saver.list(at()))[0] == "c3"


def test_a_block_that_is_left_by_an_exception_raises_that(saver, other):
    with pytest.raises(KeyError), saver.lease("thread", ttl=60):  # noqa: PT012 - the block's end
        other.break_lease("thread")
        put_chain(saver, 1)
        raise KeyError
    with pytest.raises(LeaseLostError):
        saver.flush("thread")
    closed = InMemorySaver(durability="async")
    with pytest.raises(KeyError), closed:  # noqa: PT012 - as above
        closed.put(at(expect_checkpoint_id="none"), going_on("c1"), {})
        raise KeyError


def test_a_stopped_server_fails_every_thread_in_the_queue(server):
    saver = RedisSaver.from_url(server.url, durability="async", timeout=0.5)
    put_chain(saver, 3, "a"), put_chain(saver, 1, "b")
    saver.flush()
    server.stop()
    begun = time.monotonic()
    for thread in [f"t{number}" for number in range(40)] + ["a"]:
        put_chain(saver, 2, thread, start=3)
    for thread in [f"t{number}" for number in range(40)] + ["a"]:
        with pytest.raises(BackendUnavailableError, match=f"thread '{thread}' .* acknowledged"):
            saver.flush(thread)
    assert time.monotonic() - begun < 15  # not half a second for each thread
    server.start()
    assert saver.get(at("a")) is None  # it kept nothing
    put_chain(saver, 2, "a")
    assert len(saver.list(at("a"))) == 2
    saver.close()


def test_a_full_queue_has_puts_wait(server, saver, monkeypatch):
    monkeypatch.setattr(write_queue, "MOST_BYTES", 300_000)
    put_chain(saver, 1)
    saver.flush()
    done = []

    def put():
        for number in range(6):
            saver.put(at(id="c0"), going_on(f"c{number}", text="x" * 100_000), {})
            done.append(number)

    with at_a_standstill(server):
        putting = threading.Thread(target=put)
        putting.start()
        until(lambda: saver._queue._full)
        assert done == [0, 1]
        assert saver._queue._bytes <= 300_000
    putting.join()
    assert len(saver.list(at())) == 6
    saver.put(at(), going_on("c7", text="x" * 400_000), {})  # more than the queue takes: alone it may
    assert len(saver.list(at())) == 7


def test_a_closed_saver_has_stored_all_and_takes_nothing(server, other):
    saver = RedisSaver.from_url(server.url, durability="async")
    put_chain(saver, 20)
    saver.close()
    assert len(stored(other)) == 20
    with pytest.raises(BackendUnavailableError, match="closed"):
        saver.put(at(), going_on("c20"), {})
    saver.close()


def test_awaiting_leaves_the_event_loop_free(server):
    async def main():
        async with AsyncRedisSaver.from_url(server.url, durability="async") as saver:
            await saver.aput(at(), going_on("c0"), {})
            await saver.aflush()
            with at_a_standstill(server):
                for number in range(1, 10):
                    await saver.aput(at(id=f"c{number - 1}"), going_on(f"c{number}"), {})
                    await saver.aput_writes(at(id=f"c{number}"), [("t", "a", number)], "")
                waiting = [
                    asyncio.ensure_future(each) for each in (saver.aget(at()), saver.aflush(), saver.aflush("thread"))
                ]
                await asyncio.sleep(0.05)
                assert not any(each.done() for each in waiting)
                waiting[2].cancel()
            found, *_ = await asyncio.gather(*waiting, return_exceptions=True)
            assert found["id"] == "c9"
            await saver.aput(at(id="c9"), {**going_on("c10"), "_next_nodes": []}, {})
            assert not saver._queue.is_busy
            async with saver.alease("thread") as lease:
                await saver.aput(lease.config(checkpoint_id="c10"), going_on("c11"), {})
            assert [each.checkpoint["id"] for each in await saver.alist(at(), limit=2)] == ["c11", "c10"]

    asyncio.run(main())


def test_the_child_of_a_fork_begins_with_an_empty_queue_and_the_parent_keeps_its_own(server, saver, other):
    put_chain(saver, 3)
    saver.flush()
    with at_a_standstill(server):
        put_chain(saver, 3, start=3)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if not saver._queue.is_busy else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if child == 0:
        code = 1
        try:
            put_chain(saver, 3, "the child's")
            saver.flush()
            code = 0
        finally:
            os._exit(code)
    put_chain(saver, 3, start=6)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    saver.flush()
    assert stored(other) == [f"c{number}" for number in range(9)]
    assert stored(other, "the child's") == ["c0", "c1", "c2"]


def test_threads_of_many_os_threads_keep_their_order(saver, other):
    def use(thread):
        put_chain(saver, 50, thread)

    users = [threading.Thread(target=use, args=(f"t{number}",)) for number in range(8)]
    for each in users:
        each.start()
    for each in users:
        each.join()
    saver.flush()
    for number in range(8):
        assert stored(other, f"t{number}") == [f"c{each}" for each in range(50)]


def test_what_the_caller_does_to_its_state_later_does_not_matter():
    saver = RedisSaver(fakeredis.FakeRedis(), durability="async")
    messages = []
    for number in range(20):
        messages.append(f"message {number} " + "x" * 600)
        saver.put(at(), going_on(f"c{number}", messages=messages), {})
    messages.clear()
    assert [len(each.checkpoint["channel_values"]["messages"]) for each in saver.list(at(), limit=None)] == [
        *range(20, 0, -1)
    ]
    saver.close()


def test_a_writer_that_has_nothing_to_do_ends(monkeypatch):
    monkeypatch.setattr(write_queue, "POLLS", 2)
    monkeypatch.setattr(write_queue, "IDLE", 0.01)
    with InMemorySaver(durability="async") as saver:
        for _ in range(3):
            saver.put(at(), going_on("c0"), {})
            until(lambda: not saver._queue._lines and not saver._queue._is_writing)


def test_an_interrupted_wait_leaves_the_queue_as_it_is(server, saver):
    def interrupt(*_):
        raise KeyboardInterrupt

    put_chain(saver, 1)
    saver.flush()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with at_a_standstill(server):
            put_chain(saver, 2, start=1)
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come before the wait
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                saver.flush()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ids(saver.list(at())) == ["c2", "c1", "c0"]


def test_on_a_cluster_threads_of_all_nodes_are_stored_side_by_side_and_listed(request):
    store = make_store("cluster-sync", request)
    saver = store.open_bare(durability="async")
    names = [f"t{number}" for number in range(30)]
    for _ in range(2):
        for name in names:
            put_chain(saver, 3, name)
            saver.put_writes(at(name, id="c2"), [("t", "a", name)], "")
        saver.flush()
    other = store.open_bare()
    assert sorted(each.thread_id for each in other.list_threads(limit=None)) == sorted(names)
    for name in names:
        assert stored(other, name) == ["c0", "c1", "c2"]
        assert other.get_pending_writes(at(name, id="c2")) == [("t", "a", name)]
    with other.lease(names[0]):
        for name in names:
            put_chain(saver, 1, name, start=3)
        with pytest.raises(LeaseHeldError, match=f"'{names[0]}'"):
            saver.flush()
    assert [stored(other, name)[-1] for name in names] == ["c2", *["c3"] * 29]
    store.close()


@pytest.mark.parametrize("options", [{}, {"keep_last": 2}, {"max_age": 0.001}, {"compression": "zstd"}, {"ttl": 60}])
def test_batches_keep_what_single_puts_keep(tmp_path, server, options):
    savers = [
        RedisSaver.from_url(server.url, durability="async", **options),
        SqliteSaver(tmp_path / "c.db", durability="async", **options),
    ]
    for saver in savers:
        rows = [f"message {number} " + "x" * 700 for number in range(40)]
        for number in range(70):  # a window that slides, now and then a state without parts, and ids that come again
            values = {} if number % 9 == 5 else {"rows": rows[number % 7 : number % 7 + number % 13]}
            saver.put(at(id="x"), going_on(f"c{number % 50}", **values), {"n": number})
            saver.put_writes(at(id=f"c{number % 50}"), [("t", "a", number)], "")
        found = saver.list(at(), limit=None)
        retains = "keep_last" in options or "max_age" in options
        assert found[0].checkpoint["id"] == ("c19" if retains else "c49")  # an id that is known keeps its place
        assert len(found) == options.get("keep_last", 50) or "max_age" in options
        for each in found:
            number = each.metadata["n"]
            expected = {} if number % 9 == 5 else {"rows": rows[number % 7 : number % 7 + number % 13]}
            assert each.checkpoint["channel_values"] == expected
            assert each.pending_writes == [("t", "a", number)]
        saver.close()


def test_a_refused_batch_is_stored_one_by_one(server, saver, other):
    text = "x" * 3000
    put_chain(saver, 1)
    for number in range(1, 4):
        saver.put(at(id="c0"), going_on(f"c{number}", text=text), {})
    saver.flush()
    other.delete_thread("thread")  # what the next batch would build on
    for number in range(4, 8):
        saver.put(at(id=f"c{number - 1}"), going_on(f"c{number}", text=text + str(number)), {})
    saver.flush()
    assert stored(other) == [f"c{number}" for number in range(4, 8)]
    assert other.get(at())["channel_values"]["text"] == text + "7"


@pytest.mark.parametrize("call", ["put", "put that is stored", "flush"])
def test_a_signal_at_any_point_leaves_the_queue_whole(call):
    """The writer's own steps are not interrupted: signals are for the main thread."""
    with InMemorySaver(max_per_thread=None, durability="async") as saver:
        whole = []

        def act(number):
            if call == "flush":
                saver.flush()
            else:
                saver.put(at(durability="sync" if "stored" in call else "async"), going_on(f"c{number}"), {})
                whole.append(number)

        for number in count():
            if call == "flush":
                saver.put(at(), going_on(f"c{number}"), {})
                whole.append(number)
            if not interrupt_at(number, partial(act, number)):
                break
        saver.flush()
        assert not saver._queue.is_busy
        assert saver._queue._bytes == 0
        found = [int(each[1:]) for each in ids(saver.list(at(), limit=None))][::-1]
        assert found == sorted(set(found))
        assert set(whole) <= set(found)
        assert number > 20


def test_a_signal_handler_may_use_the_saver_at_any_point_of_a_put():
    with InMemorySaver(max_per_thread=None, durability="async") as saver:
        handled = []

        def handler(number):
            saver.put(at(), going_on(f"h{number}"), {})
            handled.append(f"h{number}")
            with suppress(BackendUnavailableError):  # it may hold what the writer waits for
                assert saver.get(at()) is not None

        for number in count():
            left, called = number, []

            def count_down(_frame, event, _argument, number=number, called=called):
                nonlocal left
                if event in {"call", "c_return"}:
                    left -= 1
                    if left == -1:
                        called.append(True)
                        handler(number)

            sys.setprofile(count_down)
            try:
                saver.put(at(), going_on(f"c{number}"), {})
            finally:
                sys.setprofile(None)
            if not called:
                break
        found = set(ids(saver.list(at(), limit=None)))
        assert found == {f"c{each}" for each in range(number + 1)} | set(handled)
        assert number > 20
