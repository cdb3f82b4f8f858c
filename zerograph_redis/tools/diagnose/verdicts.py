"""What was found of all threads, said as findings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sized

from .examination import Names, Tally
from .findings import Finding, Level

_MUCH = 1024 * 1024  # bytes of logs that nobody needs, from which on they are worth a word


def judge_threads(tally: Tally, *, deep: bool) -> list[Finding]:
    """Judge whether threads are whole, listed, and go as a whole, and whether there is much that nobody needs."""
    found = [_threads(tally, deep=deep)]
    if tally.closed:
        reasons = "; ".join(sorted(set(tally.closed.values())))
        found.append(
            Finding(
                "closed",
                Level.WARNING,
                f"{_count(tally.closed, 'thread')} cannot be looked into here: {reasons}",
                "say with --types where keys and types are",
                items=list(tally.closed),
            )
        )
    found += [_list(tally), _deadlines(tally), _copies(tally)]
    if tally.ahead:
        found.append(
            Finding(
                "clock",
                Level.WARNING,
                f"{_count(tally.ahead, 'thread')} were written in the future: the store's clock was set back. The order of "
                f"what is stored holds, but ages do not",
                "keep the server's clock with NTP",
                items=tally.ahead,
            )
        )
    if tally.reversed:
        found.append(
            Finding(
                "order",
                Level.WARNING,
                f"{_count(tally.reversed, 'thread')} have checkpoints that were stored before their parents: an application "
                f"stored them so, or somebody reordered them",
                "compare their history with a backup, unless your application stores checkpoints out of order",
                items=tally.reversed,
            )
        )
    if deep:
        found += _needless(tally)
    return found


def judge_names(names: Names) -> Finding:
    """Judge whether anybody else writes under the prefix of a Redis."""
    if names.strays:
        return Finding(
            "keys",
            Level.WARNING,
            f"{_count(names.strays, 'key')} under the prefix that no saver wrote",
            "give savers a prefix that nothing else writes under",
            items=sorted(names.strays),
        )
    others = f"; other savers have {', '.join(sorted(names.others))}" if names.others else ""
    return Finding("keys", Level.OK, f"none but a saver's{others}")


def judge_odd(names: Names) -> Finding:
    """Judge what stands where the id of a thread should be."""
    odd = sorted(set(names.odd))
    return Finding(
        "names",
        Level.WARNING,
        f"{_count(odd, 'entry', 'entries')} where ids of threads are listed, which are none, and are passed over",
        "remove them, and see what else writes under this prefix or into this file",
        items=odd,
    )


def _threads(tally: Tally, *, deep: bool) -> Finding:
    if tally.broken:
        return Finding(
            "threads",
            Level.PROBLEM,
            f"{_count(tally.broken, 'thread')} of {tally.threads:,} cannot be read",
            f"nothing brings back what is lost: zerograph-redis delete {_named(tally.broken)} --yes",
            items=[f"{thread}: {damage}" for thread, damage in tally.broken.items()],
        )
    told = f"{_count(range(tally.threads), 'thread')}"
    if not deep:
        return Finding("threads", Level.OK, f"{told}, whole by their counts; their contents were not read")
    busy = f"; {_count(tally.busy, 'thread')} changed faster than can be read" if tally.busy else ""
    return Finding("threads", Level.OK, f"{told}, read, and as they were stored{busy}", items=tally.busy)


def _list(tally: Tally) -> Finding:
    wrong = tally.unlisted
    if wrong or tally.stale:
        told = [f"{_count(wrong, 'thread')} not listed as they are"] * bool(wrong)
        told += [f"{_count(tally.stale, 'entry', 'entries')} without a thread"] * bool(tally.stale)
        return Finding(
            "list",
            Level.PROBLEM if wrong else Level.WARNING,
            f"the list of threads has {' and '.join(told)}",
            "--fix lists what is there, and nothing else",
            items=[*wrong, *tally.stale],
            fixable=True,
        )
    if tally.expired:
        gone = f"{_count(tally.expired, 'entry', 'entries')} of threads that are gone, which go by themselves"
        return Finding("list", Level.OK, f"has every thread; {gone}", items=tally.expired, fixable=True)
    return Finding("list", Level.OK, "has every thread")


def _deadlines(tally: Tally) -> Finding:
    if tally.astray:
        return Finding(
            "deadlines",
            Level.PROBLEM,
            f"{_count(tally.astray, 'thread')} would expire in parts, or never: keys have other deadlines than their thread",
            "--fix gives all keys of a thread its deadline",
            items=tally.astray,
            fixable=True,
        )
    return Finding("deadlines", Level.OK, "each thread goes, or stays, as a whole")


def _copies(tally: Tally) -> Finding:
    if tally.staged:
        return Finding(
            "copies",
            Level.WARNING,
            f"{_count(tally.staged, 'copy', 'copies')} never came to an end, and do not go by themselves",
            "--fix removes what is left of them",
            items=[f"{thread} ({token})" for thread, token in tally.staged],
            fixable=True,
        )
    return Finding("copies", Level.OK, "nothing is left of any")


def _needless(tally: Tally) -> list[Finding]:
    found = []
    if tally.waiting:
        found.append(
            Finding(
                "pending_writes",
                Level.WARNING,
                f"{_count(tally.waiting, 'thread')} have pending writes of checkpoints that never came",
                "they go with their threads",
                items=tally.waiting,
            )
        )
    share = tally.unused / tally.logs if tally.logs else 0.0
    if tally.unused > _MUCH and share > 0.5:
        told = f"no checkpoint needs {share:.0%} of what logs hold, {tally.unused:,} bytes"
        mend = "the next puts leave it behind; of threads that nobody writes it goes when they are deleted"
        found.append(Finding("logs", Level.WARNING, told, mend))
    else:
        found.append(Finding("logs", Level.OK, f"{1 - share:.0%} of what they hold is needed by a checkpoint"))
    return found


def _named(threads: Mapping[str, str]) -> str:
    """Spell threads for a shell, or say in general what stands there, if they are many."""
    return "THREAD…" if len(threads) > 3 else " ".join(map(shlex.quote, threads))


def _count(things: Sized, one: str, many: str = "") -> str:
    return f"{len(things):,} {one if len(things) == 1 else many or f'{one}s'}"
