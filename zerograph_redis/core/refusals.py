"""Requests that failed or were refused: how errors and the log describe them, and how often they were repeated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from zerograph_redis.display import about, quoted, visible
from zerograph_redis.errors import ConflictError, LeaseHeldError, LeaseLostError

from . import examination, requests
from .requests import Request

_log = logging.getLogger(__name__)

REPEATS: ContextVar[int] = ContextVar("zerograph_redis_repeats", default=0)
"""How many repeats this context has seen: telemetry reads it before and after an operation."""


def note_repeat(request: Request[Any] | str, failed: int, error: Exception) -> None:
    """Count and log that a request, or a step before any, is repeated after *error*, its failure number *failed*."""
    REPEATS.set(REPEATS.get() + 1)
    # One warning for each request: an outage would fill the log with the rest.
    _log.log(
        logging.WARNING if failed == 1 else logging.DEBUG,
        "%s failed and is tried again: %s: %s",
        visible(request if isinstance(request, str) else describe_request(request)),
        type(error).__name__,
        visible(str(error)),
        extra=about(getattr(request, "thread", None)),
    )


_ACTIONS: Mapping[type[Request[Any]], str] = {
    requests.PutCheckpoint: "storing {checkpoint} of {thread}",
    requests.PutWrites: "storing pending writes of {checkpoint} of {thread}",
    requests.WriteBatch: "storing checkpoints and pending writes of {thread}",
    requests.GetCheckpoint: "reading {checkpoint} of {thread}",
    requests.GetWrites: "reading the pending writes of {checkpoint} of {thread}",
    requests.ListCheckpoints: "listing the checkpoints of {thread}",
    requests.FindNamespace: "searching {thread} for {checkpoint}",
    requests.FindCheckpoints: "searching {thread} for checkpoints",
    requests.ListNamespaces: "listing the namespaces of {thread}",
    requests.PruneThread: "pruning {thread}",
    requests.DeleteThread: "deleting {thread}",
    requests.ListThreads: "listing threads",
    requests.DescribeThread: "reading {thread}",
    requests.ForgetThread: "removing {thread} from the thread index",
    requests.ScanThread: "reading {thread} to copy it",
    requests.StageThread: "storing a staged copy of {thread}",
    requests.PublishThread: "publishing the staged copy of {thread}",
    examination.ReadClock: "reading the server's clock",
    examination.IndexThread: "adding {thread} to the thread index",
    examination.UnindexThread: "removing {thread} from the thread index",
    examination.ReadIndexEntry: "reading the entry of {thread} in the thread index",
    examination.SampleThreads: "reading the thread index",
    examination.ExamineThread: "examining {thread}",
    examination.OutlineThread: "reading the sizes of the checkpoints of {thread}",
    examination.RepairThread: "repairing {thread}",
    examination.DiscardStaged: "discarding an unfinished copy of {thread}",
}
_LEASE_ACTIONS = {"take": "taking", "renew": "renewing", "release": "releasing", "break": "breaking", "read": "reading"}


def describe_request(request: Request[Any]) -> str:
    """Describe what a request does, with the checkpoint and the thread that it names."""
    thread = f"thread {quoted(getattr(request, 'thread', None))}"
    checkpoint = getattr(request, "checkpoint_id", None)
    if isinstance(request, requests.LeaseThread):
        return f"{_LEASE_ACTIONS[request.action]} the lease of {thread}"
    if isinstance(request, requests.GetCheckpoint) and checkpoint is None:
        return f"reading {thread}"
    if isinstance(request, requests.DescribeThreads) and request.threads:
        first, *others = request.threads
        return f"reading thread {quoted(first)}" + (f" and {len(others)} others" if others else "")
    text: str = _ACTIONS.get(type(request), "using the store")
    return text.format(thread=thread, checkpoint=f"checkpoint {quoted(checkpoint)}")


def lease_held(thread: str, owner: str, seconds_left: float) -> LeaseHeldError:
    """Refuse a write without a token, or an attempt to take the lease, while another worker holds the thread."""
    return LeaseHeldError(
        f"thread {quoted(thread)} is held by {quoted(owner)} for another {seconds_left:.1f} s, unless it renews: "
        f"wait for it, or write under its lease",
        owner,
        seconds_left,
    )


def lease_lost(thread: str, owner: str) -> LeaseLostError:
    """Refuse a write with a token that is not the current one."""
    by = f", and {quoted(owner)} holds it now" if owner else ""
    return LeaseLostError(
        f"the lease of thread {quoted(thread)} was lost{by}: it expired before it was renewed, or was broken. "
        f"Nothing was stored; take a new lease and read the thread again"
    )


def conflict(request: Any, newest: str) -> ConflictError:
    """Refuse a conditional put that found another newest checkpoint."""
    expected = request.expected.checkpoint_id
    return ConflictError(
        f"thread {quoted(request.thread)}, namespace {quoted(request.namespace)}: the newest checkpoint is "
        f"{newest or None!r}, not {quoted(expected)} as expected: another worker wrote since. Nothing was stored"
    )
