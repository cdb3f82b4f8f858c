"""Encrypting a thread's stored bytes anew, for another thread: what is sealed opens only where it was put."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from zerograph_redis.errors import SerializationError
from zerograph_redis.state_log import EncryptedCodec
from zerograph_redis.state_log.codec import Cipher

from .records import is_encrypted, missing, pack_writes, reencrypt_checkpoint, unpack_write
from .requests import LogRange, Page, StoredCheckpoint


def refuse_encrypted(thread: str, page: Page) -> None:
    """Raise a SerializationError if *page* has anything that would never open in another thread."""
    for _, row in page.rows:
        if any(is_encrypted(record or b"") for record in (row.record, *(write.record for write in row.writes))):
            raise SerializationError(
                f"thread {thread!r} cannot be copied: it is encrypted, and a copy must be encrypted anew; make the saver "
                f"with serializer=EncryptedSerializer(keys)"
            )


@dataclass(slots=True)
class Reencryption:
    """Takes the pages of one scan, and returns them for the other thread. Everything stays as long as it is.

    Pages of logs come last in a scan, so it is known by then where the pieces lie. A piece that goes on in the next page
    is kept until it is whole. What no checkpoint needs stays as it is: nobody will read it.
    """

    thread: str
    source: Cipher
    target: Cipher
    _pieces: dict[str, dict[int, int]] = field(default_factory=dict)
    """By generation: where pieces begin, and how long they are."""
    _kept: dict[str, LogRange] = field(default_factory=dict)

    def page(self, page: Page) -> Page:
        """Encrypt a page anew."""
        rows = [(namespace, self._row(namespace, row)) for namespace, row in page.rows]
        ranges = [each for each in map(self._range, page.ranges) if each.data]
        return replace(page, rows=rows, ranges=ranges)

    def _row(self, namespace: str, row: StoredCheckpoint) -> StoredCheckpoint:
        checkpoint_id, record = row.checkpoint_id, None
        if row.record is not None:
            record, generation, segments = reencrypt_checkpoint(
                self.thread, namespace, checkpoint_id, row.record, self.source, self.target
            )
            pieces = self._pieces.setdefault(generation, {})
            pieces.update((segment.offset, segment.stored) for segment in segments)
        values = {
            each.identity: unpack_write(self.thread, namespace, checkpoint_id, each.identity, each.record, self.source)
            for each in row.writes
        }
        writes = pack_writes(namespace, checkpoint_id, values, self.target)
        return StoredCheckpoint(checkpoint_id, record, writes, row.order)

    def _range(self, page: LogRange) -> LogRange:
        log = page.generation
        kept = self._kept.pop(log, None)
        start = page.start if kept is None else kept.start
        data = bytearray(page.data if kept is None else kept.data + page.data)
        end = start + len(data)
        sealed = EncryptedCodec(self.source, None)
        for offset, size in sorted(self._pieces.get(log, {}).items()):
            if not start <= offset < end:
                continue
            if offset + size > end:
                self._kept[log] = LogRange(log, offset, bytes(data[offset - start :]))
                del data[offset - start :]
                break
            place = slice(offset - start, offset - start + size)
            data[place] = sealed.moved(bytes(data[place]), self.target)
        return LogRange(log, start, bytes(data))

    def check_end(self) -> None:
        """Refuse, with a CorruptCheckpointError, a log that ended within a piece."""
        if self._kept:
            raise missing(f"a state of thread {self.thread!r}")
