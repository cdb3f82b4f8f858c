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
    try:
        names: Names | None
        if isinstance(store.backend, SqliteBackend):
            names = _look_at_file(store.backend, report, deep=deep)
        else:
            names = _look_at_servers(store, report, progress)
        if names is None:
            return report
        if not isinstance(store.backend, SqliteBackend):
            report.within.append(judge_names(names))
        if names.odd:
            report.within.append(judge_odd(names))
        with progress("Reading threads" if deep else "Looking at threads", len(names.listed | names.stored)) as looked:
            report.tally = store.run(examine_threads(names, store.settings, looked, deep=deep))
    except CorruptCheckpointError as error:
        mend = "bring back a backup, or see which keys or rows something else wrote"
        report.within.append(Finding("threads", Level.PROBLEM, f"they cannot be looked at: {error}", mend))
        return report
    except BackendUnavailableError as error:
        report.within.append(Finding("threads", Level.PROBLEM, f"they cannot be looked at: {error}"))
        return report
    findings = judge_threads(report.tally, deep=deep)
    report.within += findings
    if fix and any(each.fixable for each in findings):
        with progress("Mending", None):
            store.run(repair(report.tally))
        for each in findings:
            each.fixed = each.fixable
    return report


def _look_at_servers(store: Store[Any], report: Report, progress: Progress) -> Names | None:
    """Judge servers; returns the names that they have, None if they do not let themselves be looked at."""
    client, prefix = store.backend.wire.client, store.backend.keyspace.prefix
    with progress("Asking servers", None):
        nodes = ask_nodes(client)
        report.nodes = len(nodes)
        report.around += judge_nodes(nodes)
        answering = [each for each in nodes if not each.error]
        if is_cluster(client):
            report.around += judge_cluster(nodes)
        report.around += ask_sentinels(client, answering[0] if answering else None)
        if not answering:
            return None
        report.around += try_rights(client, nodes, prefix)
    names = Names()
    with progress("Looking for keys", None) as looked:
        # The prefix has no character that means anything in a pattern.
        keys = client.scan_iter(match=f"{prefix}:*", count=_AT_ONCE)
        try:
            sort_keys(keys, prefix, names, looked, clustered=is_cluster(client))
        except FAILURES as error:
            told = f"they could not be gone through, so only threads in the list are looked at: {error}"
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


def _look_at_file(backend: SqliteBackend, report: Report, *, deep: bool) -> Names:
    report.around += judge_file(backend, deep=deep)
    return find_names(backend)
