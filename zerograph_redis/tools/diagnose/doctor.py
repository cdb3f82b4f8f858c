"""A whole checkup: the servers or the file, the names, every thread; and the repairs that are safe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from zerograph_redis.backends.redis.faults import DRIVER_ERRORS
from zerograph_redis.backends.redis.transport import is_cluster
from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.errors import BackendUnavailableError, CorruptCheckpointError
from zerograph_redis.store import Store

from .files import judge_file
from .findings import Finding, Level, problem
from .names import find_names
from .rights import try_rights
from .servers import ask_nodes, ask_sentinels, judge_cluster, judge_nodes
from .threads import ThreadTally, examine_threads, judge_threads, repair

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[], None]]]
"""Shows the progress of a step, given what it does and how many things it is about; yields what to call for each."""

_UNREADABLE = (BackendUnavailableError, CorruptCheckpointError, *DRIVER_ERRORS)


@dataclass(slots=True)
class Diagnosis:
    """All findings and counts."""

    place: list[Finding] = field(default_factory=list)
    """About the servers, or the file."""
    stored: list[Finding] = field(default_factory=list)
    """About threads and other stored keys or rows."""
    tally: ThreadTally = field(default_factory=ThreadTally)
    nodes: int = 1
    """How many servers were asked."""

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return self.place + self.stored

    def of(self, level: Level) -> list[Finding]:
        """The findings of a level that were not fixed."""
        return [each for each in self.findings if each.level is level and not each.fixed]

    @property
    def is_reachable(self) -> bool:
        """Whether any server answered."""
        asked = [each for each in self.place if each.check == "reachable"]
        return not asked or any(each.level is Level.OK for each in asked)


def check_up(store: Store[Any], progress: Progress, *, deep: bool, fix: bool) -> Diagnosis:
    """Check a store.

    Args:
        store: The store.
        progress: Shows the progress of each step.
        deep: Whether to read everything that threads hold.
        fix: Whether to make the repairs that are safe.
    """
    diagnosis = Diagnosis()
    if not _check_place(store, diagnosis, progress, deep=deep):
        return diagnosis
    check_threads(store, diagnosis, progress, deep=deep)
    fixable = [each for each in diagnosis.stored if each.fixable]
    if fix and fixable:
        with progress("Repairing", None):
            store.run(repair(diagnosis.tally))
        for each in fixable:
            each.fixed = True
    return diagnosis


def check_threads(store: Store[Any], diagnosis: Diagnosis, progress: Progress, *, deep: bool) -> None:
    """Check names and threads, and add the findings to *diagnosis*."""
    try:
        with progress("Reading names", None) as advance:
            names, found = find_names(store, advance)
        diagnosis.stored += found
        title = "Reading threads" if deep else "Checking threads"
        with progress(title, len(names.indexed | names.stored)) as advance:
            diagnosis.tally = store.run(examine_threads(names, store.settings, advance, deep=deep))
    except _UNREADABLE as error:
        diagnosis.stored.append(_unreadable(error))
    else:
        diagnosis.stored += judge_threads(diagnosis.tally, deep=deep)


def _check_place(store: Store[Any], diagnosis: Diagnosis, progress: Progress, *, deep: bool) -> bool:
    """Check the file or the servers; returns whether threads can be checked."""
    if isinstance(store.backend, SqliteBackend):
        try:
            diagnosis.place += judge_file(store.backend, deep=deep)
        except _UNREADABLE as error:
            diagnosis.stored.append(_unreadable(error))
            return False
        return True
    client = store.backend.transport.client
    with progress("Asking servers", None):
        nodes = ask_nodes(client)
        answering = [each for each in nodes if not each.error]
        diagnosis.nodes = len(nodes)
        diagnosis.place += judge_nodes(nodes)
        if is_cluster(client):
            diagnosis.place += judge_cluster(nodes)
        diagnosis.place += ask_sentinels(client, answering[0] if answering else None)
        if answering:
            diagnosis.place += try_rights(client, nodes, store.backend.keyspace.prefix)
    return bool(answering)


def _unreadable(error: Exception) -> Finding:
    damaged = isinstance(error, CorruptCheckpointError)
    fix = "restore a backup, or find out what else writes these keys or rows" if damaged else ""
    return problem("threads", f"cannot check threads: {error}", fix)
