"""Clients of redis-py: made from a URL, or derived from one another."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any
from urllib.parse import SplitResult, unquote

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.errors import BackendUnavailableError, ConfigError
from zerograph_redis.telemetry import names

from .retries import NotingBackoff
from .sentinel import AsyncFollowingConnection, AsyncToldSentinels, FollowingConnection, ToldSentinels
from .urls import host_and_port, options_of, redacted, split_url

__all__ = (
    "DRIVER_ERRORS",
    "AsyncClients",
    "aclose",
    "adoubt",
    "close",
    "cluster_retry",
    "connect",
    "doubt",
    "is_cluster",
    "store_of",
    "sync_twin",
)

RETRIES = 10
_BACKOFF = {"base": 0.01, "cap": 1.0}  # seconds; all tries together take about three
_FAILOVER_RETRIES = 16
_FAILOVER_BACKOFF = {"base": 0.05, "cap": 1.0}  # seconds; about twelve together, for a failover takes some
_CLUSTER_ERRORS: Any = (
    exceptions.ClusterError,  # also for a slot that moves: a script's keys are on both nodes then
    exceptions.ClusterDownError,
    exceptions.ConnectionError,
    exceptions.RedisClusterException,  # no node answers, or none has the slot
    exceptions.TimeoutError,
    exceptions.TryAgainError,
)
DRIVER_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""All that redis-py raises of a server: those about a cluster as a whole are no `RedisError`."""
_TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0, "health_check_interval": 30}


def connect(url: str, *, asynchronous: bool = False) -> Any:
    """Make the client that *url* describes, with time-outs, and with bounded retries: every request may be repeated.

    Raises:
        ConfigError: The URL is wrong; the message says which part, and quotes none.
        BackendUnavailableError: A cluster did not tell which nodes it has, which a blocking client asks for at once.
    """
    kinds = redis.asyncio if asynchronous else redis
    retry = (AsyncRetry if asynchronous else Retry)(NotingBackoff(**_BACKOFF), RETRIES)
    options: dict[str, Any] = {
        **_TIMEOUTS,
        "retry": retry,
        "retry_on_error": [exceptions.BusyLoadingError, exceptions.ConnectionError, exceptions.TimeoutError],
    }
    parts = split_url(url)
    try:
        if parts.scheme.endswith("+cluster"):
            return _through_cluster(kinds, url.replace("+cluster", "", 1), retry)
        if parts.scheme == "redis+sentinel":
            return _through_sentinel(parts, options, asynchronous=asynchronous)
        client = kinds.Redis.from_url(url, **options)
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)  # refuses unknown options
    except DRIVER_ERRORS as error:
        raise BackendUnavailableError(f"{redacted(parts)} cannot be used: {type(error).__name__}: {error}") from error
    except (ValueError, TypeError):
        client = None  # the error is not to be chained: it may quote what the URL says
    if client is not None:
        return client
    raise ConfigError(f"the {parts.scheme} URL has an option that redis-py does not take")


def _through_cluster(kinds: Any, url: str, retry: Any) -> Any:
    def made() -> Any:
        # The client has its own way to repeat what a node did not answer, once it knows the nodes.
        return kinds.RedisCluster.from_url(url, **_TIMEOUTS, retry=retry)

    return cluster_retry().call_with_retry(made, lambda _: None)


def cluster_retry(*, asynchronous: bool = False) -> Any:
    """Return what repeats a command of a cluster client, which by itself gives up long before a failover is over."""
    kind: Any = AsyncRetry if asynchronous else Retry
    return kind(NotingBackoff(**_FAILOVER_BACKOFF), _FAILOVER_RETRIES, _CLUSTER_ERRORS)


def is_cluster(client: Any) -> bool:
    """Tell whether *client* is one of redis-py's cluster clients."""
    return isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster)


def store_of(client: Any) -> dict[str, str | int]:
    """Say in telemetry's words where *client* leads, as far as that is fixed: a Sentinel's primary and nodes come and go."""
    options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    found: dict[str, str | int] = {names.SYSTEM: "redis"}
    if "path" in options:
        found[names.ADDRESS] = str(options["path"])
    elif "host" in options:
        found |= {names.ADDRESS: str(options["host"]), names.PORT: int(options.get("port", 6379))}
    if options:
        found[names.DATABASE] = str(options.get("db") or 0)
    return found


def _through_sentinel(parts: SplitResult, options: dict[str, Any], *, asynchronous: bool) -> Any:
    service, _, database = parts.path.strip("/").partition("/")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    kind, connection, retry = (
        (AsyncToldSentinels, AsyncFollowingConnection, AsyncRetry)
        if asynchronous
        else (ToldSentinels, FollowingConnection, Retry)
    )
    # The connections to the primary repeat what failed, and with it the question to the Sentinels.
    once = {**_TIMEOUTS, "retry": retry(NoBackoff(), 0)}
    options = {**options, "retry": retry(NotingBackoff(**_FAILOVER_BACKOFF), _FAILOVER_RETRIES)}
    sentinel: Any = kind([host_and_port(each, 26379) for each in hosts.split(",")], sentinel_kwargs=once)
    return sentinel.master_for(
        service,
        connection_class=connection,
        **{
            "db": int(database or 0),
            "username": unquote(user) or None,
            "password": unquote(password) or None,
            **options,
            **options_of(parts),
        },
    )


def close(client: Any) -> None:
    """Close a client, and the clients of Sentinels that it found its primary through."""
    client.close()
    for each in _sentinels(client):
        each.close()


async def aclose(client: Any) -> None:
    """Close an asyncio client, and the clients of Sentinels that it found its primary through."""
    await client.aclose()
    for each in _sentinels(client):
        await each.aclose()


def doubt(client: Any) -> None:
    """Close the idle connections of a client that asks Sentinels for its primary, so that it asks them again."""
    if _sentinels(client):
        client.connection_pool.disconnect(inuse_connections=False)


async def adoubt(client: Any) -> None:
    """Close the idle connections of an asyncio client that asks Sentinels for its primary."""
    if _sentinels(client):
        await client.connection_pool.disconnect(inuse_connections=False)


def _sentinels(client: Any) -> list[Any]:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)


class AsyncClients:
    """One asyncio client for each event loop, since a connection belongs to the loop that opened it."""

    def __init__(self, url: str) -> None:
        """Make clients for *url* as loops ask for them."""
        self._url = url
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    def __call__(self) -> Any:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = connect(self._url, asynchronous=True)
        return client

    async def aclose(self) -> None:
        """Close the client of the running loop. Those of other loops went, or go, with their loops."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await aclose(client)


_SHARED = frozenset(
    (
        "host", "port", "path", "db", "username", "password", "client_name", "socket_timeout", "socket_connect_timeout",
        "socket_keepalive", "socket_keepalive_options", "health_check_interval", "encoding", "encoding_errors",
        "decode_responses", "protocol", "credential_provider",
    )
)  # fmt: skip


def sync_twin(client: Any) -> Any:
    """Make the blocking client that reaches what an asyncio one reaches."""
    pool = getattr(client, "connection_pool", None)
    kinds = {
        redis.asyncio.Connection: redis.Connection,
        redis.asyncio.SSLConnection: redis.SSLConnection,
        redis.asyncio.UnixDomainSocketConnection: redis.UnixDomainSocketConnection,
    }
    given = {} if pool is None else pool.connection_kwargs
    options = {name: value for name, value in given.items() if name in _SHARED or name.startswith("ssl_")}
    kind = None if pool is None else kinds.get(pool.connection_class)
    if kind is not None:
        retry = given.get("retry")
        if retry is not None:
            options["retry"] = Retry(retry._backoff, retry.get_retries())  # noqa: SLF001 - no other way to it
        return redis.Redis.from_pool(redis.ConnectionPool(kind, **options))
    if type(client).__module__.startswith("fakeredis"):
        import fakeredis

        return fakeredis.FakeRedis(server=given.get("server"), version=given["version"], **options)
    raise ConfigError(
        f"no blocking client can be derived from {type(client).__name__}, and the engine calls the blocking methods: "
        f"pass AsyncRedisSaver(client, sync_client=...), or use AsyncRedisSaver.from_url"
    )
