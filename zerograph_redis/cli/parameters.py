"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from .session import Session


def complete_thread(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of a thread from those that were active last. Whatever goes wrong, a shell must not show it."""
    from zerograph_redis.tools.inspect.listing import find_threads

    given = context.find_root().params
    session = Session(given.get("url"), prefix=given.get("prefix") or "zerograph")
    try:
        return [each.thread_id for each in session.run(find_threads(incomplete, _COMPLETED, None))[0]]
    except Exception:  # noqa: BLE001 - see above
        return []
    finally:
        session.close()


_COMPLETED = 50

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document, for scripts.")]
Namespace = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only this namespace, such as that of a subgraph; '' is the root.")
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The id of the thread.", autocompletion=complete_thread)]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; otherwise only what would be done is shown.")]
