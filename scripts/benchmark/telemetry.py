"""The cost of telemetry: savers with and without it, compared with the same operations run directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .measure import Clocks, Progress, quiet
from .workloads import Chat, Scale, Small, Step, config

BASE = "direct"
KINDS = {
    BASE: "operations alone",
    "direct again": "the same, to show the noise",
    "off": "the default",
    "api": "on, no SDK",
    "sdk": "on, SDK",
}


class DroppingExporter(SpanExporter):
    """Drops all spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        """Drop them."""
        return SpanExportResult.SUCCESS


class Direct:
    """A saver's operations, run without the code for telemetry."""

    def __init__(self, saver: RedisSaver) -> None:
        """Run the operations of *saver*."""
        self._saver = saver

    def put(self, *given: Any) -> Any:
        """See `RedisSaver`."""
        return run(self._saver.store.operations.put(*given), self._saver.store.backend)

    def get_tuple(self, where: Any) -> Any:
        """See `RedisSaver`."""
        return run(self._saver.store.operations.get_tuple(where), self._saver.store.backend)


def telemetry(ours: OurRedis, scale: Scale, progress: Progress) -> dict[str, Any]:
    """Put and get_tuple of states of two sizes, each kind on its own thread."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {kind: make_worker(kind, ours, stack) for kind in KINDS}
        for name, step in (
            ("2 KB", list(islice(Small().thread("2 KB", 9), 3))[-1]),
            ("150 KB", list(islice(Chat().thread("150 KB", 9), 450))[-1]),
        ):
            progress(f"states of {name}")
            threads = {kind: in_own_thread(kind, step) for kind in KINDS}
            put, get = Clocks(BASE), Clocks(BASE)
            with quiet():
                for number in range(scale.puts):
                    put.run({kind: put_call(each, threads[kind], number) for kind, each in workers.items()})
                    get.run({kind: partial(each.get_tuple, threads[kind].config) for kind, each in workers.items()})
            found[name] = {"put": put.summary(), "newest/same": get.summary()}
            ours.server.clear()
    return found


def make_worker(kind: str, ours: OurRedis, stack: ExitStack) -> Any:
    """A worker of a kind; what must be closed goes on *stack*."""
    given = {"api": without_sdk, "sdk": with_sdk}.get(kind)
    saver = ours.connect(ours.server.url, **({} if given is None else {"telemetry": given(stack)}))
    stack.callback(saver.close)
    return Direct(saver) if kind.startswith(BASE) else saver


def without_sdk(_: ExitStack) -> Telemetry:
    """Telemetry in an application without an SDK."""
    return Telemetry(NoOpTracerProvider(), NoOpMeterProvider())


def with_sdk(stack: ExitStack) -> Telemetry:
    """Telemetry with an SDK, and exporters that cost nothing."""
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(BatchSpanProcessor(DroppingExporter()))
    stack.callback(tracers.shutdown)
    stack.callback(meters.shutdown)
    return Telemetry(tracers, meters)


def in_own_thread(kind: str, step: Step) -> Step:
    """The step in a thread of its kind; the ids of all threads have one length."""
    thread = f"{step.thread} {list(KINDS).index(kind)}"
    return step._replace(thread=thread, parent=config(thread), config=config(thread))


def put_call(saver: Any, step: Step, number: int) -> Callable[[], Any]:
    """A call that stores the next of many nearly equal states."""
    values = {**step.checkpoint["channel_values"], "turn": number}
    checkpoint = {**step.checkpoint, "id": f"{step.checkpoint_id[:-6]}{number:06}", "channel_values": values}
    return partial(saver.put, step.parent, checkpoint, step.metadata)
