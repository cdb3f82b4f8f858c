"""The option ``telemetry`` of savers: which providers get their spans and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from .observer import Observer


_SCHEMA = "https://opentelemetry.io/schemas/1.33.0"
"""The conventions that the names of attributes and metrics follow, where there are any."""


class Telemetry:
    """Makes a span of each operation of a saver, and metrics of them all: ``RedisSaver(..., telemetry=Telemetry())``.

    It may serve any number of savers. No span or metric has a value of a state or a password.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        """Send spans and metrics to providers.

        Args:
            tracer_provider: Gets the spans. Default: the global one, which may be set later.
            meter_provider: Gets the metrics. Default: the global one, which may be set later.

        Raises:
            ImportError: OpenTelemetry's API is not installed: it is the extra ``zerograph-redis[otel]``.
        """
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            raise ImportError("telemetry needs an extra: pip install 'zerograph-redis[otel]'") from error
        from zerograph_redis import __version__

        from .instruments import Instruments

        self._tracer = trace.get_tracer("zerograph_redis", __version__, tracer_provider, _SCHEMA)
        self._instruments = Instruments(metrics.get_meter("zerograph_redis", __version__, meter_provider, _SCHEMA))

    def observer(self, store: Mapping[str, str | int]) -> Observer:
        """Make the observer of a saver, whose store has these attributes."""
        from .observer import Observer

        return Observer(self._tracer, self._instruments, store)
