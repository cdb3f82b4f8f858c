"""Clients of redis-py: made from a URL or derived from another client, and the names of their servers in messages."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Any
from urllib.parse import SplitResult, unquote

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from zerograph_redis.display import visible
from zerograph_redis.errors import BackendUnavailableError, ConfigError
from zerograph_redis.telemetry import names

from .faults import CLUSTER, DRIVER_ERRORS, PLAIN, SENTINEL, TIMEOUT, Tries
from .sentinel import (
    AsyncCachingSentinels,
    AsyncFollowingConnection,
    CachingSentinels,
    FollowingConnection,
)
from .shielding import ShieldedCall, shielded
from .transport import AsyncTransport, is_cluster, sentinels_of
from .urls import host_and_port, options_of, redacted, split_url

_TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0, "health_check_interval": 30}


def connect(url: str, *, asynchronous: bool = False, timeout: float = TIMEOUT) -> Any:
    """Make the client that *url* describes, with time-outs; the saver repeats what fails.

    Raises:
        ConfigError: The URL is wrong; the message names the wrong part, and quotes none.
        BackendUnavailableError: A cluster did not name its nodes within *timeout* seconds. A blocking client asks for them
            at once.
    """
    kinds = redis.asyncio if asynchronous else redis
    retry = AsyncRetry if asynchronous else Retry
    # For other uses of the client, as by the command line.
    options: dict[str, Any] = {**_TIMEOUTS, "retry": retry(PLAIN.backoff, PLAIN.retries)}
    parts = split_url(url)
    try:
        if parts.scheme.endswith("+cluster"):
            return _through_cluster(kinds, url.replace("+cluster", "", 1), retry(CLUSTER.backoff, 3), timeout)
        if parts.scheme == "redis+sentinel":
            return _through_sentinel(parts, options, asynchronous=asynchronous)
        client = kinds.Redis.from_url(url, **options)
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)  # refuses unknown options
    except DRIVER_ERRORS as error:
        raise BackendUnavailableError(
            f"cannot connect to {redacted(parts)}: {type(error).__name__}: {error}"
        ) from error
    except (ValueError, TypeError):
        client = None  # the error must not be chained: it may quote the URL
    if client is not None:
        return client
    raise ConfigError(f"the {parts.scheme} URL has an option that redis-py does not take")


def _through_cluster(kinds: Any, url: str, retry: Any, timeout: float) -> Any:
    tries = Tries("asking the cluster for its nodes", CLUSTER, timeout, time.monotonic() + timeout)
    options = {**_TIMEOUTS, "retry": retry}

    def make(call: ShieldedCall) -> Any:
        client = kinds.RedisCluster.from_url(url, **options)
        if not call.wanted:  # nothing would close it later
            client.close()
        return client

    while True:
        try:
            return shielded(make, tries.left())
        except CLUSTER.errors as error:
            pause = tries.pause(error)
        time.sleep(pause)


def _through_sentinel(parts: SplitResult, options: dict[str, Any], *, asynchronous: bool) -> Any:
    service, _, database = parts.path.strip("/").partition("/")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    kind, connection, retry = (
        (AsyncCachingSentinels, AsyncFollowingConnection, AsyncRetry)
        if asynchronous
        else (CachingSentinels, FollowingConnection, Retry)
    )
    # The connections to the primary repeat what failed, and with it the question to the Sentinels.
    once = {**_TIMEOUTS, "retry": retry(NoBackoff(), 0)}
    options = {**options, "retry": retry(SENTINEL.backoff, SENTINEL.retries)}
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


def attributes_of(client: Any) -> dict[str, str | int]:
    """Describe the server of *client* in telemetry's terms, as far as it is fixed: primaries and nodes change."""
    options = _options_of(client)
    found: dict[str, str | int] = {names.SYSTEM: "redis"}
    if "path" in options:
        found[names.ADDRESS] = str(options["path"])
    elif "host" in options:
        found |= {names.ADDRESS: str(options["host"]), names.PORT: int(options.get("port", 6379))}
    if options:
        found[names.DATABASE] = str(options.get("db") or 0)
    return found


def url_of(client: Any) -> str:
    """Return the URL of the server of *client*, without user, password and options."""
    options = _options_of(client)
    database = options.get("db") or 0
    if is_cluster(client):
        return f"redis+cluster://{_address_of(client)}"
    if sentinels_of(client):
        return f"redis+sentinel://…/{client.connection_pool.service_name}/{database}"
    if "path" in options:
        return f"unix://{options['path']}?db={database}"
    kind = getattr(getattr(client, "connection_pool", None), "connection_class", object)
    secure = issubclass(kind, (redis.SSLConnection, redis.asyncio.SSLConnection))
    return f"redis{'s' if secure else ''}://{_address_of(client)}/{database}"


def server_of(client: Any) -> str:
    """Name the server of *client* for an error, without user and password."""
    if is_cluster(client):
        return f"the Redis cluster at {_address_of(client)}"
    if sentinels_of(client):
        return f"the primary of Redis service {client.connection_pool.service_name!r}"
    options = _options_of(client)
    address = str(options["path"]) if "path" in options else _address_of(client)
    return f"Redis at {address}" if address != "…" else "Redis"


def _options_of(client: Any) -> dict[str, Any]:
    options: dict[str, Any] = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    return options


def _address_of(client: Any) -> str:
    if is_cluster(client):
        nodes = client.get_nodes()
        return f"{nodes[0].host}:{nodes[0].port}" if nodes else "…"
    options = _options_of(client)
    return visible(f"{options['host']}:{options.get('port', 6379)}") if "host" in options else "…"


def close(client: Any) -> None:
    """Close a client, and the clients of the Sentinels that it asks for its primary."""
    client.close()
    for each in sentinels_of(client):
        each.close()


async def aclose(client: Any) -> None:
    """Close an asyncio client, and the clients of the Sentinels that it asks for its primary."""
    await client.aclose()
    for each in sentinels_of(client):
        await each.aclose()


class AsyncClients:
    """One asyncio client for each event loop, since a connection belongs to the loop that opened it."""

    def __init__(self, url: str) -> None:
        """Make clients for *url* when loops need them."""
        self._url = url
        self._transports: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncTransport] = (
            weakref.WeakKeyDictionary()
        )

    def __call__(self) -> AsyncTransport:
        """Return the transport for the running loop."""
        loop = asyncio.get_running_loop()
        transport = self._transports.get(loop)
        if transport is None:
            transport = self._transports[loop] = AsyncTransport(connect(self._url, asynchronous=True), own=True)
        return transport

    async def aclose(self) -> None:
        """Close what the running loop opened. What other loops opened is closed when they end."""
        transport = self._transports.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.aclose()
            await aclose(transport.client)


_SHARED = frozenset(
    (
        "host", "port", "path", "db", "username", "password", "client_name", "socket_timeout", "socket_connect_timeout",
        "socket_keepalive", "socket_keepalive_options", "health_check_interval", "encoding", "encoding_errors",
        "decode_responses", "protocol", "credential_provider",
    )
)  # fmt: skip


def sync_twin(client: Any) -> Any:
    """Make the blocking client for the same server as an asyncio client."""
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
            options["retry"] = Retry(retry._backoff, retry.get_retries())  # noqa: SLF001 - no other access
        return redis.Redis.from_pool(redis.ConnectionPool(kind, **options))
    if type(client).__module__.startswith("fakeredis"):
        import fakeredis

        return fakeredis.FakeRedis(server=given.get("server"), version=given["version"], **options)
    raise ConfigError(
        f"no blocking client can be derived from {type(client).__name__}, and the engine calls the blocking methods: "
        f"pass AsyncRedisSaver(client, sync_client=...), or use AsyncRedisSaver.from_url"
    )
