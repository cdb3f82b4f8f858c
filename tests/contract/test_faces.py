"""What differs between blocking and awaited methods: the event loop, cancelling, the context of a lease, closing.

Every other test of the contract sees a store through one of the two; with ``--full`` through both.
"""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from support.data import at, cancel_puts_anywhere, everything, fill, ids, place, state
from support.faces import AsyncFace, SyncFace
from support.stores import opened

from zerograph_redis import BackendUnavailableError, ConfigError, ConflictError, LeaseHeldError

CALLS = {
    "get_tuple": (at(), at("")),
    "get": (at(), at("")),
    "get_by_id": ("c0", ("", "thread")),
    "put": ((at(), state("c1"), {}), (at(""), state("c1"), {})),
    "put_writes": ((at(id="c0"), [("t", "a", 1)], ""), (at(), [("t", "a", 1)], "")),
    "get_pending_writes": (at(id="c0"), at("", id="c0")),
    "list": (at(), at("")),
    "prune": (("thread", 1), ("thread", -1)),
    "delete_thread": ("thread", ""),
    "break_lease": ("thread", ""),
    "copy_thread": (("thread", "copy"), ("thread", "")),
    "list_threads": (1, -1),
}
"""Arguments of every operation, and wrong ones."""


def call(saver, name, arguments):
    return getattr(saver, name)(*(arguments if isinstance(arguments, tuple) else (arguments,)))


@pytest.fixture(params=[f"{backend}-async" for backend in ("memory", "sqlite", "fakeredis", "redis", "cluster")])
def store(request):
    """Every backend, for savers with both kinds of methods."""
    yield from opened(request)


@pytest.fixture
def saver(store):
    return store.open_bare()


@pytest.fixture
def run(store):
    return store.runner.run


def use(face, thread):
    """Use every method; returns what they returned, with the thread's name left out."""
    found = [[place(each)[1:] for each in (face.put(at(thread), state("c0"), {"step": 0}),)]]
    fill(face, 4, thread, start=1)
    fill(face, 2, thread, "inner")
    face.put_writes(at(thread, id="c4"), [("t", "a", (1, b"\xff")), ("", "b", None)], "u")
    found.append(face.get_pending_writes(at(thread, id="c4")))
    found.append(everything(face, thread, "", "inner"))
    found.append(face.get(at(thread, id="c1")))
    found.append(face.get_by_id("c2", thread).checkpoint)
    found.append(ids(face.list(at(thread), limit=2, filter={"step": 3})))
    with face.lease(thread, ttl=60) as lease:
        found.append(lease.token > 0)
        with pytest.raises(ConflictError):
            face.put(lease.config(expect_checkpoint_id="c1"), state("c9"), {})
        with pytest.raises(LeaseHeldError):
            face.stranger().prune(thread, 1)
        found.append(face.break_lease(thread) is not None)
    found.append([face.prune(thread, 2), face.copy_thread(thread, f"{thread} copied")])
    found.append(everything(face, f"{thread} copied", "", "inner"))
    found.append([each.checkpoints for each in face.list_threads() if each.thread_id.startswith(thread)])
    face.delete_thread(f"{thread} copied")
    found.append([each.checkpoints for each in face.list_threads() if each.thread_id.startswith(thread)])
    face.flush()
    return found


def test_awaited_methods_return_what_blocking_ones_do(store, saver):
    assert use(AsyncFace(saver, store.runner), "awaited") == use(SyncFace(saver), "blocking")


def test_invalid_arguments_are_refused_when_the_call_is_awaited(saver, run):
    for name, (_, wrong) in CALLS.items():
        with pytest.raises(ConfigError):
            run(call(saver, f"a{name}", wrong))


def test_tasks_of_one_event_loop_share_a_saver(saver, run):
    async def main():
        await asyncio.gather(*(saver.aput_writes(at(id="c0"), [(f"t{n}", "a", n)], "") for n in range(50)))
        await asyncio.gather(*(saver.aput(at(), state(f"c{n}"), {}) for n in range(50)))
        return await saver.aget_pending_writes(at(id="c0")), await saver.alist(at(), limit=None)

    writes, listed = run(main())
    assert sorted(value for *_, value in writes) == list(range(50))
    assert sorted(ids(listed)) == sorted(f"c{n}" for n in range(50))


def test_a_call_that_is_cancelled_anywhere_leaves_the_saver_usable(saver, run):
    run(cancel_puts_anywhere(saver))


def test_the_event_loop_runs_while_a_task_waits_for_a_lease(saver, run):
    async def hold(taken):
        async with saver.alease("thread", ttl=60) as lease:
            taken.set()
            for _ in range(5):
                await asyncio.sleep(0.01)
            return lease.token

    async def main():
        taken = asyncio.Event()
        # If waiting blocked the loop, the lease would never be given back.
        holder = asyncio.create_task(hold(taken))
        await taken.wait()
        async with saver.alease("thread", ttl=60, wait=20) as lease:
            assert lease.token > await holder

    run(main())


def test_a_lease_covers_tasks_and_threads_that_its_block_starts_and_no_others(saver, run):
    async def main():
        async with saver.alease("thread", ttl=60):
            await asyncio.create_task(saver.aput(at(), state("in a task"), {}))
            await asyncio.to_thread(saver.put, at(), state("in a thread"), {})
            saver.put(at(), state("blocking"), {})
            with pytest.raises(LeaseHeldError):
                await asyncio.create_task(saver.aput(at(), state("x"), {}), context=contextvars.Context())
            with pytest.raises(LeaseHeldError):
                await asyncio.to_thread(contextvars.Context().run, saver.put, at(), state("x"), {})
        return await saver.alist(at())

    assert ids(run(main())) == ["blocking", "in a thread", "in a task"]


@pytest.mark.unchecked
def test_a_closed_saver_refuses_both_kinds_of_methods(saver, run):
    async def main():
        async with saver:
            await saver.aput(at(), state("c0"), {})
        await saver.aclose()

    run(main())
    for name, (right, _) in CALLS.items():
        with pytest.raises(BackendUnavailableError, match="closed"):
            run(call(saver, f"a{name}", right))
        with pytest.raises(BackendUnavailableError, match="closed"):
            call(saver, name, right)
