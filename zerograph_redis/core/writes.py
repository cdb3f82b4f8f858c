"""Decoding pending writes, and storing those of an encrypted saver.

The encrypted value of a write begins with a write id (8 random bytes) and a digest (BLAKE2b-128) over the identities and
ids of all pending writes of the checkpoint, in order, after its batch. A list that is read must have the digest over itself
in one of its writes, those of its newest batch. So nobody without the key can remove, double, reorder or mix its writes. The
whole list may still be replaced by what it was after an earlier batch.

A batch must know the list that it extends. So it is stored only if the list is still the known one; if not, the store
replies with the stored list, and the worker encrypts the batch again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from zerograph_redis.errors import BusyThreadError, CorruptCheckpointError
from zerograph_redis.ids import IDENTITY_SEPARATOR, SEPARATOR, escape, unescape
from zerograph_redis.state_log.codec import Cipher

from .configs import Address
from .records import CheckpointKey, name_of, pack_writes, unpack_write
from .requests import NO_WRITES, Fence, Operation, PutWrites, StoredWrite

_ID_SIZE, _DIGEST_SIZE = 8, 16
_HEAD = _ID_SIZE + _DIGEST_SIZE
_TRIES = 1000  # of one batch: each failure means that another worker stored one
_KNOWN = 256  # checkpoints whose lists are remembered
_LONGEST = 1000  # writes of a list that is remembered

Ids = Mapping[str, bytes]
"""The write id of each identity, in order."""


class _Known(NamedTuple):
    """The version and the write ids of a list of pending writes."""

    version: str
    ids: Ids


class EncryptedWrites:
    """Stores batches. Remembers the lists that this worker wrote last, so that another batch is one round trip."""

    def __init__(self) -> None:
        self._lists = lru_cache(_KNOWN)(lambda _: [_Known(NO_WRITES, {})])
        """By checkpoint: a list of one, which is replaced."""

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
            CorruptCheckpointError: The stored writes were changed.
        """
        key = thread, namespace, _ = address.key(checkpoint_id)
        remembered = self._lists(key)
        known = remembered[0]
        own = {identity: secrets.token_bytes(_ID_SIZE) for identity in values}
        for _ in range(_TRIES):
            batch = values if replace else {each: value for each, value in values.items() if each not in known.ids}
            ids = {**known.ids, **{identity: own[identity] for identity in batch}}
            request = PutWrites(
                thread,
                namespace,
                checkpoint_id,
                _encrypted(namespace, checkpoint_id, batch, ids, cipher),
                replace=replace,
                ttl=address.ttl,
                fence=fence,
                extends=known.version,
            )
            reply = yield from request
            assert reply is not None  # a request that extends a list has a reply
            if reply.stored:
                remembered[0] = _Known(reply.version, ids) if len(ids) <= _LONGEST else _Known(NO_WRITES, {})
                return
            known = _Known(reply.version, _decrypted(key, reply.writes, cipher)[0])
            # The batch may be stored although its reply was lost, and other workers may have stored more since.
            if all(known.ids.get(identity) == own[identity] for identity in batch):
                return
        raise BusyThreadError(
            f"pending writes of {name_of(*key)} cannot be stored now: other workers write "
            f"there all the time; try again later"
        )


def decode_writes(
    key: CheckpointKey, writes: Sequence[StoredWrite], cipher: Cipher | None
) -> list[tuple[str, str, bytes]]:
    """Return the pending writes of a checkpoint, in order: task id, channel, packed value.

    Raises:
        CorruptCheckpointError: One is missing or damaged; or, if they are encrypted, no batch made this list.
    """
    if cipher is None:
        values = [unpack_write(key, each, None) for each in writes]
    else:
        _, values = _decrypted(key, writes, cipher)
    return [(*task_and_channel(each.identity), value) for each, value in zip(writes, values, strict=True)]


def identity_of(task: str, channel: str) -> str:
    """Return the identity of a write: who wrote it, to which channel."""
    return escape(task) + IDENTITY_SEPARATOR + escape(channel)


def task_and_channel(identity: str) -> tuple[str, str]:
    """Return the task id and the channel of the identity of a stored write."""
    task, _, channel = identity.partition(IDENTITY_SEPARATOR)
    return unescape(task), unescape(channel)


def _encrypted(
    namespace: str, checkpoint_id: str, values: Mapping[str, bytes], ids: Ids, cipher: Cipher
) -> list[StoredWrite]:
    digest = _digest(ids)
    contents = {identity: ids[identity] + digest + value for identity, value in values.items()}
    return pack_writes(namespace, checkpoint_id, contents, cipher)


def _decrypted(key: CheckpointKey, writes: Sequence[StoredWrite], cipher: Cipher) -> tuple[Ids, list[bytes]]:
    ids: dict[str, bytes] = {}
    digests, values = set(), []
    for each in writes:
        content = unpack_write(key, each, cipher)
        ids[each.identity] = content[:_ID_SIZE]
        digests.add(content[_ID_SIZE:_HEAD])
        values.append(content[_HEAD:])
    if writes and (len(ids) < len(writes) or _digest(ids) not in digests):
        raise CorruptCheckpointError(
            f"the pending writes of {name_of(*key)} cannot be read: their list was changed. "
            f"Somebody removed, doubled, reordered or exchanged writes."
        )
    return ids, values


def _digest(ids: Ids) -> bytes:
    # Identities have no separators and ids have a fixed size: two lists never give the same bytes.
    content = b"".join(identity.encode() + _US + write_id for identity, write_id in ids.items())
    return blake2b(content, digest_size=_DIGEST_SIZE).digest()


_US = SEPARATOR.encode()
