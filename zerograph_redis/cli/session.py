"""What the global options mean: the store, the key prefix, the user's types. Opened once, when a command needs it."""

from __future__ import annotations

import sys
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

    def __init__(self, url: str | None, *, prefix: str = "zerograph", types: str | None = None) -> None:
        """Take the global options; nothing is opened or imported yet."""
        self._url = url
        self.prefix = prefix
        self._types = types
        self._opened: list[Saver] = []

    @cached_property
    def url(self) -> str:
        """The url of the store, as `open_saver` finds it."""
        from zerograph_redis.savers.opening import find_url

        return find_url(self._url)[0]

    @property
    def place(self) -> str:
        """The url of the store, fit to be shown: without user, password and options."""
        from zerograph_redis.savers.opening import shown_url

        return shown_url(self.url)

    @property
    def is_redis(self) -> bool:
        """Whether the store is a Redis, where alone the prefix plays a part."""
        return not self.url.startswith(("sqlite:", "memory:"))

    @property
    def path(self) -> str:
        """The path of a SQLite store."""
        from zerograph_redis.savers.opening import path_of

        return path_of(self.url)

    @cached_property
    def serializer(self) -> Serializer | None:
        """The serializer that ``--types`` names; None without it."""
        return None if self._types is None else _load(self._types)

    @cached_property
    def lenient_settings(self) -> Settings:
        """The settings of the store for looking at it: values of unknown types are shown by name and fields."""
        from dataclasses import replace

        from zerograph_redis.serde.inspecting import inspecting

        settings = self.store.settings
        return replace(settings, serializer=inspecting(settings.serializer))

    @cached_property
    def store(self) -> Store[Any]:
        """The store that ``--url`` names; it must be there."""
        return self.open(self.url)

    @cached_property
    def unchecked(self) -> Store[Any]:
        """The same, whether its servers answer or not: for who wants to know why they do not."""
        if not self.is_redis:
            return self.store
        from zerograph_redis.savers import RedisSaver

        options: dict[str, Any] = {"refresh_on_read": False, "serializer": self.serializer}
        saver = RedisSaver.from_url(self.url, prefix=self.prefix, **options)
        self._opened.append(saver)
        return saver.store

    def run(self, operation: Operation[R]) -> R:
        """Run an operation on the store."""
        return self.store.run(operation)

    def open(self, url: str, *, create: bool = False, prefix: str | None = None) -> Store[Any]:
        """Open a store, to be closed with the session. Looking at it prolongs nothing, and nothing is let go of.

        Args:
            url: As for `open_saver`.
            create: Whether a SQLite file that is not there is made; else that is an error.
            prefix: What every key there begins with; unless given, the session's.

        Raises:
            ConfigError: The url is wrong.
            BackendUnavailableError: The store does not answer, or there is no such file.
        """
        from zerograph_redis.savers.opening import open_saver, path_of

        if url.startswith("sqlite://") and not create:
            path = path_of(url)
            if path != ":memory:" and not Path(path).is_file():
                raise BackendUnavailableError(f"there is no SQLite database {path}: name a store with --url")
        options: dict[str, Any] = {"max_per_thread": None} if url.startswith("memory://") else {}
        prefix = self.prefix if prefix is None else prefix
        saver = open_saver(url, prefix=prefix, refresh_on_read=False, serializer=self.serializer, **options)
        self._opened.append(saver)
        return saver.store

    def close(self) -> None:
        """Close what was opened."""
        for each in self._opened:
            each.close()


def _load(named: str) -> Any:
    """Find the serializer in the module that ``--types`` names, or make one of the types there."""
    from zerograph_redis.serde import EncryptedSerializer, MsgpackSerializer

    module_name, _, name = named.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"--types {named}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    names = (name,) if name else ("serializer", "types")
    found = next((getattr(module, each) for each in names if hasattr(module, each)), None)
    if found is None:
        raise ConfigError(f"--types {named}: the module {module_name} has no {' or '.join(names)}")
    if isinstance(found, EncryptedSerializer) or hasattr(found, "unpack"):
        return found
    try:
        return MsgpackSerializer(types=found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"--types {named}: {error}") from error
