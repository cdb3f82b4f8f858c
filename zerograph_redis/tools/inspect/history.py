"""The history of a thread: its checkpoints in all namespaces, newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zerograph_redis.core.requests import Operation
from zerograph_redis.core.settings import Settings

from .checkpoints import PAGE, CheckpointReader, Entry, list_namespaces


@dataclass(slots=True)
class NamespaceHistory:
    """The newest checkpoints of a namespace, newest first, and how many it has in all."""

    namespace: str
    checkpoints: int
    entries: list[Entry]


def read_history(
    settings: Settings,
    thread: str,
    namespace: str | None = None,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Operation[list[NamespaceHistory]]:
    """Read the newest checkpoints of a thread, over all of its namespaces or of one.

    Args:
        settings: How to decode checkpoints.
        thread: The thread. An unknown one has no namespaces.
        namespace: The only one to read, None for all.
        limit: How many at the most, over all namespaces, None for all.
        progress: Called with the number of checkpoints that each request read.

    Returns:
        The namespaces that have any of them, by name.

    Raises:
        CorruptCheckpointError: A record is missing or damaged.
    """
    spaces = [each for each in (yield from list_namespaces(thread)) if namespace in {None, each.namespace}]
    reader = CheckpointReader(settings, thread)
    found = []
    orders: list[str] = []
    # The namespace with the newest checkpoint first: once enough are found, older ones need not be read.
    for space in sorted(spaces, key=lambda each: each.newest, reverse=True):
        oldest = _oldest(orders, limit)
        if space.newest < oldest:
            break
        entries = yield from reader.read_newest(space.namespace, limit, oldest, progress, PAGE)
        orders = sorted([*orders, *(each.order for each in entries)], reverse=True)
        found.append(NamespaceHistory(space.namespace, space.checkpoints, entries))
    oldest = _oldest(orders, limit)
    for each in found:
        each.entries = [entry for entry in each.entries if entry.order >= oldest]
    return sorted((each for each in found if each.entries), key=lambda each: each.namespace)


def _oldest(orders: list[str], limit: int | None) -> str:
    return "" if limit is None or len(orders) < limit else orders[limit - 1]
