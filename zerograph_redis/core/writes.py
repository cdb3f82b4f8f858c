"""Pending writes of an encrypted saver: each batch seals what the whole list of its checkpoint is once it is stored.

The sealed value of a write begins with a write id (8 random bytes) and a digest (BLAKE2b-128) over the identities and ids
of all pending writes of the checkpoint, in order, with this batch. So a list that is read is one that a batch made, or an
error: the digest over it must be in one of its writes, those of its newest batch. Nobody without the key can drop, double,
reorder or mix writes of it. A list may still be put back whole, as it was after an earlier batch.

A batch has to know the list that it extends. So it is stored only if the list is still that one; if not, the store replies
with what is there, and the worker seals the batch again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from zerograph_redis.errors import BusyThreadError, CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR, WITHIN, unescape
from zerograph_redis.state_log.codec import Cipher

from .records import pack_writes, unpack_write
from .requests import NO_WRITES, Fence, Operation, PutWrites, StoredWrite
from .settings import Address

_ID_SIZE, _DIGEST_SIZE = 8, 16
_HEAD = _ID_SIZE + _DIGEST_SIZE
_TRIES = 1000  # of one batch: each failure means that another worker's was stored
_KNOWN = 256  # checkpoints whose lists are kept
_LONGEST = 1000  # writes of a list that is kept

Ids = Mapping[str, bytes]
"""The write id of each identity, in order."""


class _Known(NamedTuple):
    """A list of pending writes, and what the store calls it."""

    version: str
    ids: Ids


class _Slot:
    """Keeps what is known of one list."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known = _Known(NO_WRITES, {})


class EncryptedWrites:
    """Stores batches. Knows the lists that this worker wrote lately: another batch is then one round trip."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._slot = lru_cache(_KNOWN)(self._new_slot)

    @staticmethod
    def _new_slot(thread: str, namespace: str, checkpoint_id: str) -> _Slot:  # noqa: ARG004 - the cache's key
        return _Slot()

    def put(
        self,
        address: Address,
        checkpoint_id: str,
        values: Mapping[str, bytes],
        cipher: Cipher,
        fence: Fence,
        *,
        replace: bool,
    ) -> Operation[None]:
        """Store a batch: packed values by identity.

        Raises:
            BusyThreadError: Other workers stored writes of the checkpoint faster than this one could.
            CorruptCheckpointError: The writes that are there are not what was stored.
        """
        thread, namespace = address.thread, address.namespace
        slot: _Slot = self._slot(thread, namespace, checkpoint_id)
        known = slot.known
        own = {identity: secrets.token_bytes(_ID_SIZE) for identity in values}
        for _ in range(_TRIES):
            batch = values if replace else {each: value for each, value in values.items() if each not in known.ids}
            ids = {**known.ids, **{identity: own[identity] for identity in batch}}
            request = PutWrites(
                thread,
                namespace,
                checkpoint_id,
                _sealed(namespace, checkpoint_id, batch, ids, cipher),
                replace=replace,
                ttl=address.ttl,
                fence=fence,
                extends=known.version,
            )
            reply = yield from request
            assert reply is not None  # a request that extends a list has a reply
            if reply.stored:
                slot.known = _Known(reply.version, ids) if len(ids) <= _LONGEST else _Known(NO_WRITES, {})
                return
            known = _Known(reply.version, _opened(thread, namespace, checkpoint_id, reply.writes, cipher)[0])
            # After a lost reply the batch may be there, with those of other workers behind it.
            if all(known.ids.get(identity) == own[identity] for identity in batch):
                return
        raise BusyThreadError(
            f"pending writes of checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r} cannot be stored "
            f"now: other workers write there all the time"
        )


def encrypt_writes(
    namespace: str, checkpoint_id: str, values: Mapping[str, bytes], cipher: Cipher
) -> list[StoredWrite]:
    """Seal all the pending writes of a checkpoint: packed values by identity."""
    ids = {identity: secrets.token_bytes(_ID_SIZE) for identity in values}
    return _sealed(namespace, checkpoint_id, values, ids, cipher)


def decode_writes(
    thread: str, namespace: str, checkpoint_id: str, writes: Sequence[StoredWrite], cipher: Cipher | None
) -> list[tuple[str, str, bytes]]:
    """Return the pending writes of a checkpoint, in order: task id, channel, packed value.

    Raises:
        CorruptCheckpointError: One is missing or damaged; or, if they are encrypted, they never were together.
    """
    if cipher is None:
        values = [unpack_write(thread, namespace, checkpoint_id, each.identity, each.record, None) for each in writes]
    else:
        _, values = _opened(thread, namespace, checkpoint_id, writes, cipher)
    return [(*task_and_channel(each.identity), value) for each, value in zip(writes, values, strict=True)]


def task_and_channel(identity: str) -> tuple[str, str]:
    """Return what the identity of a stored write is made of."""
    task, _, channel = identity.partition(WITHIN)
    return unescape(task), unescape(channel)


def _sealed(
    namespace: str, checkpoint_id: str, values: Mapping[str, bytes], ids: Ids, cipher: Cipher
) -> list[StoredWrite]:
    digest = _digest(ids)
    sealed = {identity: ids[identity] + digest + value for identity, value in values.items()}
    return pack_writes(namespace, checkpoint_id, sealed, cipher)


def _opened(
    thread: str, namespace: str, checkpoint_id: str, writes: Sequence[StoredWrite], cipher: Cipher
) -> tuple[Ids, list[bytes]]:
    ids: dict[str, bytes] = {}
    digests, values = set(), []
    for each in writes:
        opened = unpack_write(thread, namespace, checkpoint_id, each.identity, each.record, cipher)
        ids[each.identity] = opened[:_ID_SIZE]
        digests.add(opened[_ID_SIZE:_HEAD])
        values.append(opened[_HEAD:])
    if writes and (len(ids) < len(writes) or _digest(ids) not in digests):
        raise CorruptCheckpointError(
            f"the pending writes of checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r} cannot be "
            f"read: their list was changed. Somebody dropped, doubled, reordered or exchanged writes of it."
        )
    return ids, values


def _digest(ids: Ids) -> bytes:
    # An identity is free of separators, and an id has a fixed size: two lists never give the same bytes.
    content = b"".join(identity.encode() + _US + write_id for identity, write_id in ids.items())
    return blake2b(content, digest_size=_DIGEST_SIZE).digest()


_US = SEPARATOR.encode()
