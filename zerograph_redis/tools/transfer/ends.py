"""The ends of a move: where threads come from, and where they go."""

from __future__ import annotations

from typing import Any, Protocol

from zerograph_redis.core.requests import Untouched
from zerograph_redis.core.settings import Settings
from zerograph_redis.store import Store

from .image import Image
from .reading import list_ids, place_thread, read_thread
from .relaying import MOST_LOGS, merge_logs


class Source(Protocol):
    """Where threads come from."""

    settings: Settings
    """How its threads are stored."""

    def threads(self, prefix: str) -> list[str]:
        """Name the threads whose ids begin with *prefix*, none twice."""

    def read(self, thread: str) -> Image | None:
        """Read a thread whole; None if there is none."""


class StoreEnd:
    """A store of ours, as either end."""

    def __init__(self, store: Store[Any]) -> None:
        """Move threads out of *store*, or into it."""
        self.store = store
        self.settings = store.settings

    def threads(self, prefix: str) -> list[str]:
        """Name the threads whose ids begin with *prefix*, none twice."""
        return self.store.run(list_ids(prefix))

    def read(self, thread: str) -> Image | None:
        """Read a thread whole; None if there is none."""
        return self.store.run(read_thread(thread))

    def place(self, image: Image, origin: str, instead: Untouched | None = None) -> bool:
        """Store a thread, all of it at once; False if there is one of its id already, other than *instead*."""
        if len(image.generations) <= MOST_LOGS:
            return self.store.run(place_thread(image, origin, self.settings, instead))
        with merge_logs(image, self.settings) as anew:
            return self.store.run(place_thread(anew, origin, self.settings, instead))
