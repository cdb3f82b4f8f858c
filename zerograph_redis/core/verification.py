"""Verifying a whole thread that was read: its records, states, pending writes, and the order of parents and children."""

from __future__ import annotations

from collections.abc import Iterator

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.state_log.log import Logs, ThreadLogs

from .records import CheckpointRecord, name_of, unpack_checkpoint
from .requests import Page, StoredCheckpoint
from .settings import Settings
from .states import read_state
from .writes import decode_writes


class Verification:
    """Compares what a thread holds with its checksums: row by row, or page by page with `add` and then `check`.

    Every method raises a CorruptCheckpointError for damage, and a SerializationError for data encrypted with another key.
    """

    def __init__(self, thread: str, settings: Settings, logs: Logs | None = None) -> None:
        """Verify *thread*, which was stored under *settings*; *logs* has its logs, unless `add` gets them."""
        self.records: list[tuple[str, str, CheckpointRecord]] = []
        """Namespace, id and record of each checkpoint that `add` verified."""
        self._thread = thread
        self._settings = settings
        self._cipher = settings.cipher(thread)
        self._added = ThreadLogs()
        self._logs = self._added if logs is None else logs

    def writes(self, namespace: str, row: StoredCheckpoint) -> list[bytes]:
        """Return the packed values of a row's pending writes, in order."""
        decoded = decode_writes((self._thread, namespace, row.checkpoint_id), row.writes, self._cipher)
        return [packed for *_, packed in decoded]

    def record(self, namespace: str, row: StoredCheckpoint) -> CheckpointRecord:
        """Return the record of a row's checkpoint."""
        return unpack_checkpoint((self._thread, namespace, row.checkpoint_id), row.record, self._cipher)

    def state(self, namespace: str, checkpoint_id: str, record: CheckpointRecord) -> bytes:
        """Return the packed state that a record describes."""
        return read_state((self._thread, namespace, checkpoint_id), record, self._logs, self._settings).packed

    def add(self, page: Page) -> None:
        """Verify the rows of a page, and keep its part of the logs."""
        for namespace, row in page.rows:
            self.writes(namespace, row)
            if row.record is not None:
                self.records.append((namespace, row.checkpoint_id, self.record(namespace, row)))
        for each in page.ranges:
            self._added.add(each.generation, each.start, each.data)

    def check(self) -> None:
        """Verify the state of every record that was added, after the last page."""
        for each in self.records:
            self.state(*each)


class Lineage:
    """Compares the orders of parents and children in one namespace, whose records are added in any order."""

    def __init__(self, thread: str, namespace: str) -> None:
        """Begin without records."""
        self._thread, self._namespace = thread, namespace
        self._orders: dict[str, tuple[str, bytes]] = {}
        self._children: dict[str, list[tuple[str, CheckpointRecord]]] = {}

    def add(self, checkpoint_id: str, record: CheckpointRecord) -> None:
        """Add a record.

        Raises:
            CorruptCheckpointError: A parent has another order than when its encrypted child was stored. No call does
                that, so something else moved it.
        """
        self._orders[checkpoint_id] = (record.order, b"" if record.link is None else record.link.mark)
        if record.parent is not None:
            self._children.setdefault(record.parent, []).append((checkpoint_id, record))
            self._compare(record.parent, checkpoint_id, record)
        for child, its_record in self._children.get(checkpoint_id, ()):
            self._compare(checkpoint_id, child, its_record)

    def reversed(self) -> Iterator[tuple[str, str]]:
        """Name each checkpoint that was stored before its parent, and the parent. This is legal, and rare."""
        for parent, children in self._children.items():
            order = self._orders[parent][0] if parent in self._orders else ""
            yield from ((child, parent) for child, record in children if record.order < order)

    def _compare(self, parent: str, child: str, record: CheckpointRecord) -> None:
        if parent not in self._orders or record.link is None or not record.link.parent:
            return
        order, mark = self._orders[parent]
        if mark == record.link.parent and order != record.link.follows:
            raise CorruptCheckpointError(
                f"{name_of(self._thread, self._namespace, parent)} has another order than when its child {child!r} was "
                f"stored after it. Something else moved it."
            )
