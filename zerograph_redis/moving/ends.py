"""The ends of a move: where threads come from, and where they go."""

from __future__ import annotations

from typing import Protocol

from zerograph_redis.core.drive import Backend, run
from zerograph_redis.core.requests import Untouched
from zerograph_redis.core.settings import Settings

from .image import Image
from .reading import list_ids, place_thread, read_thread
from .relaying import MOST_LOGS, relaid

__all__ = ("Source", "StoreEnd")


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

    def __init__(self, backend: Backend, settings: Settings) -> None:
        """Move threads out of *backend*, or into it."""
        self._backend = backend
        self.settings = settings

    def threads(self, prefix: str) -> list[str]:
        """Name the threads whose ids begin with *prefix*, none twice."""
        return run(list_ids(prefix), self._backend)

    def read(self, thread: str) -> Image | None:
        """Read a thread whole; None if there is none."""
        return run(read_thread(thread), self._backend)

    def place(self, image: Image, origin: str, instead: Untouched | None = None) -> bool:
        """Store a thread, all of it at once; False if there is one of its id already, other than *instead*."""
        if len(image.generations) <= MOST_LOGS:
            return run(place_thread(image, origin, self.settings, instead), self._backend)
        with relaid(image, self.settings) as anew:
            return run(place_thread(anew, origin, self.settings, instead), self._backend)
