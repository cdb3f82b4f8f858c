"""Spans belong to the span of whoever called, in whatever task or thread."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from support.data import at, state
from support.faces import AsyncFace
from support.polling import until
from support.stores import make_store

from zerograph_redis import InMemorySaver, LeaseHeldError

MESSAGES = [f"message {number} " + "x" * 100 for number in range(20)]


@pytest.fixture(params=["sqlite", "redis", "cluster"])
def bare(request, exported):
    """A saver with awaited methods, on a store that is closed in the same event loop."""
    store = make_store(f"{request.param}-async", request)
    yield store.open_bare(telemetry=exported.telemetry), store.runner
    store.close()


def from_here(store, saver):
    """The same saver, called from this context: a runner of asyncio has another context."""
    return AsyncFace(saver.saver, store.runner, contextvars.copy_context()) if store.asynchronous else saver


def test_an_operation_is_a_child_of_the_span_around_it_and_not_of_the_one_before(store, saver, exported):
    def work():
        with exported.tracer.start_as_current_span("step") as step:
            inside = from_here(store, saver)
            inside.put(at(), state("c0"), {})
            inside.get(at())
        from_here(store, saver).list(at())
        return step

    step = contextvars.copy_context().run(work)
    put, get, outside = exported.spans("put", "get", "list")
    assert put.parent.span_id == get.parent.span_id == step.get_span_context().span_id
    assert put.context.trace_id == get.context.trace_id == step.get_span_context().trace_id
    assert outside.parent is None


def test_awaited_operations_side_by_side_do_not_mix(bare, exported):
    saver, runner = bare

    async def step(number):
        with exported.tracer.start_as_current_span("step", attributes={"number": number}):
            config = at(f"thread {number}")
            for each in range(5):
                config = await saver.aput(config, state(f"c{each}", messages=MESSAGES * number, last=each), {})
                assert trace.get_current_span().attributes == {"number": number}
            await asyncio.gather(saver.aget_tuple(config), saver.aget_pending_writes(config))

    async def main():
        await asyncio.gather(*(step(number) for number in range(1, 9)))

    runner.run(main())
    spans = exported.spans()
    steps = {span.context.span_id: span.attributes["number"] for span in spans if span.name == "step"}
    operations = [span for span in spans if span.name != "step"]
    assert len(steps) == 8
    assert len(operations) == 8 * 7
    for span in operations:
        assert span.attributes["zerograph_redis.thread.id"] == f"thread {steps[span.parent.span_id]}"
    for number in range(1, 9):
        mine = [span for span in exported.spans("put") if steps[span.parent.span_id] == number]
        assert [span.attributes["zerograph_redis.checkpoint.id"] for span in mine] == [f"c{each}" for each in range(5)]
        assert mine[0].attributes["zerograph_redis.bytes.sent"] > 2000 * number


@pytest.mark.parametrize("name", ["sqlite-sync", "redis-sync", "cluster-sync"])
def test_blocking_operations_of_many_threads_do_not_mix(name, request, exported):
    store = make_store(name, request)
    saver = store.open(telemetry=exported.telemetry)

    def step(number):
        with exported.tracer.start_as_current_span("step", attributes={"number": number}):
            saver.put(at(f"thread {number}"), state("c0"), {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(20)))
    store.close()
    steps = {span.context.span_id: span.attributes["number"] for span in exported.spans("step")}
    assert len(steps) == len(exported.spans("put")) == 20
    for span in exported.spans("put"):
        assert span.attributes["zerograph_redis.thread.id"] == f"thread {steps[span.parent.span_id]}"


def test_a_cancelled_operation_has_ended_as_an_error(exported):
    class Stalled:
        def __init__(self):
            self.asked = asyncio.Event()

        async def aexecute(self, request):
            self.asked.set()
            await asyncio.Event().wait()

    async def main():
        saver = InMemorySaver(telemetry=exported.telemetry)
        saver.store.backend, inner = Stalled(), saver.store.backend
        task = asyncio.create_task(saver.aput(at(), state("c0"), {}))
        await saver.store.backend.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        inner.close()

    asyncio.run(main())
    span = exported.span("put")
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert span.attributes["zerograph_redis.thread.id"] == "thread"


def test_the_renewals_of_a_lease_are_children_of_the_span_around_its_block(store, saver, exported):
    def work():
        with exported.tracer.start_as_current_span("step") as step, from_here(store, saver).lease("thread", ttl=0.9):
            until(lambda: exported.spans("renew_lease"))
        return step

    step = contextvars.copy_context().run(work)
    renewals = exported.spans("renew_lease")
    assert {span.parent.span_id for span in renewals} == {step.get_span_context().span_id}


def test_waiting_for_a_lease_leaves_the_event_loop_free_and_is_measured(bare, exported):
    saver, runner = bare

    async def hold(taken):
        async with saver.alease("thread"):
            taken.set()
            await asyncio.sleep(0.2)

    async def main():
        taken = asyncio.Event()
        holder = asyncio.create_task(hold(taken))
        await taken.wait()
        with pytest.raises(LeaseHeldError):
            async with saver.alease("thread"):
                pass
        async with saver.alease("thread", wait=20):
            pass
        await holder

    runner.run(main())
    (point,) = exported.points("zerograph_redis.lease.wait.duration")
    assert point.count == 1
    assert 0.05 < point.sum < 20
