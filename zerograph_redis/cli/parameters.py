"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from .session import Session

_COMPLETIONS = 50


def complete_thread(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of a thread, among the most recently active. A shell must not show errors: then there are none."""
    from zerograph_redis.core.listing import find_threads

    session = Session(context.find_root().params)
    try:
        return [each.thread_id for each in session.run(find_threads(incomplete, _COMPLETIONS)).threads]
    except Exception:  # noqa: BLE001 - see above
        return []
    finally:
        session.close()


Json = Annotated[bool, typer.Option("--json", help="Write one JSON document, for scripts.")]
Full = Annotated[bool, typer.Option("--full", help="Do not truncate long values.")]
Match = Annotated[str, typer.Option(metavar="PREFIX", help="Only threads whose id begins with this.")]
Namespace = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only this namespace, for example a subgraph's; '' is the root.")
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The id of the thread.", autocompletion=complete_thread)]
Yes = Annotated[bool, typer.Option("--yes", help="Make the change. Without it, the command only shows the change.")]
