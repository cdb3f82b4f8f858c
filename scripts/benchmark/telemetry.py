"""What telemetry costs: a saver without it and with it, by its own operations run without the saver's methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider

from zerograph_redis import RedisSaver, Telemetry
from zerograph_redis.core.drive import run

from .backends import OurRedis
from .measure import Rounds, quiet
from .sizes import again
from .workloads import Chat, Scale, Small, Step, config

__all__ = ("KINDS", "telemetry")

BASE = "direct"
KINDS = {
    BASE: "operations alone",
    "direct again": "the same, for chance",
    "off": "the default",
    "api": "on, no SDK",
    "sdk": "on, SDK",
}


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        """Drop them."""
        return SpanExportResult.SUCCESS


class Direct:
    """A saver's operations, driven as before there was telemetry."""

    def __init__(self, saver: RedisSaver) -> None:
        """Drive those of *saver*."""
        self._saver = saver

    def put(self, *given: Any) -> Any:
        """See `RedisSaver`."""
        return run(self._saver._operations.put(*given), self._saver._backend)  # noqa: SLF001 - what is compared with

    def get_tuple(self, where: Any) -> Any:
        """See `RedisSaver`."""
        return run(self._saver._operations.get_tuple(where), self._saver._backend)  # noqa: SLF001 - as above


def telemetry(ours: OurRedis, scale: Scale, say: Callable[[str], None]) -> dict[str, Any]:
    """Put and get_tuple of states of two sizes, each kind on a thread of its own."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {kind: worker(kind, ours, stack) for kind in KINDS}
        for name, step in (
            ("2 KB", list(islice(Small().thread("2 KB", 9), 3))[-1]),
            ("150 KB", list(islice(Chat().thread("150 KB", 9), 450))[-1]),
        ):
            say(f"states of {name}")
            threads = {kind: of(kind, step) for kind in KINDS}
            put, get = Clocks(), Clocks()
            with quiet():
                for number in range(scale.puts):
                    put.run({kind: putting(each, threads[kind], number) for kind, each in workers.items()})
                    get.run({kind: partial(each.get_tuple, threads[kind].config) for kind, each in workers.items()})
            found[name] = {"put": put.summary(), "newest/same": get.summary()}
            ours.server.clear()
    return found


class Clocks:
    """Times of one call by two clocks: what a worker waits, and what it computes, which nothing else can disturb."""

    def __init__(self) -> None:
        """Note no times yet."""
        self._waited, self._computed = Rounds(BASE), Rounds(BASE)

    def run(self, calls: Mapping[str, Callable[[], Any]]) -> None:
        """Make the calls of one round."""
        for name in self._waited.order(calls):
            call, begin, before = calls[name], time.perf_counter(), time.thread_time()
            call()
            self._computed.add(name, time.thread_time() - before)
            self._waited.add(name, time.perf_counter() - begin)

    def summary(self) -> dict[str, Any]:
        """Of each kind, `Rounds.summary` of both clocks."""
        return {"waited": self._waited.summary(), "computed": self._computed.summary()}


def worker(kind: str, ours: OurRedis, stack: ExitStack) -> Any:
    """A worker of a kind; what must be closed goes on *stack*."""
    given = {"api": without_sdk, "sdk": with_sdk}.get(kind)
    saver = ours.connect(ours.server.url, **({} if given is None else {"telemetry": given(stack)}))
    stack.callback(saver.close)
    return Direct(saver) if kind.startswith(BASE) else saver


def without_sdk(_: ExitStack) -> Telemetry:
    """Telemetry as it is where an application has set up nothing."""
    return Telemetry(NoOpTracerProvider(), NoOpMeterProvider())


def with_sdk(stack: ExitStack) -> Telemetry:
    """Telemetry to an SDK, with exporters that cost nothing themselves."""
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    stack.callback(tracers.shutdown)
    stack.callback(meters.shutdown)
    return Telemetry(tracers, meters)


def of(kind: str, step: Step) -> Step:
    """The step in a thread of the kind's own, all of one length."""
    thread = f"{step.thread} {list(KINDS).index(kind)}"
    return step._replace(thread=thread, parent=config(thread), config=config(thread))


def putting(saver: Any, step: Step, number: int) -> Callable[[], Any]:
    """Store the next of many nearly equal states."""
    following = again(step, number)
    return partial(saver.put, following.parent, following.checkpoint, following.metadata)
