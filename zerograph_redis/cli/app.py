"""The commands, and the options before them."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from zerograph_redis import __version__

from .exits import EXIT_CODES, ended
from .session import Session

_COMMANDS = {
    "threads": "threads",
    "history": "history",
    "show": "show",
    "diff": "diff",
    "watch": "watch",
    "unlock": "unlock",
    "doctor": "doctor",
    "stats": "stats",
    "prune": "prune",
    "delete": "delete",
    "copy": "copying",
    "export": "moving",
    "import": "moving",
    "migrate": "moving",
}
"""In which module each command is, in the order of the help."""

_SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "rich_markup_mode": None,
}


class LazyCommands(dict[str, Any]):
    """The commands by name, each made from its module when it is asked for: importing them all takes long."""

    def __init__(self) -> None:
        """Know the names."""
        super().__init__(dict.fromkeys(_COMMANDS))

    def __getitem__(self, name: str) -> Any:
        """Return a command."""
        made = super().__getitem__(name)
        if made is None:
            module = import_module(f".{_COMMANDS[name]}", __package__)
            holder = typer.Typer(add_completion=False, **_SETTINGS)
            holder.command(name)(getattr(module, f"{name}_" if iskeyword(name) else name))
            made = self[name] = typer.main.get_command(holder)
        return made

    def get(self, name: str, default: Any = None) -> Any:
        """Return a command, *default* for a name that none has."""
        if name not in self:
            return default
        return self[name]


class Commands(TyperGroup):
    """The group of all commands: whatever ends one early becomes a line on stderr and an exit code."""

    def __init__(self, **settings: Any) -> None:
        """Have the commands."""
        super().__init__(**settings)
        self.commands = LazyCommands()
        self._arguments: list[str] = []

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Name them, in the order of the help."""
        return list(_COMMANDS)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the options before the command."""
        self._arguments = list(args)
        with ended(self._arguments):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        with ended(self._arguments, debug=ctx.params["debug"]):
            return super().invoke(ctx)


app = typer.Typer(
    name="zerograph-redis",
    cls=Commands,
    no_args_is_help=True,
    epilog=EXIT_CODES,
    **_SETTINGS,
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
