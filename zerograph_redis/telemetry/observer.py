"""The span and the metrics of each operation of a saver."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from types import GeneratorType
from typing import Any, TypeVar, cast

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, use_span
from opentelemetry.util.types import AttributeValue

from zerograph_redis.core.refusals import REPEATS
from zerograph_redis.core.requests import Operation
from zerograph_redis.errors import (
    BackendUnavailableError,
    ConflictError,
    CorruptCheckpointError,
    LeaseError,
    ReplicationError,
)

from . import names
from .instruments import Instruments
from .observation import Observation, names_of

R = TypeVar("R")

SAFE_ERRORS = (BackendUnavailableError, ConflictError, CorruptCheckpointError, LeaseError, ReplicationError)
"""The errors whose messages quote only ids and what a server replied. Others may quote a state, a config, or text of an
application."""


class Observer:
    """Observes the operations of one saver."""

    def __init__(self, tracer: Tracer, instruments: Instruments, store: Mapping[str, AttributeValue]) -> None:
        """Give every span and metric the attributes of *store*."""
        self._tracer = tracer
        self._instruments = instruments
        self._store = store
        self._kind = SpanKind.CLIENT if store[names.SYSTEM] == "redis" else SpanKind.INTERNAL

    @contextmanager
    def observe(self, operation: Operation[R]) -> Iterator[Operation[R]]:
        """Make a span around the block, which runs the operation that it gets instead of *operation*."""
        name = cast("GeneratorType[Any, Any, R]", operation).__name__  # the name of the saver's method
        common = {**self._store, names.OPERATION: name}
        named = {**common, **names_of(operation)}
        observation = Observation()
        repeats, begin = REPEATS.get(), perf_counter()
        span = self._tracer.start_span(f"zerograph_redis.{name}", kind=self._kind, attributes=named)
        # Errors are recorded here: a span would record the messages of all causes.
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield observation.watch(operation)
            except BaseException as error:
                common[names.ERROR] = _name_of(error)
                if span.is_recording():
                    _record(span, error)
                raise
            finally:
                self._instruments.duration.record(perf_counter() - begin, common)
                observation.end(REPEATS.get() - repeats)
                if span.is_recording():
                    found = observation.attributes().items()
                    span.set_attributes({each: value for each, value in found if named.get(each) != value})
                self._count(observation, common)

    def _count(self, observation: Observation, common: Mapping[str, AttributeValue]) -> None:
        instruments = self._instruments
        plain = common
        if names.ERROR in common:
            instruments.errors.add(1, common)
            plain = {name: value for name, value in common.items() if name != names.ERROR}
        if observation.waited is not None:
            instruments.lease_wait.record(observation.waited, common)
        if observation.sent:
            instruments.io.add(observation.sent, {**plain, names.DIRECTION: "transmit"})
        if observation.received:
            instruments.io.add(observation.received, {**plain, names.DIRECTION: "receive"})
        if observation.patch_ratio is not None:
            instruments.patch_ratio.record(observation.patch_ratio, {**plain, names.PUT: observation.kind})
        for result in observation.lookups:
            instruments.cache.add(1, {**plain, names.CACHE: result})
        if observation.retries:
            instruments.retries.add(observation.retries, plain)


def _name_of(error: BaseException) -> str:
    """Return the class of an error with its module, as the conventions want it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _record(span: Span, error: BaseException) -> None:
    """Record on *span* that its operation failed."""
    message = str(error) if isinstance(error, SAFE_ERRORS) else ""
    name = _name_of(error)
    span.set_attribute(names.ERROR, name)
    span.set_status(StatusCode.ERROR, message or name)
    frames = "".join(traceback.format_tb(error.__traceback__))
    event = {"exception.type": name, "exception.stacktrace": f"Traceback (most recent call last):\n{frames}{name}"}
    span.add_event("exception", {**event, "exception.message": message} if message else event)
