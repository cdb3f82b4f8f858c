"""A whole checkup: the servers or the file, the names, every thread; and mending what is safe to mend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from zerograph_redis.backends.redis.wires import is_cluster
from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.core.paging import read_index
from zerograph_redis.errors import BackendUnavailableError, CorruptCheckpointError
from zerograph_redis.store import Store

from .examination import Names, Tally, examine_threads
from .files import find_names, judge_file
from .findings import Finding, Level
from .groups import ask_sentinels, judge_cluster
from .keys import expiring, note_thread, sort_keys
from .nodes import FAILURES, ask_nodes
from .repairs import repair
from .rights import try_rights
from .servers import judge_nodes
from .verdicts import judge_names, judge_odd, judge_threads

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[], None]]]
"""Shows how far a step is: what it does and how many things it is about; gives what to call for each of them."""

_AT_ONCE = 250  # keys that a server is asked to look at in one step


@dataclass(slots=True)
class Report:
    """All findings, and what was counted on the way."""

    around: list[Finding] = field(default_factory=list)
    """Of the servers, or of the file."""
    within: list[Finding] = field(default_factory=list)
    """Of what is stored there."""
    tally: Tally = field(default_factory=Tally)
    nodes: int = 1
    """How many servers were asked."""

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return self.around + self.within

    def of(self, level: Level) -> list[Finding]:
        """The findings of a level that were not mended."""
        return [each for each in self.findings if each.level is level and not each.fixed]

    @property
    def is_reachable(self) -> bool:
        """Whether any server answered."""
        asked = [each for each in self.around if each.check == "reachable"]
        return not asked or any(each.level is Level.OK for each in asked)


def check_up(store: Store[Any], progress: Progress, *, deep: bool, fix: bool) -> Report:
    """Look a store over.

    Args:
        store: The store.
        progress: Shows how far it is.
        deep: Whether to read all that threads hold, too.
        fix: Whether to mend what is safe to mend.
    """
    report = Report()
    backend = store.backend
    if isinstance(backend, SqliteBackend):
        try:
            report.around += judge_file(backend, deep=deep)
        except (BackendUnavailableError, CorruptCheckpointError) as error:
            report.within.append(_unreadable(error))
            return report
    elif not _judge_servers(store, report, progress):
        return report
    check_threads(store, report, progress, deep=deep)
    repairable = [each for each in report.within if each.fixable]
    if fix and repairable:
        with progress("Mending", None):
            store.run(repair(report.tally))
        for each in repairable:
            each.fixed = True
    return report


def check_threads(store: Store[Any], report: Report, progress: Progress, *, deep: bool) -> None:
    """Check what is stored, and add what was found to *report*."""
    try:
        names = (
            find_names(store.backend) if isinstance(store.backend, SqliteBackend) else _scan(store, report, progress)
        )
        if names is None:
            return
        if not isinstance(store.backend, SqliteBackend):
            report.within.append(judge_names(names))
        if names.odd:
            report.within.append(judge_odd(names))
        with progress("Reading threads" if deep else "Looking at threads", len(names.listed | names.stored)) as looked:
            report.tally = store.run(examine_threads(names, store.settings, looked, deep=deep))
    except (BackendUnavailableError, CorruptCheckpointError) as error:
        report.within.append(_unreadable(error))
        return
    report.within += judge_threads(report.tally, deep=deep)


def _unreadable(error: Exception) -> Finding:
    damaged = isinstance(error, CorruptCheckpointError)
    mend = "bring back a backup, or see which keys or rows something else wrote" if damaged else ""
    return Finding("threads", Level.PROBLEM, f"they cannot be looked at: {error}", mend)


def _judge_servers(store: Store[Any], report: Report, progress: Progress) -> bool:
    """Judge servers; returns whether any of them answers."""
    client = store.backend.wire.client
    with progress("Asking servers", None):
        nodes = ask_nodes(client)
        report.nodes = len(nodes)
        report.around += judge_nodes(nodes)
        answering = [each for each in nodes if not each.error]
        if is_cluster(client):
            report.around += judge_cluster(nodes)
        report.around += ask_sentinels(client, answering[0] if answering else None)
        if answering:
            report.around += try_rights(client, nodes, store.backend.keyspace.prefix)
    return bool(answering)


def _scan(store: Store[Any], report: Report, progress: Progress) -> Names | None:
    """Find the names that a Redis has; None if the list of threads cannot be read."""
    client, prefix = store.backend.wire.client, store.backend.keyspace.prefix
    names = Names()
    with progress("Looking for keys", None) as looked:
        # The prefix has no character that means anything in a pattern.
        keys = client.scan_iter(match=f"{prefix}:*", count=_AT_ONCE)
        try:
            sort_keys(keys, prefix, names, looked, clustered=is_cluster(client))
        except FAILURES as error:
            told = f"cannot scan keys, so only threads in the list are checked: {error}"
            report.within.append(Finding("keys", Level.WARNING, told, "look with a user that has +scan"))
    try:
        # After the keys: a worker lists a thread before it writes one.
        for page in store.run(read_index()):
            names.listed.update(each.thread for each in page.found)
            names.odd += page.odd
        if not is_cluster(client):
            for each in expiring(client, prefix):
                note_thread(each, names.listed, names.odd)
    except (BackendUnavailableError, CorruptCheckpointError, *FAILURES) as error:
        report.within.append(Finding("list", Level.PROBLEM, f"it cannot be read: {error}"))
        return None
    return names
