"""The store that the options name, opened once, when a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zerograph_redis.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from zerograph_redis.core.requests import Operation
    from zerograph_redis.core.settings import Settings
    from zerograph_redis.savers.base import Saver
    from zerograph_redis.serde import Serializer
    from zerograph_redis.store import Store


R = TypeVar("R")


class Session:
    """What one run of the command line works with."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Keep *options*: ``url``, ``prefix`` and ``types``. They are read when they are needed."""
        self._options = options
        self._opened: list[Saver] = []

    @cached_property
    def url(self) -> str:
        """The URL of the store: of the option, of the environment, or the default."""
        from zerograph_redis.savers.opening import find_url

        return find_url(self._options.get("url"))[0]

    @property
    def is_named(self) -> bool:
        """Whether ``--url`` names the store."""
        return self._options.get("url") is not None

    @property
    def place(self) -> str:
        """The URL of the store for messages: without user, password and options."""
        from zerograph_redis.savers.opening import shown_url

        return shown_url(self.url)

    @property
    def prefix(self) -> str:
        """The prefix of every key. Only Redis has one."""
        return self._options.get("prefix") or "zerograph"

    @property
    def is_redis(self) -> bool:
        """Whether the store is in Redis."""
        return not self.url.startswith(("sqlite:", "memory:"))

    @cached_property
    def serializer(self) -> Serializer | None:
        """The serializer that ``--types`` names; None without that option."""
        types = self._options.get("types")
        return None if types is None else _load(types)

    @cached_property
    def inspecting_settings(self) -> Settings:
        """The store's settings for reading: a value of an unknown type becomes its type's name and its fields."""
        from dataclasses import replace

        from zerograph_redis.serde.inspecting import inspecting

        settings = self.store.settings
        return replace(settings, serializer=inspecting(settings.serializer))

    @cached_property
    def store(self) -> Store[Any]:
        """The store, which must exist and answer."""
        return self.open(self.url, origin=self._origin())

    @cached_property
    def unchecked(self) -> Store[Any]:
        """The store, even if its servers do not answer: a diagnosis finds out why."""
        return self.open(self.url, check=False) if self.is_redis else self.store

    def run(self, operation: Operation[R]) -> R:
        """Run an operation on the store."""
        return self.store.run(operation)

    def open(
        self, url: str, *, create: bool = False, prefix: str | None = None, check: bool = True, origin: str = ""
    ) -> Store[Any]:
        """Open a store until the session ends. Reading from it renews no TTL, and nothing is pruned.

        Args:
            url: As for `open_saver`.
            create: Whether to create a SQLite file that does not exist.
            prefix: The prefix of every key there; None for the session's.
            check: Whether a server must answer now.
            origin: Where *url* comes from, for the error that there is no such file.

        Raises:
            ConfigError: The URL is wrong.
            BackendUnavailableError: The store does not answer, or there is no such file.
        """
        from zerograph_redis.savers import RedisSaver
        from zerograph_redis.savers.opening import open_saver, path_of

        if url.startswith("sqlite://") and not create:
            path = path_of(url)
            if path != ":memory:" and not Path(path).is_file():
                raise BackendUnavailableError(f"there is no SQLite database {path}{origin}")
        options: dict[str, Any] = {"max_per_thread": None} if url.startswith("memory://") else {}
        options |= {"prefix": self.prefix if prefix is None else prefix, "serializer": self.serializer}
        saver = (open_saver if check else RedisSaver.from_url)(url, refresh_on_read=False, **options)
        self._opened.append(saver)
        return saver.store

    def close(self) -> None:
        """Close every store that was opened."""
        for each in self._opened:
            each.close()

    def _origin(self) -> str:
        from zerograph_redis.savers.opening import VARIABLES

        if self.is_named:
            return ""
        variable = next((name for name in VARIABLES if os.environ.get(name)), None)
        if variable is not None:
            return f", which the environment variable {variable} names: change it, or name a store with --url"
        return (
            f". It is the default without --url, {' and '.join(VARIABLES)}: name your store with one of these, for "
            "example --url redis://localhost:6379/0"
        )


def _load(types: str) -> Any:
    """Import the serializer that ``--types`` names, or make one of the types there."""
    from zerograph_redis.serde import EncryptedSerializer, MsgpackSerializer

    module_name, _, name = types.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"--types {types}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    names = (name,) if name else ("serializer", "types")
    found = next((getattr(module, each) for each in names if hasattr(module, each)), None)
    if found is None:
        raise ConfigError(f"--types {types}: the module {module_name} has no {' or '.join(names)}")
    if isinstance(found, EncryptedSerializer) or hasattr(found, "unpack"):
        return found
    try:
        return MsgpackSerializer(types=found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"--types {types}: {error}") from error
