"""One entrance: a saver from a URL, or from the environment, with a fallback if the server is out of reach."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from .backends.redis.urls import SCHEMES, redacted, split_url
from .display import about, visible
from .errors import BackendUnavailableError, ConfigError
from .savers import AsyncRedisSaver, AsyncSqliteSaver, InMemorySaver, RedisSaver, SqliteSaver
from .savers.base import AsyncSaver, Saver

_log = logging.getLogger(__name__)

VARIABLES = ("ZEROGRAPH_CHECKPOINT_URL", "REDIS_URL")
DEFAULT = "sqlite:///checkpoints.db"


def open_saver(url: str | None = None, *, fallback: str | None = None, **options: Any) -> Saver:
    """Open the saver that a URL names, and make sure that its store answers.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://``, ``redis+sentinel://host:port,host:port/service``,
            ``sqlite:///path`` (four slashes for an absolute path) or ``memory://``. Without one, the environment
            variables ``ZEROGRAPH_CHECKPOINT_URL`` and ``REDIS_URL`` are looked at, then it is ``sqlite:///checkpoints.db``.
        fallback: The URL to open instead, with a logged warning, if the store does not answer now. Never later: a change
            of store in the middle of a run would split a thread in two.
        **options: Those of the saver's constructor. ``prefix``, ``timeout``, ``wait_replicas`` and
            ``wait_timeout`` play no part in SQLite and memory.

    Raises:
        ConfigError: The URL is wrong; the message says which part, and quotes none.
        BackendUnavailableError: The store does not answer, and there is no fallback.
    """
    url = named(url)
    if _scheme(url) == "memory":
        return InMemorySaver(**_local(options, memory=True))
    if _scheme(url) == "sqlite":
        return SqliteSaver(path_of(url), **_local(options))
    _check(fallback)
    try:
        return _answering(RedisSaver.from_url(url, **options))
    except BackendUnavailableError as error:
        if fallback is None:
            raise
        _warn(url, fallback, error)
        return open_saver(fallback, **options)


def _answering(saver: RedisSaver) -> RedisSaver:
    try:
        saver.list_threads(limit=1)
    except BackendUnavailableError:
        saver.close()
        raise
    return saver


async def aopen_saver(url: str | None = None, *, fallback: str | None = None, **options: Any) -> AsyncSaver:
    """Open a saver with awaited twins; arguments and errors are those of `open_saver`."""
    url = named(url)
    if _scheme(url) == "memory":
        return InMemorySaver(**_local(options, memory=True))
    if _scheme(url) == "sqlite":
        return AsyncSqliteSaver(path_of(url), **_local(options))
    _check(fallback)
    try:
        # A thread of its own, since a cluster is asked for its nodes, which blocks.
        saver = await asyncio.to_thread(AsyncRedisSaver.from_url, url, **options)
        return await _aanswering(saver)
    except BackendUnavailableError as error:
        if fallback is None:
            raise
        _warn(url, fallback, error)
        return await aopen_saver(fallback, **options)


async def _aanswering(saver: AsyncRedisSaver) -> AsyncRedisSaver:
    try:
        await saver.alist_threads(limit=1)
    except BackendUnavailableError:
        await saver.aclose()
        raise
    return saver


def named(url: str | None) -> str:
    """Return *url*, or the one that the environment names, or the default."""
    if url is None:
        return next((os.environ[name] for name in VARIABLES if os.environ.get(name)), DEFAULT)
    if not isinstance(url, str):
        raise ConfigError(f"a URL is a string, not {type(url).__name__}")
    return url


def _scheme(url: str) -> str:
    scheme, there, _ = url.partition("://")
    if not there:
        raise ConfigError(f"the URL has no scheme: write {DEFAULT} or redis://host:6379/0, for example")
    if scheme not in (*SCHEMES, "sqlite", "memory"):
        raise ConfigError(f"the URL's scheme must be one of {', '.join(SCHEMES)}, sqlite, memory")
    return scheme


def _check(fallback: Any) -> None:
    """Refuse a wrong fallback now: when it is needed would be late."""
    if fallback is not None and _scheme(named(fallback)) in SCHEMES:
        split_url(fallback)


def shown_url(url: str) -> str:
    """Show a URL without user, password and options; of one that cannot be read, its scheme alone."""
    scheme, there, rest = url.partition("://")
    if there and scheme in {"sqlite", "zerograph"}:
        return f"{scheme}://{visible(rest)}" if rest.startswith("/") else f"{scheme}://…"
    try:
        return redacted(split_url(url))
    except ConfigError:
        return f"{scheme}://…" if there and scheme in SCHEMES else "memory://" if scheme == "memory" else "…"


def path_of(url: str) -> str:
    """Return the path that a SQLite url names."""
    rest = url.removeprefix("sqlite://")
    path = unquote(rest[1:])
    if not rest.startswith("/") or not path or "\0" in path:
        raise ConfigError(
            "a SQLite URL names a path after three slashes: sqlite:///relative.db, sqlite:////absolute.db"
        )
    return path


_REDIS_ONLY = frozenset({"prefix", "timeout", "wait_replicas", "wait_timeout"})


def _local(options: Mapping[str, Any], *, memory: bool = False) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in _REDIS_ONLY}
    if memory and "keep_last" in kept:
        kept["max_per_thread"] = kept.pop("keep_last")
    return kept


def _warn(url: str, fallback: str, error: BackendUnavailableError) -> None:
    _log.warning(
        "%s does not answer, so checkpoints are kept in %s: %s",
        shown_url(url),
        shown_url(fallback),
        visible(str(error.__cause__)),
        extra=about(None),
    )
