"""The keys of a thread, and those across threads."""

from __future__ import annotations

import re
from functools import lru_cache

from xxhash import xxh32_intdigest

from zerograph_redis.display import quoted
from zerograph_redis.ids import escape

__all__ = ("SHARDS", "Keyspace")

SHARDS = 64

_PREFIX = re.compile(r"[A-Za-z0-9_.:/@+-]+")
_KINDS = (b"thread", b"index", b"checkpoints", b"writes", b"log:0", b"log:1")


class Keyspace:
    """Names every key under one prefix: ``<prefix>:{<thread>}:<kind>``.

    The braces are the hash tag, so the keys of a thread share a slot. An escaped id has no brace, so the tag is whole.
    """

    def __init__(self, prefix: str, *, clustered: bool = False) -> None:
        """Use *prefix*; on a cluster the list of threads lies in other slots than the threads, so it is sharded."""
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"prefix must be one or more of A-Z a-z 0-9 _ . : / @ + -, not {quoted(prefix)}")
        self._prefix = prefix.encode()
        threads = self._prefix + b":threads"
        self.lists = tuple(b"%b:{%d}" % (threads, shard) for shard in range(SHARDS)) if clustered else (threads,)
        self._across = () if clustered else (threads, self._prefix + b":deadlines")
        # Names repeat from one request to the next; as many threads as a worker has in hand at a time.
        self.of = lru_cache(maxsize=4096)(self._keys)

    def list_of(self, thread: str) -> bytes:
        """The key of the list, or of its shard, that a thread stands in."""
        return self.lists[xxh32_intdigest(escape(thread).encode()) % len(self.lists)]

    def staged(self, thread: str, token: str) -> tuple[bytes, ...]:
        """The keys that hold a copy of a thread until it is published."""
        return self._named(b"%b:{%b}:copy:%b:" % (self._prefix, escape(thread).encode(), token.encode()))

    def _keys(self, thread: str) -> tuple[bytes, ...]:
        return self._named(b"%b:{%b}:" % (self._prefix, escape(thread).encode())) + self._across

    @staticmethod
    def _named(stem: bytes) -> tuple[bytes, ...]:
        return tuple(stem + kind for kind in _KINDS)
