"""The keys of a thread, and those across threads."""

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
"""The keys across threads; a script has them on a single server."""

FRESH = 30.0  # seconds for which a worker does not repeat that it writes a thread, on a cluster

_PREFIX = re.compile(r"[A-Za-z0-9_.:/@+-]+")
# Names repeat from one request to the next; about as many as the threads that a worker runs at a time.
_REMEMBERED = 4096


class Keyspace:
    """Names every key under one prefix: ``<prefix>:{<thread>}:<kind>``.

    The braces are the hash tag, so the keys of a thread share a slot. An escaped id has no brace, so the tag is whole.
    """

    def __init__(self, prefix: str, *, clustered: bool = False) -> None:
        """Use *prefix*; on a cluster the list of threads lies in other slots than the threads, so it is sharded."""
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"prefix must be one or more of A-Z a-z 0-9 _ . : / @ + -, not {quoted(prefix)}")
        self.prefix = prefix
        self._prefix = prefix.encode()
        threads, deadlines = (b"%b:%b" % (self._prefix, kind.encode()) for kind in ACROSS)
        self.lists = tuple(b"%b:{%d}" % (threads, shard) for shard in range(SHARDS)) if clustered else (threads,)
        self._across = () if clustered else (threads, deadlines)
        self.of = lru_cache(maxsize=_REMEMBERED)(self._of)
        self.call = lru_cache(maxsize=_REMEMBERED)(self._call)

    def list_of(self, thread: str) -> bytes:
        """The key of the list, or of its shard, that a thread stands in."""
        return self.lists[xxh32_intdigest(encode(thread)) % len(self.lists)]

    def staged(self, thread: str, token: str) -> tuple[bytes, ...]:
        """The keys that hold a copy of a thread until it is published."""
        return self._named(b"%b:{%b}:copy:%b:" % (self._prefix, encode(thread), token.encode()))

    def published(self, thread: str, token: str) -> tuple[bytes, ...]:
        """The keys of a thread, the staged ones of its copy, and those across threads."""
        own, across = self.of(thread)[: len(KINDS)], self._across
        return (*own, *self.staged(thread, token), *across)

    def _of(self, thread: str) -> tuple[bytes, ...]:
        return self._named(b"%b:{%b}:" % (self._prefix, encode(thread))) + self._across

    def _call(self, sha: bytes, thread: str) -> tuple[bytes, ...]:
        """The words that run a script with the keys of a thread; its arguments follow."""
        keys = self.of(thread)
        return (b"EVALSHA", sha, b"%d" % len(keys), *keys)

    @staticmethod
    def _named(stem: bytes) -> tuple[bytes, ...]:
        return tuple(stem + kind.encode() for kind in KINDS)
