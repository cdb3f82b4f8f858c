"""One operation, as its requests and their replies pass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from inspect import getgeneratorlocals
from time import perf_counter
from typing import Any, TypeVar

from zerograph_redis.core.records import has_parts
from zerograph_redis.core.requests import (
    Fetched,
    GetCheckpoint,
    GetWrites,
    ListCheckpoints,
    Operation,
    Pause,
    PutCheckpoint,
    PutWrites,
    Request,
    WriteBatch,
)
from zerograph_redis.core.settings import read_id
from zerograph_redis.display import visible
from zerograph_redis.errors import ConfigError

from . import names
from .traffic import received, sent

R = TypeVar("R")
Attributes = dict[str, str | int | float]


class Observation:
    """What was seen of an operation so far."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.sent = self.received = self.requests = self.retries = 0
        self.lookups: list[str] = []
        self.kind = ""
        self.patch_ratio: float | None = None
        self._resent = False
        self._place: Attributes = {}
        self._waits_since: float | None = None
        self.waited: float | None = None
        """Seconds, if another worker held the lease at first."""

    def watch(self, operation: Operation[R]) -> Operation[R]:
        """Do as *operation* does, and look at what it asks and is told."""
        reply: Any = None
        while True:
            try:
                request = operation.send(reply)
            except StopIteration as end:
                result: R = end.value
                return result
            self._ask(request)
            reply = yield request
            self._answer(request, reply)

    def end(self, retries: int) -> None:
        """Note that the operation is over, and that so much was tried again."""
        self.retries = retries
        if self._waits_since is not None:
            self.waited = perf_counter() - self._waits_since

    def attributes(self) -> Attributes:
        """What a span has to say of it."""
        found: Attributes = {
            **self._place,
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

    def _ask(self, request: Request[Any]) -> None:
        if isinstance(request, Pause):
            self._waits_since = self._waits_since or perf_counter()
            return
        self.requests += 1
        self.sent += sent(request)
        if isinstance(request, PutCheckpoint | PutWrites | GetCheckpoint | GetWrites | ListCheckpoints):
            self._place |= {names.THREAD: visible(request.thread), names.NAMESPACE: visible(request.namespace)}
            checkpoint_id = getattr(request, "checkpoint_id", None)
            if checkpoint_id is not None:
                self._place[names.CHECKPOINT] = visible(checkpoint_id)
        elif isinstance(request, WriteBatch):
            self._place[names.THREAD] = visible(request.thread)
        if isinstance(request, PutCheckpoint):
            self.kind = "whole" if request.base is None else "patch"

    def _answer(self, request: Request[Any], reply: Any) -> None:
        self.received += received(reply)
        if isinstance(request, PutCheckpoint):
            self._resent = self._resent or reply is None
            self.patch_ratio = sent(request) / (len(request.record) + request.needed)
        elif isinstance(request, GetCheckpoint | ListCheckpoints):
            if any(stored.record and has_parts(stored.record) for stored in reply.checkpoints):
                self.lookups.append(_lookup(request, reply))
            if isinstance(request, GetCheckpoint) and reply.checkpoints:
                self._place[names.CHECKPOINT] = visible(reply.checkpoints[0].checkpoint_id)


def _lookup(request: GetCheckpoint | ListCheckpoints, reply: Fetched) -> str:
    if not reply.ranges:
        return "hit"
    return "partial" if request.known else "miss"


def place_of(operation: Operation[Any]) -> Attributes:
    """Say what the arguments of an operation that has not begun name: an error may come before its first request."""
    given = getgeneratorlocals(operation)
    found: Attributes = {}
    config = given.get("config")
    configurable = config.get("configurable") if isinstance(config, dict) else None
    if not isinstance(configurable, Mapping):
        configurable = {}
    threads = (given.get("thread"), given.get("source"), configurable.get("thread_id"))
    for name, value in (
        (names.THREAD, next((each for each in threads if each is not None), None)),
        (names.TARGET, given.get("target")),
        (names.NAMESPACE, configurable.get("checkpoint_ns")),
    ):
        with suppress(ConfigError):  # which the operation itself raises
            found[name] = visible(read_id(name, value))
    return found
