"""`EncryptedSerializer`, which has a saver encrypt what it stores: with AES-256-GCM, from `cryptography`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, escape

from .serializer import MsgpackSerializer, Serializer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


_KEY_SIZE = 32
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,16}")
_KEY_ID_SIZE = 16
_NONCE_SIZE = 12
_TAG_SIZE = 16
_HEADER_SIZE = _KEY_ID_SIZE + _NONCE_SIZE
_THREADS = 1024  # whose derived keys are cached


class EncryptedSerializer:
    """Has a saver encrypt all that it stores with AES-256-GCM: states, metadata and pending writes.

    ```python
    keys = {"2026-11": new_key, "2026-05": old_key}
    saver = RedisSaver.from_url(url, serializer=EncryptedSerializer(keys))
    ```

    The first key encrypts, and every key decrypts. So add a new key in front of the old ones, and remove an old key when
    nothing that it encrypted is left. Each thread has keys derived from yours (HKDF-SHA256), so that no key encrypts more
    than random nonces allow.

    What is stored can be decrypted only where it was put: the name of the store, thread, namespace, checkpoint id and key
    id are authenticated with it, and pending writes together with all others of their checkpoint. The saver refuses what is
    not encrypted, was changed or moved, or was encrypted with an unknown key. `copy_thread` encrypts for the copy.

    Metadata is encrypted; the filters of `list` work, since the saver applies them. "Encryption" in "Limits and guarantees"
    describes what is stored unencrypted, and what somebody who can write to the store can still do.
    """

    def __init__(
        self, keys: Mapping[str, bytes], serializer: Serializer | None = None, store: str | None = None
    ) -> None:
        """Encrypt what *serializer* packs.

        Args:
            keys: By their ids (1 to 16 of ``A-Z a-z 0-9 . _ -``), 32 random bytes each, such as ``secrets.token_bytes(32)``.
            serializer: How values become bytes. Default: a `MsgpackSerializer` without registered types.
            store: The name of the store, which is authenticated with everything: a thread can be decrypted only under the
                name that it was encrypted for. Default: the prefix of a Redis saver; ``zerograph``, which is also the
                default prefix, for SQLite and memory.

        Raises:
            ValueError: There is no key, a key is not 32 bytes long, an id is not valid, or *store* is empty.
            ImportError: The extra ``encryption`` is not installed.
        """
        _check_extra()
        if not isinstance(keys, Mapping) or not keys:
            raise ValueError("keys must be a dict of at least one id and its key: {'2026-11': secrets.token_bytes(32)}")
        # No message shows an id or a key: somebody may have swapped them.
        for number, (name, key) in enumerate(keys.items(), 1):
            if not isinstance(name, str) or not _KEY_ID.fullmatch(name):
                raise ValueError(f"key {number}: its id must be 1 to 16 of A-Z a-z 0-9 . _ -, as in {{id: key}}")
            if not isinstance(key, bytes) or len(key) != _KEY_SIZE:
                raise ValueError(f"key {number} must be {_KEY_SIZE} bytes, such as secrets.token_bytes({_KEY_SIZE})")
        if isinstance(serializer, EncryptedSerializer):
            raise ValueError("serializer must not be an EncryptedSerializer: what is encrypted is not encrypted again")
        if store is not None and (not isinstance(store, str) or not store):
            raise ValueError(f"store must be a name, or None for the name that the saver gives, not {store!r}")
        self.serializer = serializer or MsgpackSerializer()
        self.store = store
        self._keys = {name: bytes(key) for name, key in keys.items()}
        self.cipher = lru_cache(_THREADS)(self._cipher)

    def __repr__(self) -> str:
        """Show the ids of the keys, and never a key."""
        return f"EncryptedSerializer(keys={list(self._keys)})"

    def _cipher(self, store: str, thread: str) -> Cipher:
        return Cipher(self._keys, self.store or store, thread)


class Cipher:
    """Encrypts and decrypts what belongs to one thread of one store."""

    def __init__(self, keys: Mapping[str, bytes], store: str, thread: str) -> None:
        """Derive the keys of *thread* in *store* from *keys*, the first of which encrypts."""
        self.place = _US.join((escape(store).encode(), escape(thread).encode()))
        """Store and thread. What is encrypted for them can be decrypted for no others."""
        self._ciphers = {name: _derived(key, self.place) for name, key in keys.items()}
        self._first = next(iter(keys))

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        """Encrypt *data*. It can be decrypted only for the same store, thread and *context*."""
        nonce = os.urandom(_NONCE_SIZE)
        encrypted = self._ciphers[self._first].encrypt(nonce, data, self._associated(self._first, context))
        return self._first.encode().ljust(_KEY_ID_SIZE, b"\0") + nonce + encrypted

    def decrypt(self, encrypted: bytes, context: bytes) -> bytes:
        """Decrypt what `encrypt` returned.

        Raises:
            CorruptCheckpointError: It was changed or moved.
            SerializationError: It was encrypted with a key that was not given.
        """
        from cryptography.exceptions import InvalidTag

        name = encrypted[:_KEY_ID_SIZE].rstrip(b"\0").decode("ascii", "replace")
        if len(encrypted) < _HEADER_SIZE + _TAG_SIZE or not _KEY_ID.fullmatch(name):
            raise CorruptCheckpointError("it is not in the format of encrypted bytes, so it was changed")
        cipher = self._ciphers.get(name)
        if cipher is None:
            known = ", ".join(map(repr, self._ciphers))
            raise SerializationError(f"it is encrypted with the key {name!r}, and the given ones are {known}")
        try:
            return cipher.decrypt(
                encrypted[_KEY_ID_SIZE:_HEADER_SIZE], encrypted[_HEADER_SIZE:], self._associated(name, context)
            )
        except InvalidTag as error:
            raise CorruptCheckpointError(
                f"it cannot be decrypted with the key {name!r}: it was changed or moved, or the key or the name of the "
                f"store is not the one that it was encrypted with"
            ) from error

    def _associated(self, name: str, context: bytes) -> bytes:
        return _US.join((name.encode(), self.place, context))


_US = SEPARATOR.encode()


def _derived(key: bytes, place: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"zerograph_redis thread " + place
    return AESGCM(HKDF(SHA256(), _KEY_SIZE, salt=None, info=info).derive(key))


def _check_extra() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise ImportError("encryption needs an extra; install it: pip install 'zerograph-redis[encryption]'") from error
