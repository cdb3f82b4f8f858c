"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ("Json", "Namespace", "Thread", "Yes")

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document, for scripts.")]
Namespace = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only this namespace, such as that of a subgraph; '' is the root.")
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The id of the thread.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; otherwise only what would be done is shown.")]
