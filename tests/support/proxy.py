"""A TCP proxy between a worker and its server, which harms connections at a chosen request, or at random ones."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

BEFORE, HALF, AFTER, TRUNCATE, DELAY = "before", "half", "after", "truncate", "delay"
WAYS = (BEFORE, HALF, AFTER, TRUNCATE, DELAY)
"""Drop the connection: before the request is forwarded, in its middle, after the server did it and before its reply, in
the middle of the reply; or hold the reply back until the client gave up."""
PATIENCE = {way: 0.3 if way == DELAY else 10.0 for way in WAYS}
"""For how many seconds a saver should wait: not long for what never comes, and not in vain for what comes late."""

_HANDSHAKE = (b"HELLO", b"AUTH", b"CLIENT", b"PING", b"SELECT", b"READONLY", b"QUIT")


class Proxy:
    """Forwards whole requests and whole replies, in order, and counts the requests that are no handshake."""

    def __init__(self, port: int) -> None:
        """Listen on a free loopback port for clients of the server at *port*."""
        self.port = 0
        self.requests = 0
        self.connections = 0
        self.faults: Counter[str] = Counter()
        self._upstream = port
        self._at: tuple[int, str] | None = None
        self._hook: Callable[[int], object] | None = None
        self._share: tuple[float, Sequence[str], random.Random] | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def arm(self, number: int, way: str) -> None:
        """Harm the *number*-th request from now on, counted from 1, in this *way*, and no other."""
        self.requests, self._at, self.faults = 0, (number, way), Counter()

    def watch(self, hook: Callable[[int], object] | None) -> None:
        """Call *hook* with the number of each request from now on, before it is forwarded."""
        self.requests, self._at, self._hook = 0, None, hook

    def disturb(self, share: float, ways: Sequence[str], seed: int) -> None:
        """Harm a *share* of all requests from now on, in any of these *ways*."""
        self._share = (share, ways, random.Random(seed))

    def calm(self) -> None:
        """Harm nothing from now on."""
        self._at = self._hook = self._share = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=20)

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server = None
        self.connections += 1
        # While it waits for the server, nothing else refers to a task whose client disconnected.
        self._tasks.add(asyncio.current_task())
        # The end of either side is the end of both; a cancelled task ends here too, for asyncio would report it.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream, limit=2**24)
            await self._forward(client, to_client, server, to_server)
        for each in (to_client, to_server):
            if each is not None:
                each.close()
        self._tasks.discard(asyncio.current_task())

    async def _forward(self, client, to_client, server, to_server) -> None:
        while True:
            request, words = await _message(client)
            way = self._way_of(words)
            if way == BEFORE:
                return
            if way == HALF:
                to_server.write(request[: len(request) // 2])
                await to_server.drain()
                return
            to_server.write(request)
            await to_server.drain()
            reply, _ = await _message(server)
            if way == AFTER:
                return
            if way == TRUNCATE:
                to_client.write(reply[: len(reply) // 2])
                await to_client.drain()
                return
            if way == DELAY:
                await client.read()
                return
            to_client.write(reply)
            await to_client.drain()

    def _way_of(self, words: Sequence[bytes]) -> str | None:
        if words[0].upper() in _HANDSHAKE:
            return None
        self.requests += 1
        if self._hook is not None:
            self._hook(self.requests)
        way = None
        if self._at is not None and self._at[0] == self.requests:
            way = self._at[1]
        elif self._share is not None:
            share, ways, dice = self._share
            way = dice.choice(ways) if dice.random() < share else None
        if way is not None:
            self.faults[way] += 1
        return way


async def _message(stream: asyncio.StreamReader) -> tuple[bytes, list[bytes]]:
    """Read one message of RESP 2 or 3: all its bytes, and its strings."""
    line = await stream.readuntil(b"\r\n")
    kind, words = line[:1], []
    if kind in b"$=!":
        length = int(line[1:-2])
        if length < 0:
            return line, words
        data = await stream.readexactly(length + 2)
        return line + data, [data[:-2]]
    if kind not in b"*~>%|":
        return line, words
    parts = [line]
    for _ in range(int(line[1:-2]) * (2 if kind in b"%|" else 1)):
        data, found = await _message(stream)
        parts.append(data)
        words += found
    # A push and attributes stand before the reply that was waited for.
    if kind in b">|":
        data, words = await _message(stream)
        parts.append(data)
    return b"".join(parts), words
