"""The names of keys: those of a thread, and those across threads."""

from __future__ import annotations

import re
from functools import lru_cache

from xxhash import xxh32_intdigest

from zerograph_redis.display import quoted
from zerograph_redis.ids import encode

SHARDS = 64
KINDS = ("thread", "index", "checkpoints", "writes", "log:0", "log:1")
"""The keys of a thread."""
ACROSS = ("threads", "deadlines")
"""The thread index, and when its threads expire: keys that only scripts on a single server get."""

_PREFIX = re.compile(r"[A-Za-z0-9_.:/@+-]+")
# Names repeat from one request to the next; about as many as the threads that a worker runs at a time.
_REMEMBERED = 4096


class Keyspace:
    """Names every key under one prefix: ``<prefix>:{<thread>}:<kind>``.

    The braces are the hash tag, so the keys of a thread share a slot. An escaped id has no brace, so the tag is whole.
    """

    def __init__(self, prefix: str, *, clustered: bool = False) -> None:
        """Use *prefix*. On a cluster the thread index is in other slots than the threads, so it is sharded."""
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"prefix must be one or more of A-Z a-z 0-9 _ . : / @ + -, not {quoted(prefix)}")
        self.prefix = prefix
        self._prefix = prefix.encode()
        threads, deadlines = (b"%b:%b" % (self._prefix, kind.encode()) for kind in ACROSS)
        self.shards = tuple(b"%b:{%d}" % (threads, shard) for shard in range(SHARDS)) if clustered else (threads,)
        self._across = () if clustered else (threads, deadlines)
        self.of = lru_cache(maxsize=_REMEMBERED)(self._of)
        self.call = lru_cache(maxsize=_REMEMBERED)(self._call)

    def shard_of(self, thread: str) -> bytes:
        """The key of the thread index, or of its shard, that has a thread."""
        return self.shards[xxh32_intdigest(encode(thread)) % len(self.shards)]

    def staged(self, thread: str, token: str) -> tuple[bytes, ...]:
        """The keys of a staged copy of a thread."""
        return self._named(b"%b:{%b}:copy:%b:" % (self._prefix, encode(thread), token.encode()))

    def published(self, thread: str, token: str) -> tuple[bytes, ...]:
        """The keys of a thread, those of its staged copy, and those across threads."""
        return (*self.of(thread)[: len(KINDS)], *self.staged(thread, token), *self._across)

    def _of(self, thread: str) -> tuple[bytes, ...]:
        return self._named(b"%b:{%b}:" % (self._prefix, encode(thread))) + self._across

    def _call(self, sha: bytes, thread: str) -> tuple[bytes, ...]:
        """The words that run a script with the keys of a thread; its arguments follow."""
        keys = self.of(thread)
        return (b"EVALSHA", sha, b"%d" % len(keys), *keys)

    @staticmethod
    def _named(stem: bytes) -> tuple[bytes, ...]:
        return tuple(stem + kind.encode() for kind in KINDS)
