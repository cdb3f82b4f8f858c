"""The command line, ``zerograph-redis``. Needs the extra ``cli``.

- ``app``: the group of commands, and the options of the store, before or after the command
- ``session``: the store that these options name
- ``parameters``: arguments and options that several commands share
- ``exits``: exit codes, and errors as one line
- ``output``, ``text``, ``values``, ``progress``: how results are printed
- ``removals``, ``move_reports``: what ``delete`` and ``prune`` share, and ``migrate``, ``export`` and ``import``
- the others: a command each, under its name
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command that the process was called with."""
    # Imports make many objects and no garbage: collecting it takes a tenth of the time of most commands.
    gc.set_threshold(100_000, 20, 20)
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        sys.exit("zerograph-redis: the command line needs typer and rich: pip install 'zerograph-redis[cli]'")
    app()
