"""From a batch of commands to its replies, on whatever client there is: a server's, a Sentinel's, or a cluster's.

A cluster's client knows which node has a key. What is sent to the node, and what becomes of its answer that the key is
elsewhere, is decided here, as a generator that yields what is to be done and gets the replies, for both faces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
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
from .commands import Command, command
from .exchange import Watch
from .faults import is_left_behind
from .helpers import aundisturbed, undisturbed
from .own import AsyncOwn, Own
from .retries import CLUSTER, NEVER, PLAIN, SENTINEL, OutOfTime, Policy

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


_Unit = Sequence[Command]
"""What goes to one node, on one connection."""
_Step = tuple[Any, _Unit] | _Refresh
_Steps = Generator[_Step, Any, list[Any]]


def _through_nodes(client: Any, commands: Sequence[Command]) -> _Steps:
    """Send each command to its node, and follow the answer that a slot is elsewhere; raises what is worth another try."""
    units: list[list[Command]] = []
    for each in commands:
        if each.key is None and units:
            units[-1].append(each)  # the wait for the replicas of the write before it
        else:
            units.append([each])
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
    for unit, replies in zip(units, found, strict=True):
        for reply in replies:
            if len(unit) > 1 and is_left_behind(reply):
                raise exceptions.TryAgainError(str(reply))
            if isinstance(reply, _PASSING):
                raise reply
    return [reply for each in found for reply in each]


def _through_primaries(client: Any, commands: Sequence[Command]) -> _Steps:
    replies = []
    for node in client.get_primaries():
        replies += yield node, commands
    return replies


def _redirected(client: Any, unit: _Unit, replies: list[Any]) -> _Steps:
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


class _Nodes:
    """Connections to the nodes of a cluster."""

    def __init__(self, lines: Borrowed | Own) -> None:
        """Have *lines* to each of them."""
        self._lines = lines

    def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with the nodes that have their keys."""
        return self._follow(client, _through_nodes(client, commands), deadline)

    def send_everywhere(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Exchange *commands* with each primary."""
        return self._follow(client, _through_primaries(client, commands), deadline)

    def _follow(self, client: Any, steps: _Steps, deadline: float) -> list[Any]:
        try:
            return drive(steps, lambda step: self._do(client, step, deadline))
        except _PASSING:
            with suppress(*DRIVER_ERRORS):
                self._do(client, _Refresh(), deadline)
            raise

    def _do(self, client: Any, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return self._ask(client.nodes_manager.initialize, deadline)
        node, commands = step
        if node.redis_connection is None:
            self._ask(lambda: client.get_redis_connection(node), deadline)
        return self._lines.send(node.redis_connection, commands, deadline)

    @staticmethod
    def _ask(question: Callable[[], Any], deadline: float) -> Any:
        try:
            return undisturbed(lambda _: question(), deadline - monotonic())
        except TimeoutError:
            raise OutOfTime from None


class Wire:
    """To a server, or the nodes of a cluster, through a blocking client."""

    def __init__(self, client: Any, *, own: bool = False) -> None:
        """Use *client*; connections are the saver's own if the client is, and otherwise those of the client's pool."""
        self.client = client
        self.is_cluster = is_cluster(client)
        self.policy = _policy_of(client, own=own)
        pooled = not own or _is_limited(client)
        self._lines = Borrowed() if pooled else Own()
        self._nodes = _Nodes(self._lines) if self.is_cluster else None
        self.send: Callable[[Sequence[Command], float], list[Any]] = partial((self._nodes or self._lines).send, client)
        """Send commands once, until a deadline; returns their replies, the server's errors among them.

        On a cluster, each goes to the node of its key, and what has none to that of the command before it.
        """
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

    def send_everywhere(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Send commands once, on a cluster to each primary."""
        if self._nodes is None:
            return self.send(commands, deadline)
        return self._nodes.send_everywhere(self.client, commands, deadline)

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


class _AsyncNodes:
    """Connections to the nodes of a cluster, which are always those of its client."""

    def __init__(self) -> None:
        """Use none yet."""
        self._watch = Watch()

    async def send(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Await `_Nodes.send`."""
        return await self._follow(client, _through_nodes, commands, deadline)

    async def send_everywhere(self, client: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Await `_Nodes.send_everywhere`."""
        return await self._follow(client, _through_primaries, commands, deadline)

    async def _follow(self, client: Any, way: Any, commands: Sequence[Command], deadline: float) -> list[Any]:
        try:
            if client._initialize:  # noqa: SLF001 - a task for each request would cost more than the rest
                await _in_time(client.initialize(), deadline)
            return await adrive(way(client, commands), lambda step: self._do(client, step, deadline))
        except _PASSING:
            with suppress(*DRIVER_ERRORS):
                await self._do(client, _Refresh(), deadline)
            raise

    async def _do(self, client: Any, step: _Step, deadline: float) -> Any:
        if isinstance(step, _Refresh):
            return await _in_time(client.nodes_manager.initialize(), deadline)
        return await aexchange_at(*step, deadline, self._watch)


class AsyncWire:
    """To a server, or the nodes of a cluster, through an asyncio client."""

    def __init__(self, client: Any, *, own: bool = False) -> None:
        """Use *client*, as above."""
        self.client = client
        self.is_cluster = is_cluster(client)
        self.policy = _policy_of(client, own=own)
        pooled = not own or _is_limited(client)
        self._lines = AsyncBorrowed() if pooled else AsyncOwn()
        self._nodes = _AsyncNodes() if self.is_cluster else None
        self.send: Callable[[Sequence[Command], float], Awaitable[list[Any]]] = partial(
            (self._nodes or self._lines).send, client
        )
        """Await `Wire.send`."""
        if own and pooled and not self.is_cluster:
            client.connection_pool.connection_kwargs["retry"] = AsyncRetry(NoBackoff(), 0)

    async def send_everywhere(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Await `Wire.send_everywhere`."""
        if self._nodes is None:
            return await self.send(commands, deadline)
        return await self._nodes.send_everywhere(self.client, commands, deadline)

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
