"""Encrypting a thread again for another place: encrypted bytes open only under the thread and store of their cipher."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from zerograph_redis.errors import SerializationError
from zerograph_redis.state_log.codec import Cipher, EncryptedCodec

from .records import is_encrypted, missing, pack_writes, reencrypt_checkpoint, unpack_write
from .requests import LogRange, Page, StoredCheckpoint


def refuse_encrypted(thread: str, page: Page) -> None:
    """Refuse a page with encrypted bytes, which would never open in another thread.

    Raises:
        SerializationError: It has some.
    """
    for _, row in page.rows:
        if any(is_encrypted(record or b"") for record in (row.record, *(write.record for write in row.writes))):
            raise SerializationError(
                f"thread {thread!r} cannot be copied: it is encrypted, and a copy must be encrypted again; make the saver "
                f"with serializer=EncryptedSerializer(keys)"
            )


@dataclass(slots=True)
class Reencryption:
    """Encrypts the pages of one scan for another place. Every length stays the same.

    A scan ends with the pages of logs, so all records are known by then, and with them where segments are. A segment that
    continues on the next page is kept until it is whole. Bytes that no checkpoint needs stay as they are.
    """

    thread: str
    source: Cipher
    target: Cipher
    _segments: dict[str, dict[int, int]] = field(default_factory=dict)
    """By generation: where segments begin, and how long they are."""
    _kept: dict[str, LogRange] = field(default_factory=dict)

    def page(self, page: Page) -> Page:
        """Return a page, encrypted again."""
        rows = [(namespace, self._row(namespace, row)) for namespace, row in page.rows]
        ranges = [each for each in map(self._range, page.ranges) if each.data]
        return replace(page, rows=rows, ranges=ranges)

    def _row(self, namespace: str, row: StoredCheckpoint) -> StoredCheckpoint:
        key, record = (self.thread, namespace, row.checkpoint_id), None
        if row.record is not None:
            record, generation, segments = reencrypt_checkpoint(key, row.record, self.source, self.target)
            known = self._segments.setdefault(generation, {})
            known.update((segment.offset, segment.stored) for segment in segments)
        values = {each.identity: unpack_write(key, each, self.source) for each in row.writes}
        writes = pack_writes(namespace, row.checkpoint_id, values, self.target)
        return StoredCheckpoint(row.checkpoint_id, record, writes, row.order)

    def _range(self, page: LogRange) -> LogRange:
        log = page.generation
        kept = self._kept.pop(log, None)
        start = page.start if kept is None else kept.start
        data = bytearray(page.data if kept is None else kept.data + page.data)
        end = start + len(data)
        codec = EncryptedCodec(self.source, None)
        for offset, size in sorted(self._segments.get(log, {}).items()):
            if not start <= offset < end:
                continue
            if offset + size > end:
                self._kept[log] = LogRange(log, offset, bytes(data[offset - start :]))
                del data[offset - start :]
                break
            place = slice(offset - start, offset - start + size)
            data[place] = codec.reencrypted(bytes(data[place]), self.target)
        return LogRange(log, start, bytes(data))

    def check_end(self) -> None:
        """Refuse a log that ended within a segment.

        Raises:
            CorruptCheckpointError: One did.
        """
        if self._kept:
            raise missing(f"a state of thread {self.thread!r}")
