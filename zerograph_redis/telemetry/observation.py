"""One operation, observed through its requests and their replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from inspect import getgeneratorlocals
from time import perf_counter
from typing import Any, TypeVar

from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.configs import read_id
from zerograph_redis.core.records import has_parts
from zerograph_redis.core.requests import (
    Fetched,
    GetCheckpoint,
    GetWrites,
    ListCheckpoints,
    LogRange,
    Operation,
    Page,
    Pause,
    PutCheckpoint,
    PutWrites,
    Request,
    StageThread,
    StoredCheckpoint,
    StoredWrite,
    WriteBatch,
)
from zerograph_redis.display import visible
from zerograph_redis.errors import ConfigError

from . import names

R = TypeVar("R")
Attributes = dict[str, str | int | float]


class Observation:
    """The requests, bytes, retries and waits of one operation so far."""

    def __init__(self) -> None:
        self.sent = self.received = self.requests = self.retries = 0
        self.lookups: list[str] = []
        self.kind = ""
        self.patch_ratio: float | None = None
        self._resent = False
        self._names: Attributes = {}
        self._waits_since: float | None = None
        self.waited: float | None = None
        """Seconds, if another worker held the lease at first."""

    def watch(self, operation: Operation[R]) -> Operation[R]:
        """Run *operation*, and observe its requests and their replies."""
        reply: Any = None
        while True:
            try:
                request = operation.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            self._note_request(request)
            reply = yield request
            self._note_reply(request, reply)

    def end(self, retries: int) -> None:
        """Note that the operation ended, after so many retries."""
        self.retries = retries
        if self._waits_since is not None:
            self.waited = perf_counter() - self._waits_since

    def attributes(self) -> Attributes:
        """Return the attributes of the span."""
        found: Attributes = {
            **self._names,
            names.REQUESTS: self.requests,
            names.RETRIES: self.retries,
            names.SENT: self.sent,
            names.RECEIVED: self.received,
        }
        if self.kind:
            found |= {names.PUT: self.kind, names.RESENT: self._resent}
        if self.patch_ratio is not None:
            found[names.RATIO] = self.patch_ratio
        if self.lookups:
            found[names.CACHE] = self.lookups[-1]
        if self.waited is not None:
            found[names.WAITED] = self.waited
        return found

    def _note_request(self, request: Request[Any]) -> None:
        if isinstance(request, Pause):
            self._waits_since = self._waits_since or perf_counter()
            return
        self.requests += 1
        self.sent += _sent(request)
        if isinstance(request, PutCheckpoint | PutWrites | GetCheckpoint | GetWrites | ListCheckpoints):
            self._names |= {names.THREAD: visible(request.thread), names.NAMESPACE: visible(request.namespace)}
            checkpoint_id = getattr(request, "checkpoint_id", None)
            if checkpoint_id is not None:
                self._names[names.CHECKPOINT] = visible(checkpoint_id)
        elif isinstance(request, WriteBatch):
            self._names[names.THREAD] = visible(request.thread)
        if isinstance(request, PutCheckpoint):
            self.kind = "whole" if request.base is None else "patch"

    def _note_reply(self, request: Request[Any], reply: Any) -> None:
        self.received += _received(reply)
        if isinstance(request, PutCheckpoint):
            self._resent = self._resent or reply is None
            self.patch_ratio = _sent(request) / (len(request.record) + request.needed)
        elif isinstance(request, GetCheckpoint | ListCheckpoints):
            if any(stored.record and has_parts(stored.record) for stored in reply.checkpoints):
                self.lookups.append("hit" if not reply.ranges else "partial" if request.known else "miss")
            if isinstance(request, GetCheckpoint) and reply.checkpoints:
                self._names[names.CHECKPOINT] = visible(reply.checkpoints[0].checkpoint_id)


def names_of(operation: Operation[Any]) -> Attributes:
    """Return the ids among the arguments of an operation that has not begun: it may fail before its first request."""
    arguments = getgeneratorlocals(operation)
    found: Attributes = {}
    config = arguments.get("config")
    configurable = config.get("configurable") if isinstance(config, dict) else None
    if not isinstance(configurable, Mapping):
        configurable = {}
    threads = (arguments.get("thread"), arguments.get("source"), configurable.get("thread_id"))
    for name, value in (
        (names.THREAD, next((each for each in threads if each is not None), None)),
        (names.TARGET, arguments.get("target")),
        (names.NAMESPACE, configurable.get("checkpoint_ns")),
    ):
        with suppress(ConfigError):  # the operation raises it itself
            found[name] = visible(read_id(name, value))
    return found


def _sent(request: Request[Any]) -> int:
    """Count the bytes of records, pending writes and logs in a request."""
    match request:
        case PutCheckpoint():
            return len(request.record) + len(request.appended)
        case PutWrites():
            return _writes(request.writes)
        case StageThread():
            return _received(request.page)
        case WriteBatch():
            return sum(map(_sent, request.writes))
        case Bundle():
            return sum(map(_sent, request.requests))
    return 0


def _received(reply: Any) -> int:
    """Count the bytes of records, pending writes and logs in a reply."""
    match reply:
        case Fetched():
            return _rows(reply.checkpoints) + _ranges(reply.ranges)
        case Page():
            return _rows(row for _, row in reply.rows) + _ranges(reply.ranges)
        case [StoredWrite(), *_]:
            return _writes(reply)
        case list():
            return sum(map(_received, reply))
    return 0


def _rows(rows: Iterable[StoredCheckpoint]) -> int:
    return sum(len(row.record or b"") + _writes(row.writes) for row in rows)


def _ranges(ranges: Iterable[LogRange]) -> int:
    return sum(len(each.data) for each in ranges)


def _writes(writes: Iterable[StoredWrite]) -> int:
    return sum(len(write.record or b"") for write in writes)
