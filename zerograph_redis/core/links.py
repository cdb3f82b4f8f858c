"""Whether checkpoints of a namespace stand behind their parents, as they were stored."""

from __future__ import annotations

from collections.abc import Iterator

from zerograph_redis.errors import CorruptCheckpointError

from .records import CheckpointRecord


class Lineage:
    """Takes the records of one namespace, in any order, and compares the orders of parents and children."""

    def __init__(self, thread: str, namespace: str) -> None:
        """Know no record yet."""
        self._thread, self._namespace = thread, namespace
        self._orders: dict[str, tuple[str, bytes]] = {}
        self._children: dict[str, list[tuple[str, CheckpointRecord]]] = {}

    def add(self, checkpoint_id: str, record: CheckpointRecord) -> None:
        """Take a record in.

        Raises:
            CorruptCheckpointError: A parent has another order than the one that its encrypted child was stored behind. No
                call does that, so somebody moved it.
        """
        self._orders[checkpoint_id] = (record.order, b"" if record.link is None else record.link.mark)
        if record.parent is not None:
            self._children.setdefault(record.parent, []).append((checkpoint_id, record))
            self._compare(record.parent, checkpoint_id, record)
        for child, its_record in self._children.get(checkpoint_id, ()):
            self._compare(checkpoint_id, child, its_record)

    def reversed(self) -> Iterator[tuple[str, str]]:
        """Name each checkpoint whose parent is stored later than itself, and the parent: legal, and rare."""
        for parent, children in self._children.items():
            order = self._orders[parent][0] if parent in self._orders else ""
            yield from ((child, parent) for child, record in children if record.order < order)

    def _compare(self, parent: str, child: str, record: CheckpointRecord) -> None:
        if parent not in self._orders or record.link is None or not record.link.parent:
            return
        order, mark = self._orders[parent]
        if mark == record.link.parent and order != record.link.follows:
            raise CorruptCheckpointError(
                f"checkpoint {parent!r} of thread {self._thread!r}, namespace {self._namespace!r} has another order than "
                f"when its child {child!r} was stored behind it. Somebody moved it."
            )
