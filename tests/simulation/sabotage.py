"""Bugs, each put into one place of the code, that the simulation must find."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest import mock

from zerograph_redis.backends.sqlite import checkpoints, logs
from zerograph_redis.core import scanning, states, verification
from zerograph_redis.core.records import read_header, read_proof
from zerograph_redis.core.requests import PublishThread, PutCheckpoint, StageThread

from .worlds import changed_script

Bug = Callable[[], AbstractContextManager[Any]]


def _python(target: Any, name: str, value: Any) -> Bug:
    return lambda: mock.patch.object(target, name, value)


def _lua(request: Any, old: str, new: str) -> Bug:
    return lambda: changed_script(request, old, new)


def _proof_without(part: slice) -> Any:
    """Compare only a *part* of a proof."""

    class Proof(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return isinstance(other, str) and self[part] == other[part]

    def read(record: bytes) -> tuple[str, Proof]:
        generation, proof = read_proof(record)
        return generation, Proof(proof)

    return read


def _read_without_repeat(self: Any, address: Any, request: Any, take: Any) -> Any:
    logs = self.known.of(address.thread)
    base = logs.base(address.namespace)
    request.known = logs.spans(address.namespace)
    return self._read(address, (yield from request), logs, base, take)


_next_page = scanning.ThreadScan.next_page


def _next_page_of_any_time(self: Any) -> Any:
    if self._page is not None:
        self._page.logs = "0"
    steps = _next_page(self)
    reply = None
    while True:
        try:
            request = steps.send(reply)
        except StopIteration as end:
            return end.value
        reply = yield request
        reply.logs = "0"


_release = logs.release


def _release_early(connection: Any, facts: Any, records: Any) -> None:
    _release(connection, facts, records)
    for record in records:
        header = read_header("a checkpoint", record)
        connection.execute(
            "DELETE FROM zerograph_redis_logs WHERE thread = ? AND generation = ? AND start = ?",
            (facts.number, int(header.generation, 16), header.base),
        )


MEMORY: dict[str, Bug] = {
    "a base is taken without proof": _python(checkpoints, "_is_proven", lambda *given: True),
    "a proof without the name of the put": _python(checkpoints, "read_proof", _proof_without(slice(20))),
    "a proof without the offset": _python(checkpoints, "read_proof", _proof_without(slice(20, 36))),
    "the known log is not checked": _python(states, "digest_of", lambda data, cipher=None: b"8 bytes."),
    "a reader does not read again": _python(states.States, "read", _read_without_repeat),
    "bytes are dropped while others need them": _python(logs, "release", _release_early),
    "a copy continues although its source changed": lambda: _both(
        mock.patch.object(scanning.ThreadScan, "next_page", _next_page_of_any_time),
        mock.patch.object(verification.Verification, "check"),
    ),
}

LUA: dict[str, Bug] = {
    "a base is taken without proof": _lua(PutCheckpoint, " and proof == base:sub(18, 53)", ""),
    "a proof without the name of the put": _lua(
        PutCheckpoint, "proof == base:sub(18, 53)", "proof:sub(1, 20) == base:sub(18, 37)"
    ),
    "any log is the current one": _lua(
        PutCheckpoint, "begins_log or base:sub(1, 16) ~= facts.generation", "begins_log"
    ),
    "pages of a copy in any order": lambda: _both(
        changed_script(StageThread, "if number ~= pages then", "if false then"),
        changed_script(PublishThread, "(pages or '0') ~= page_count", "false"),
    ),
    "bytes are dropped while others need them": _lua(
        PutCheckpoint, "if facts[log] == 0 then", "if facts[log] <= 1 then"
    ),
}


def _both(*managers: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
    stack = ExitStack()
    for each in managers:
        stack.enter_context(each)
    return stack
