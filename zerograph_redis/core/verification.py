"""Verifying what was read of a whole thread: every record, every state and every pending write fits its checksum."""

from __future__ import annotations

from zerograph_redis.state_log import ThreadLogs

from .configs import Address
from .records import CheckpointRecord, unpack_checkpoint
from .requests import Page, StoredCheckpoint
from .settings import Settings
from .states import read_state
from .writes import decode_writes


class Verification:
    """Takes the pages of one scan of a thread."""

    def __init__(self, thread: str, settings: Settings) -> None:
        """Verify *thread*, which was stored under *settings*."""
        self.records: list[tuple[str, str, CheckpointRecord]] = []
        """Namespace, id and record of each checkpoint."""
        self._thread = thread
        self._settings = settings
        self._cipher = settings.cipher(thread)
        self._logs = ThreadLogs()

    def add(self, page: Page) -> None:
        """Verify the records of a page, and keep its log; CorruptCheckpointError for a damaged record."""
        for namespace, row in page.rows:
            self._add_row(namespace, row)
        for each in page.ranges:
            self._logs.add(each.generation, each.start, each.data)

    def _add_row(self, namespace: str, row: StoredCheckpoint) -> None:
        decode_writes(self._thread, namespace, row.checkpoint_id, row.writes, self._cipher)
        if row.record is not None:
            record = unpack_checkpoint(self._thread, namespace, row.checkpoint_id, row.record, self._cipher)
            self.records.append((namespace, row.checkpoint_id, record))

    def check(self) -> None:
        """Put every state together; CorruptCheckpointError for one that does not fit its checksum."""
        for namespace, checkpoint_id, record in self.records:
            address = Address(self._thread, namespace, checkpoint_id, None)
            read_state(address, checkpoint_id, record, self._logs, self._settings)
