"""From a batch of commands to its replies, on whatever client there is: a server's, a Sentinel's, or a cluster's.

A cluster's client knows which node has a key. What is sent to the node, and what becomes of its answer that the key is
elsewhere, is decided here, as a generator that yields what is to be done and gets the replies, for both faces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.core.drive import adrive, drive

from .borrowed import AsyncBorrowed, Borrowed, aexchange_at
from .commands import Batch, Command, command
from .faults import is_left_behind
from .helpers import aundisturbed, undisturbed
from .own import AsyncOwn, Own
from .retries import CLUSTER, NEVER, PLAIN, SENTINEL, OutOfTime, Policy

__all__ = ("DRIVER_ERRORS", "AsyncWire", "Wire", "is_cluster")

DRIVER_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""All that redis-py raises of a server: those about a cluster as a whole are no `RedisError`."""

_ASKING = command("ASKING")
_REDIRECTIONS = 5
_PASSING = CLUSTER.errors


def is_cluster(client: Any) -> bool:
    """Tell whether *client* is one of redis-py's cluster clients."""
    return isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster)


class _Refresh:
    """Have the client of a cluster ask which node has which slots."""


_Step = tuple[Any, Sequence[Command]] | _Refresh
_Unit = Sequence[Command]
"""What goes to one node, on one connection."""


def _through_nodes(client: Any, batch: Batch, *, everywhere: bool) -> Generator[_Step, Any, list[Any]]:
    """Send each command to its node, and follow the answer that a slot is elsewhere; raises what is worth another try."""
    if everywhere:
        replies = []
        for node in client.get_primaries():
            replies += yield node, batch.commands
        return replies
    units: list[_Unit] = [batch.commands] if batch.together else [[each] for each in batch.commands]
    at_nodes: dict[Any, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        at_nodes[_node_of(client, unit)].append(place)
    found: list[list[Any]] = [[] for _ in units]
    for node, places in at_nodes.items():
        replies = yield node, [each for place in places for each in units[place]]
        for place in places:
            found[place], replies = replies[: len(units[place])], replies[len(units[place]) :]
    for place, unit in enumerate(units):
        found[place] = yield from _redirected(client, unit, found[place])
    for reply in (reply for each in found for reply in each):
        if batch.together and is_left_behind(reply):
            raise exceptions.TryAgainError(str(reply))
        if isinstance(reply, _PASSING):
            raise reply
    return [reply for each in found for reply in each]


def _redirected(client: Any, unit: _Unit, replies: list[Any]) -> Generator[_Step, Any, list[Any]]:
    for _ in range(_REDIRECTIONS):
        if type(replies[0]) is exceptions.AskError:  # which is also a base of MovedError
            node = client.get_node(replies[0].host, replies[0].port)
            if node is None:
                break
            replies = (yield node, [_ASKING, *unit])[1:]
        elif isinstance(replies[0], exceptions.MovedError):
            yield _Refresh()
            replies = yield _node_of(client, unit), unit
        else:
            break
    return replies


def _node_of(client: Any, unit: _Unit) -> Any:
    key = unit[0].key
    if key is not None:
        return client.get_node_from_key(key)
    primaries = client.get_primaries()
    if not primaries:
        raise exceptions.RedisClusterException("the cluster has no primaries")
    return primaries[0]


class Wire:
    """To a server, through a blocking client."""

    def __init__(self, client: Any, *, own: bool = False) -> None:
        """Use *client*; connections are the saver's own if the client is, and otherwise those of the client's pool."""
        self.client = client
        self.is_cluster = is_cluster(client)
        self.policy = _policy_of(client, own=own)
        pooled = not own or _is_limited(client)
        self._lines = Borrowed() if pooled else Own()
        if own and pooled and not self.is_cluster:
            # What fails is tried again by the saver, which notes it. The nodes of a cluster's client do so anyway.
            client.connection_pool.connection_kwargs["retry"] = Retry(NoBackoff(), 0)

    def node_of(self, key: bytes) -> str | None:
        """Name the node of a cluster that has a key; None if none is known to, or for a client of one server."""
        if not self.is_cluster:
            return None
        with suppress(*DRIVER_ERRORS):
            name: str = self.client.get_node_from_key(key).name
            return name
        return None

    def send(self, batch: Batch, deadline: float, *, everywhere: bool = False) -> Sequence[Any]:
        """Send a batch once; returns its replies, the server's errors among them. On a cluster, maybe *everywhere*."""
        if not self.is_cluster:
            return self._lines.send(self.client, batch.commands, deadline)
        try:
            return drive(
                _through_nodes(self.client, batch, everywhere=everywhere), lambda step: self._do(step, deadline)
            )
        except _PASSING:
            with suppress(*DRIVER_ERRORS):
                self._do(_Refresh(), deadline)
            raise

    def _do(self, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return self._ask(self.client.nodes_manager.initialize, deadline)
        node, commands = step
        if node.redis_connection is None:
            self._ask(lambda: self.client.get_redis_connection(node), deadline)
        return self._lines.send(node.redis_connection, commands, deadline)

    @staticmethod
    def _ask(question: Callable[[], Any], deadline: float) -> Any:
        try:
            return undisturbed(lambda _: question(), deadline - monotonic())
        except TimeoutError:
            raise OutOfTime from None

    def doubt(self) -> None:
        """Have a client of Sentinels ask them for the primary again."""
        if _sentinels(self.client):
            self._lines.doubt(self.client)

    def close(self) -> None:
        """Close the connections of the saver's own."""
        self._lines.close()

    def locks(self) -> list[Any]:
        """Locks of redis-py's that a child of a fork must not find taken."""
        if self.is_cluster:
            owner: Any = self.client.nodes_manager
        else:
            owner = getattr(self.client, "connection_pool", None)
        return [getattr(owner, name) for name in ("_initialization_lock", "_lock") if hasattr(owner, name)]


class AsyncWire:
    """To a server, through an asyncio client."""

    def __init__(self, client: Any, *, own: bool = False) -> None:
        """Use *client*, as above."""
        self.client = client
        self.is_cluster = is_cluster(client)
        self.policy = _policy_of(client, own=own)
        pooled = not own or _is_limited(client)
        self._lines = AsyncBorrowed() if pooled else AsyncOwn()
        if own and pooled and not self.is_cluster:
            client.connection_pool.connection_kwargs["retry"] = AsyncRetry(NoBackoff(), 0)

    async def send(self, batch: Batch, deadline: float, *, everywhere: bool = False) -> Sequence[Any]:
        """Await `Wire.send`."""
        if not self.is_cluster:
            return await self._lines.send(self.client, batch.commands, deadline)
        try:
            if self.client._initialize:  # noqa: SLF001 - a task for each request would cost more than the rest
                await _in_time(self.client.initialize(), deadline)
            return await adrive(
                _through_nodes(self.client, batch, everywhere=everywhere), lambda step: self._do(step, deadline)
            )
        except _PASSING:
            with suppress(*DRIVER_ERRORS):
                await self._do(_Refresh(), deadline)
            raise

    async def _do(self, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return await _in_time(self.client.nodes_manager.initialize(), deadline)
        return await aexchange_at(*step, deadline)

    async def doubt(self) -> None:
        """Have a client of Sentinels ask them for the primary again."""
        if _sentinels(self.client):
            await self._lines.doubt(self.client)

    async def aclose(self) -> None:
        """Close the connections of the saver's own."""
        await self._lines.aclose()


async def _in_time(coroutine: Any, deadline: float) -> Any:
    try:
        return await aundisturbed(coroutine, deadline - monotonic())
    except TimeoutError:
        raise OutOfTime from None


def _policy_of(client: Any, *, own: bool) -> Policy:
    if is_cluster(client):
        return CLUSTER
    if not own:
        return NEVER
    return SENTINEL if _sentinels(client) else PLAIN


def _is_limited(client: Any) -> bool:
    """Tell whether the URL says how many connections there may be."""
    pool = getattr(client, "connection_pool", None)
    given = client.nodes_manager.connection_kwargs.get("max_connections") if pool is None else pool.max_connections
    return given not in {None, _UNLIMITED}


_UNLIMITED = redis.ConnectionPool().max_connections


def _sentinels(client: Any) -> list[Any]:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)
