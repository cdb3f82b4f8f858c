"""A server with prepared stores, and a proxy before it that drops chosen requests and replies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from support.data import at, everything, state, thread_ids
from support.facts import FACTS, unpack_facts
from support.proxy import Proxy
from support.servers import RedisServer
from zerograph_redis import RedisSaver
from zerograph_redis.backends.redis.bindings import BINDINGS

TEXT = [f"message {number} " + "x" * 100 for number in range(20)]
LENGTHS = {"pages": 40, "long": 150}
"""Checkpoints in each of two namespaces: several pages of a copy, and more than one request prunes or lists."""
BY_CLOCK_AND_CHANCE = {"order", "created", "updated", "deadline", "generation"}
"""Facts of a thread that differ between equal stores."""


@dataclass
class Rig:
    """A server with prepared stores, and a proxy before it."""

    server: RedisServer
    client: redis.Redis
    proxy: Proxy
    references: dict[Any, Any] = field(default_factory=dict)
    """Results of operations without faults, cached by the tests."""

    def load_scripts(self) -> None:
        """Load every script into the server."""
        with self.client.pipeline(transaction=False) as pipeline:
            for binding in BINDINGS.values():
                if binding.script is not None:
                    pipeline.script_load(binding.script.source)
            pipeline.execute()

    def seeded(self, kind: str) -> str:
        """Copy a prepared store to a new prefix."""
        prefix = f"p{uuid4().hex[:10]}"
        for key in self.client.keys(f"seed-{kind}:*"):
            self.client.copy(key, key.replace(f"seed-{kind}".encode(), prefix.encode(), 1))
        return prefix

    def contents(self, prefix: str) -> Any:
        """All that a store holds, without what depends on the clock or on the log's garbage."""
        saver = RedisSaver(self.client, prefix=prefix)
        found = {}
        for thread in sorted({*thread_ids(saver, limit=None), "thread", "copy", "fresh"}):
            stem = f"{prefix}:{{{thread}}}:"
            fields = self.client.hgetall(f"{stem}thread")
            facts = unpack_facts(fields[FACTS]) if FACTS in fields else {}
            lease = fields.get(b"lease", b"- - - -").split()
            needed = int(facts.pop("length", 0)) - int(facts.pop("dropped", 0))
            # The id of the newest checkpoint of each namespace, without its order and log.
            spaces = {name: value.split(b" ", 4)[4] for name, value in fields.items() if name.endswith(b"\x1f")}
            found[thread] = (
                everything(saver, thread, "", "sub"),
                {name: value for name, value in facts.items() if name not in BY_CLOCK_AND_CHANCE},
                spaces,
                needed,
                self.client.hgetall(f"{stem}writes"),
                (lease[1] != b"0", lease[2:]),
            )
        return found, sorted(thread_ids(saver, limit=None))


@contextmanager
def open_rig(directory: Path) -> Iterator[Rig]:
    """Start a server in a directory, prepare its stores, and put a proxy before it."""
    with (
        RedisServer(directory) as server,
        Proxy(server.port) as proxy,
        server.client() as client,
    ):
        small = RedisSaver(client, prefix="seed-small")
        config = at()
        for number in range(3):
            config = small.put(config, state(f"c{number}", messages=TEXT[: 10 + number]), {"step": number})
            small.put_writes(config, [("t", "a", number)], "")
        small.put(at("other"), state("o0"), {})
        for kind, length in LENGTHS.items():
            saver = RedisSaver(client, prefix=f"seed-{kind}")
            for ns in ("", "sub"):
                config = at(ns=ns)
                for number in range(length):
                    config = saver.put(
                        config, state(f"c{number}", messages=[*TEXT[:9], number]), {"odd": number % 2 == 1}
                    )
                    if number % 3 == 0:
                        saver.put_writes(config, [("t", str(each), each) for each in range(3)], "")
        yield Rig(server, client, proxy)
