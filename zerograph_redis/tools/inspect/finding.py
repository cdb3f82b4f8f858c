"""From what a person says of a checkpoint to the checkpoint: its id, the beginning of one, or a place before the newest."""

from __future__ import annotations

import re

from zerograph_redis.core.checkpoint_operations import PAGE, find_namespace
from zerograph_redis.core.records import read_header
from zerograph_redis.core.requests import FindCheckpoints, ListCheckpoints, Operation

from .history import list_namespaces

Found = tuple[str, str]
"""A namespace, and a checkpoint id."""

_PLACE = re.compile(r"@(\d{1,9})")


def find_checkpoint(thread: str, said: str, namespace: str | None) -> Operation[list[Found]]:
    """Find the checkpoints that *said* may mean: the one with that id, those whose ids begin so, else ``@<n>``.

    Args:
        thread: The thread. An unknown one has none.
        said: An id, the beginning of one, or ``@2`` for two before the newest.
        namespace: Where to look, None for everywhere.
    """
    if namespace is None:
        exact = yield from find_namespace(thread, said)
        if exact is not None:
            return [(exact, said)]
    found: list[Found] = []
    cursor = None
    while True:
        page = yield from FindCheckpoints(thread, said, cursor)
        found += [(each.namespace, each.checkpoint_id) for each in page.found if namespace in {None, each.namespace}]
        if page.cursor is None:
            break
        cursor = page.cursor
    place = _PLACE.fullmatch(said)
    if not found and place is not None:
        newest = yield from find_newest(thread, namespace, int(place[1]))
        return [] if newest is None else [newest]
    return [each for each in found if each[1] == said] or found


def find_newest(thread: str, namespace: str | None = None, place: int = 0) -> Operation[Found | None]:
    """Find the checkpoint *place* before the newest of a namespace: unless told, the root, or where one was stored last."""
    if namespace is None:
        spaces = yield from list_namespaces(thread)
        if not spaces:
            return None
        namespace = "" if spaces[0].namespace == "" else max(spaces, key=lambda each: each.newest).namespace
    before = None
    while True:
        size = min(PAGE, place + 1)
        request = ListCheckpoints(thread, namespace, None, before, size, refresh=False, known=(), longest=0)
        page = (yield from request).checkpoints
        if len(page) < size:
            return None
        last = page[-1]
        if place < size:
            return namespace, last.checkpoint_id
        before = read_header(f"checkpoint {last.checkpoint_id!r} of thread {thread!r}", last.record or b"").order
        place -= size


def find_before(thread: str, namespace: str, checkpoint_id: str) -> Operation[Found | None]:
    """Find what was stored before a checkpoint in its namespace."""
    request = ListCheckpoints(thread, namespace, checkpoint_id, None, 1, refresh=False, known=(), longest=0)
    page = (yield from request).checkpoints
    return (namespace, page[0].checkpoint_id) if page else None
