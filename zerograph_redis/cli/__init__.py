"""The command line, ``zerograph-redis``: looks into any store, and mends it. Needs the extra ``cli``."""

from __future__ import annotations

import gc
import sys

__all__ = ("main",)


def main() -> None:
    """Run the command that the arguments of the process name."""
    # Imports make many objects and no rubbish: looking for it all the time is a tenth of what most commands take.
    gc.set_threshold(100_000, 20, 20)
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        sys.exit("zerograph-redis: the command line needs typer and rich: pip install 'zerograph-redis[cli]'")
    app()
