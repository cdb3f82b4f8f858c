"""How far a long command is, on stderr, where a person looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from .output import notes


class Advance(Protocol):
    """Tells a bar how much was done since it was told last."""

    def __call__(self, done: int = 1) -> None:
        """Go on."""


_PATIENCE = 0.5  # seconds


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar while the block runs; yields what to call for what is done. Without a *total*, only counts."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    how_far = (TextColumn("{task.completed:,}"),) if total is None else (BarColumn(), MofNCompleteColumn())
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *how_far, TimeElapsedColumn())
    bar = Progress(*columns, console=notes(), transient=True)
    task = bar.add_task(what, total=total)
    began = time.monotonic()

    def advance(done: int = 1) -> None:
        # What is done at once needs no bar.
        if not bar.live.is_started and time.monotonic() - began > _PATIENCE:
            bar.start()
        bar.advance(task, done)

    try:
        yield advance
    finally:
        bar.stop()


def _unseen(done: int = 1) -> None:
    """Nobody looks."""
