"""OpenTelemetry's own exporters in memory, behind a `Telemetry` for savers."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from zerograph_redis import Telemetry


class Exported:
    """What savers with its `telemetry` have exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.tracer_provider.get_tracer("application")
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])
        self.telemetry = Telemetry(self.tracer_provider, self.meter_provider)

    def close(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()

    def spans(self, *names: str) -> list[ReadableSpan]:
        """The spans that ended, in that order; only those of some operations, if any are named."""
        found = self._exporter.get_finished_spans()
        return [span for span in found if not names or span.name.removeprefix("zerograph_redis.") in names]

    def span(self, name: str) -> ReadableSpan:
        """The one span of an operation."""
        (span,) = self.spans(name)
        return span

    def clear(self) -> None:
        """Forget the spans so far."""
        self._exporter.clear()

    def metrics(self) -> dict[str, Any]:
        """All metrics by name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for each in data.resource_metrics for scope in each.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str, **attributes: Any) -> list[Any]:
        """The data points of a metric that have these attributes, given with ``__`` for each dot."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        metric = self.metrics().get(name)
        points = metric.data.data_points if metric else []
        return [point for point in points if wanted.items() <= dict(point.attributes).items()]

    def total(self, name: str, **attributes: Any) -> int | float:
        """The sum of a counter over the points of `points`."""
        return sum(point.value for point in self.points(name, **attributes))
