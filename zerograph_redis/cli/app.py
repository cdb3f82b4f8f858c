"""The commands, and the options before them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zerograph_redis import __version__

from .copying import copy
from .delete import delete
from .diff import diff
from .doctor import doctor
from .exits import EXIT_CODES, ended
from .exporting import export
from .history import history
from .importing import import_
from .migrating import migrate
from .prune import prune
from .session import Session
from .show import show
from .stats import stats
from .threads import threads
from .unlock import unlock
from .watch import watch

__all__ = ("app",)


class Commands(TyperGroup):
    """The group of all commands: whatever ends one early becomes a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        with ended(debug=ctx.params["debug"]):
            return super().invoke(ctx)


app = typer.Typer(
    name="zerograph-redis",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    epilog=EXIT_CODES,
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer passes the value of the option
    if asked:
        typer.echo(f"zerograph-redis {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The store. Unless given: ZEROGRAPH_CHECKPOINT_URL, REDIS_URL, or sqlite:///checkpoints.db.",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="What every key begins with (Redis only).")] = "zerograph",
    types: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE[:NAME]",
            help="Where the registered types are: a module with a `serializer` or `types`, or the NAME of either.",
        ),
    ] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Look into the checkpoints of ZeroGraph graphs: in Redis, in a cluster, in a SQLite file."""
    session = Session(url, prefix=prefix, types=types)
    context.obj = session
    context.call_on_close(session.close)


for command in (threads, history, show, diff, watch, unlock, doctor, stats, prune, delete, copy, export, migrate):
    app.command()(command)
app.command("import")(import_)
