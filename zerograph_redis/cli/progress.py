"""A progress bar for long commands, on stderr, if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .output import notes

_PATIENCE = 0.5  # seconds until a bar appears


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs, or a count if *total* is None.

    Yields a function to call for each item that is done, or with the number of several.
    """
    if not sys.stderr.isatty():
        yield lambda _done=1: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    done_so_far = (TextColumn("{task.completed:,}"),) if total is None else (BarColumn(), MofNCompleteColumn())
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *done_so_far, TimeElapsedColumn())
    bar = Progress(*columns, console=notes(), transient=True)
    task = bar.add_task(what, total=total)
    started = time.monotonic()

    def advance(done: int = 1) -> None:
        if not bar.live.is_started and time.monotonic() - started > _PATIENCE:
            bar.start()
        bar.advance(task, done)

    try:
        yield advance
    finally:
        bar.stop()
