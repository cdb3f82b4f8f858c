"""Which threads, unfinished copies and foreign keys a store has, by the names of its keys or rows alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from zerograph_redis.backends.redis.faults import DRIVER_ERRORS
from zerograph_redis.backends.redis.transport import is_cluster
from zerograph_redis.backends.sqlite import SqliteBackend
from zerograph_redis.backends.sqlite.thread_rows import printable_name
from zerograph_redis.core.paging import read_index
from zerograph_redis.ids import SEPARATOR, read_name
from zerograph_redis.store import Store

from .findings import Finding, count, ok, warning
from .servers import text_of

PAGE = 1000  # entries

_KIND = r"(?:thread|index|checkpoints|writes|log:0|log:1)"
_THREAD = re.compile(rf"\{{([^{{}}]+)\}}:(?:copy:([^:{{}}]+):)?{_KIND}")
_INDEX, _INDEX_OF_CLUSTER = re.compile("threads|deadlines"), re.compile(r"threads:\{\d+\}")
_OTHER = re.compile(rf"(.+?):(?:\{{[^{{}}]+\}}:(?:copy:[^:{{}}]+:)?{_KIND}|threads|deadlines|threads:\{{\d+\}})")
_SCANNED = 250  # keys that a server reads in one step


@dataclass(slots=True)
class Names:
    """What a store has, by names alone."""

    indexed: set[str] = field(default_factory=set)
    """The threads in the thread index."""
    stored: set[str] = field(default_factory=set)
    """The threads that have a key or row."""
    staged: set[tuple[str, str]] = field(default_factory=set)
    """The copies that are not published: thread and token."""
    foreign: list[str] = field(default_factory=list)
    """Keys that no saver wrote."""
    invalid: list[str] = field(default_factory=list)
    """Entries of the thread index, or names in rows, that are no thread's id."""
    other_prefixes: set[str] = field(default_factory=set)
    """Prefixes of other savers whose keys also begin with this one."""

    def add(self, escaped: str, token: str | None = None) -> bool:
        """Add a stored thread, or a copy with a *token*. Returns False if *escaped* is no escaped id."""
        try:
            thread = read_name(escaped)
        except ValueError:
            return False
        if token is None:
            self.stored.add(thread)
        else:
            self.staged.add((thread, token))
        return True


def find_names(store: Store[Any], advance: Callable[[], None]) -> tuple[Names, list[Finding]]:
    """Find and judge the names in a store; *advance* is called for each key of a Redis.

    Raises:
        BackendUnavailableError: The store does not answer.
        CorruptCheckpointError: The thread index cannot be read.
    """
    if isinstance(store.backend, SqliteBackend):
        names, found = store.backend.read(_find_rows), []
    else:
        names = Names()
        found = [_find_keys(store, names, advance)]
    if invalid := sorted(set(names.invalid)):
        message = f"{count(invalid, 'invalid thread id')} in the thread index, skipped"
        fix = "remove them, and find out what else writes under this prefix or into this file"
        found.append(warning("names", message, fix, items=invalid))
    return names, found


def _find_rows(connection: sqlite3.Connection) -> Names:
    names = Names()
    for (name,) in connection.execute("SELECT thread FROM zerograph_redis_threads"):
        match name.split(SEPARATOR) if isinstance(name, str) else None:
            case [escaped] if names.add(escaped):
                pass
            case ["", token, escaped] if names.add(escaped, token):
                pass
            case _:
                names.invalid.append(printable_name(name))
    return names


def _find_keys(store: Store[Any], names: Names, advance: Callable[[], None]) -> Finding:
    client, prefix = store.backend.transport.client, store.backend.keyspace.prefix
    clustered = is_cluster(client)
    # No character of a prefix has a meaning in a pattern.
    keys = client.scan_iter(match=f"{prefix}:*", count=_SCANNED)
    try:
        sort_keys(keys, prefix, names, advance, clustered=clustered)
    except DRIVER_ERRORS as error:
        message = f"cannot scan keys, so only threads in the thread index are checked: {error}"
        finding = warning("keys", message, "run this as a user with +scan")
    else:
        finding = _judge_keys(names)
    # After the keys: a worker indexes a thread before it writes one.
    for page in store.run(read_index()):
        names.indexed.update(each.thread for each in page.found)
        names.invalid += page.odd
    for escaped in () if clustered else read_expiring(client, prefix):
        try:
            names.indexed.add(read_name(escaped))
        except ValueError:
            names.invalid.append(text_of(escaped))
    return finding


def _judge_keys(names: Names) -> Finding:
    if names.foreign:
        message = f"{count(names.foreign, 'key')} under the prefix that no saver wrote"
        return warning("keys", message, "give savers a prefix that nothing else uses", items=sorted(names.foreign))
    others = f"; other savers use {', '.join(sorted(names.other_prefixes))}" if names.other_prefixes else ""
    return ok("keys", f"only keys of savers{others}")


def sort_keys(
    keys: Iterable[bytes | str], prefix: str, names: Names, advance: Callable[[], None], *, clustered: bool
) -> None:
    """Note in *names* what each of *keys* belongs to; all of them begin with *prefix* and a colon."""
    index = _INDEX_OF_CLUSTER if clustered else _INDEX
    # On a cluster, the index of a saver with the prefix `app` begins with the prefix of one with `app:threads`.
    above = prefix.removesuffix(":threads") if clustered else prefix
    for key in keys:
        advance()
        name = text_of(key)
        rest = name[len(prefix) + 1 :]
        found = _THREAD.fullmatch(rest)
        if index.fullmatch(rest) or (found and names.add(*found.groups())):
            continue
        if above != prefix and index.fullmatch(name[len(above) + 1 :]):
            names.other_prefixes.add(above)
        elif not found and (other := _OTHER.fullmatch(rest)):
            names.other_prefixes.add(f"{prefix}:{other[1]}")
        else:
            names.foreign.append(name)


def read_expiring(client: Any, prefix: str) -> Iterator[bytes | str]:
    """Read the escaped ids of the threads that a single server's index has a deadline of, in short steps."""
    low, start = "-inf", 0
    while True:
        page = client.zrangebyscore(f"{prefix}:deadlines", low, "+inf", start, PAGE, withscores=True)
        for name, _ in page:
            yield name
        if len(page) < PAGE:
            return
        last = page[-1][1]
        # The next page begins behind those of the same deadline that were read.
        same = sum(score == last for _, score in page)
        low, start = last, same + (start if low == last else 0)
