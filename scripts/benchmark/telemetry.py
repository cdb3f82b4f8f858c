"""What telemetry costs: a saver without it and with it, by its own operations run without the saver's methods."""

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
from .measure import Clocks, quiet
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
        return run(self._saver.store.operations.put(*given), self._saver.store.backend)

    def get_tuple(self, where: Any) -> Any:
        """See `RedisSaver`."""
        return run(self._saver.store.operations.get_tuple(where), self._saver.store.backend)


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
            put, get = Clocks(BASE), Clocks(BASE)
            with quiet():
                for number in range(scale.puts):
                    put.run({kind: putting(each, threads[kind], number) for kind, each in workers.items()})
                    get.run({kind: partial(each.get_tuple, threads[kind].config) for kind, each in workers.items()})
            found[name] = {"put": put.summary(), "newest/same": get.summary()}
            ours.server.clear()
    return found


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
    values = {**step.checkpoint["channel_values"], "turn": number}
    checkpoint = {**step.checkpoint, "id": f"{step.checkpoint_id[:-6]}{number:06}", "channel_values": values}
    return partial(saver.put, step.parent, checkpoint, step.metadata)
