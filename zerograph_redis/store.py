"""A store: what savers and tools work on."""

from __future__ import annotations

from typing import Generic, TypeVar

from .core.drive import Backend, run
from .core.requests import Operation
from .core.settings import Settings
from .core.thread_operations import ThreadOperations

B = TypeVar("B", bound=Backend)
R = TypeVar("R")


class Store(Generic[B]):
    """Threads in one place: the backend that answers requests, the settings, and the operations that savers run.

    A saver exposes its own as ``saver.store``. Tools run their operations on it.
    """

    def __init__(self, backend: B, settings: Settings, name: str) -> None:
        """Join a backend and settings; *name* is the store's URL, without user, password and options."""
        self.backend = backend
        self.settings = settings
        self.name = name
        self.operations = ThreadOperations(settings)

    def run(self, operation: Operation[R]) -> R:
        """Run *operation*, blocking.

        Raises:
            BackendUnavailableError: The store does not answer.
            CorruptCheckpointError: Stored bytes are missing or damaged.
        """
        return run(operation, self.backend)
