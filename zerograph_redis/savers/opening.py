"""Opens the saver that a URL or the environment names, with a fallback if the server cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

from zerograph_redis.backends.redis.urls import SCHEMES, redacted, split_url
from zerograph_redis.display import about, visible
from zerograph_redis.errors import BackendUnavailableError, ConfigError

from .base import AsyncSaver, Saver
from .redis import AsyncRedisSaver, RedisSaver
from .sqlite import AsyncSqliteSaver, InMemorySaver, SqliteSaver

A = TypeVar("A", bound=Saver)
S = TypeVar("S", bound=SqliteSaver)

_log = logging.getLogger(__name__)

VARIABLES = ("ZEROGRAPH_CHECKPOINT_URL", "REDIS_URL")
DEFAULT = "sqlite:///checkpoints.db"
_DEFAULTED = f"no URL was given, and neither {' nor '.join(VARIABLES)} is set"
_REDIS_ONLY = frozenset({"prefix", "timeout", "wait_replicas", "wait_timeout"})


def open_saver(url: str | None = None, *, fallback: str | None = None, **options: Any) -> Saver:
    """Open the saver that a URL names, and check that its store answers. A log record says which store, and why.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://``, ``redis+sentinel://host:port,host:port/service``,
            ``sqlite:///path`` (four slashes for an absolute path) or ``memory://``. By default the value of the environment
            variable ``ZEROGRAPH_CHECKPOINT_URL``, else of ``REDIS_URL``, else ``sqlite:///checkpoints.db``.
        fallback: The URL to open instead, with a logged warning, if the store does not answer now. It is never used later:
            a change of store in the middle of a run would split a thread in two.
        **options: Those of the saver's constructor. SQLite and memory ignore ``prefix``, ``timeout``, ``wait_replicas``
            and ``wait_timeout``.

    Raises:
        ConfigError: The URL is wrong. The message names the wrong part, and quotes none of it.
        BackendUnavailableError: The store does not answer, and there is no fallback.
    """
    chosen, reason = find_url(url)
    if (local := _local_saver(chosen, options, SqliteSaver)) is not None:
        return _logged(local, chosen, reason)
    _check(fallback)
    try:
        saver = RedisSaver.from_url(chosen, **options)
        try:
            saver.list_threads(limit=1)
        except BackendUnavailableError:
            saver.close()
            raise
    except BackendUnavailableError as error:
        return open_saver(_fallback(chosen, fallback, error), **options)
    return _logged(saver, chosen, reason)


async def aopen_saver(url: str | None = None, *, fallback: str | None = None, **options: Any) -> AsyncSaver:
    """Open a saver with awaited methods. Arguments and errors are those of `open_saver`."""
    chosen, reason = find_url(url)
    if (local := _local_saver(chosen, options, AsyncSqliteSaver)) is not None:
        return _logged(local, chosen, reason)
    _check(fallback)
    try:
        # In another OS thread: from_url asks a cluster for its nodes, which blocks.
        saver = await asyncio.to_thread(AsyncRedisSaver.from_url, chosen, **options)
        try:
            await saver.alist_threads(limit=1)
        except BackendUnavailableError:
            await saver.aclose()
            raise
    except BackendUnavailableError as error:
        return await aopen_saver(_fallback(chosen, fallback, error), **options)
    return _logged(saver, chosen, reason)


def find_url(url: str | None) -> tuple[str, str]:
    """Return *url*, or the environment's, or the default one; and where it comes from, in words."""
    if url is None:
        for name in VARIABLES:
            if os.environ.get(name):
                return os.environ[name], f"the environment variable {name} names it"
        return DEFAULT, _DEFAULTED
    if not isinstance(url, str):
        raise ConfigError(f"a URL is a string, not {type(url).__name__}")
    return url, "its URL was given"


def shown_url(url: str) -> str:
    """Return a URL without user, password and options; of one that cannot be read, its scheme alone."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in {"sqlite", "zerograph"}:
        return f"{scheme}://{visible(rest)}" if rest.startswith("/") else f"{scheme}://…"
    try:
        return redacted(split_url(url))
    except ConfigError:
        return f"{scheme}://…" if separator and scheme in SCHEMES else "memory://" if scheme == "memory" else "…"


def path_of(url: str) -> str:
    """Return the path that a SQLite URL names."""
    rest = url.removeprefix("sqlite://")
    path = unquote(rest[1:])
    if not rest.startswith("/") or not path or "\0" in path:
        raise ConfigError(
            "a SQLite URL names a path after three slashes: sqlite:///relative.db, sqlite:////absolute.db"
        )
    return path


def _logged(saver: A, url: str, reason: str) -> A:
    """Log which store was opened, and why: with a warning if nobody named it, as other workers may use another file."""
    level = logging.WARNING if reason == _DEFAULTED else logging.INFO
    _log.log(level, "checkpoints are kept in %s: %s", shown_url(url), reason, extra=about(None))
    return saver


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"the URL has no scheme: write {DEFAULT} or redis://host:6379/0, for example")
    if scheme not in (*SCHEMES, "sqlite", "memory"):
        raise ConfigError(f"the URL's scheme must be one of {', '.join(SCHEMES)}, sqlite, memory")
    return scheme


def _local_saver(url: str, options: Mapping[str, Any], sqlite: type[S]) -> S | InMemorySaver | None:
    """Open a saver on this machine; None for the URL of a Redis."""
    scheme = _scheme(url)
    if scheme in SCHEMES:
        return None
    kept = {name: value for name, value in options.items() if name not in _REDIS_ONLY}
    if scheme == "sqlite":
        return sqlite(path_of(url), **kept)
    if "keep_last" in kept:
        kept["max_per_thread"] = kept.pop("keep_last")
    return InMemorySaver(**kept)


def _check(fallback: Any) -> None:
    """Refuse a wrong fallback now: it would be too late when it is needed."""
    if fallback is not None and _scheme(find_url(fallback)[0]) in SCHEMES:
        split_url(fallback)


def _fallback(url: str, fallback: str | None, error: BackendUnavailableError) -> str:
    """Return the URL to open instead of one whose store does not answer, with a warning; raise *error* if there is none."""
    if fallback is None:
        raise error
    _log.warning(
        "%s does not answer, so checkpoints are kept in %s: %s",
        shown_url(url),
        shown_url(fallback),
        visible(str(error.__cause__)),
        extra=about(None),
    )
    return fallback
