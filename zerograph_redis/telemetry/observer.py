"""Operations seen from outside: the span around each, and what its requests and their replies tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from types import GeneratorType
from typing import Any, TypeVar, cast

from opentelemetry.trace import SpanKind, Tracer, use_span
from opentelemetry.util.types import AttributeValue

from zerograph_redis.core.attempts import REPEATS
from zerograph_redis.core.requests import Operation

from . import names
from .failures import name_of, record
from .instruments import Instruments
from .observation import Observation, place_of

R = TypeVar("R")


class Observer:
    """Observes the operations of one saver."""

    def __init__(self, tracer: Tracer, instruments: Instruments, store: Mapping[str, AttributeValue]) -> None:
        """Say of each operation that it was on *store*."""
        self._tracer = tracer
        self._instruments = instruments
        self._store = store
        self._kind = SpanKind.CLIENT if store[names.SYSTEM] == "redis" else SpanKind.INTERNAL

    @contextmanager
    def observe(self, operation: Operation[R]) -> Iterator[Operation[R]]:
        """Make a span around the block, which runs the operation that it is given in the place of *operation*."""
        name = cast("GeneratorType[Any, Any, R]", operation).__name__  # the façade's word
        common = {**self._store, names.OPERATION: name}
        named = {**common, **place_of(operation)}
        seen = Observation()
        repeats, begin = REPEATS.get(), perf_counter()
        span = self._tracer.start_span(f"zerograph_redis.{name}", kind=self._kind, attributes=named)
        # Errors are recorded here: the span's own way would have the messages of all causes.
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield seen.watch(operation)
            except BaseException as error:
                common[names.ERROR] = name_of(error)
                if span.is_recording():
                    record(span, error)
                raise
            finally:
                self._instruments.duration.record(perf_counter() - begin, common)
                seen.end(REPEATS.get() - repeats)
                if span.is_recording():
                    found = seen.attributes().items()
                    span.set_attributes({each: value for each, value in found if named.get(each) != value})
                self._count(seen, common)

    def _count(self, seen: Observation, common: Mapping[str, AttributeValue]) -> None:
        instruments = self._instruments
        plain = common
        if names.ERROR in common:
            instruments.errors.add(1, common)
            plain = {name: value for name, value in common.items() if name != names.ERROR}
        if seen.waited is not None:
            instruments.lease_wait.record(seen.waited, common)
        if seen.sent:
            instruments.io.add(seen.sent, {**plain, names.DIRECTION: "transmit"})
        if seen.received:
            instruments.io.add(seen.received, {**plain, names.DIRECTION: "receive"})
        if seen.patch_ratio is not None:
            instruments.patch_ratio.record(seen.patch_ratio, {**plain, names.PUT: seen.kind})
        for result in seen.lookups:
            instruments.cache.add(1, {**plain, names.CACHE: result})
        if seen.retries:
            instruments.retries.add(seen.retries, plain)
