"""The group of all commands, and the options of the store: they stand before or after the command."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from zerograph_redis import __version__
from zerograph_redis.errors import ConfigError

from .exits import EXIT_CODES, reporting_errors
from .session import Session

_COMMANDS = (
    *("threads", "history", "show", "diff", "watch", "unlock", "doctor", "stats", "prune", "delete"),
    *("copy", "export", "import", "migrate"),
)
_STORE_OPTIONS = ("url", "prefix", "types", "debug")
_STORE_SECTION = "Options of the store (before or after the command)"

_SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "rich_markup_mode": None,
}


class Command(TyperCommand):
    """A command. Its help shows the options of the store apart from its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of arguments and options."""
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": [], _STORE_SECTION: []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                own = "Arguments" if each.param_type_name == "argument" else "Options"
                sections[_STORE_SECTION if each.name in _STORE_OPTIONS else own].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class LazyCommands(dict[str, Any]):
    """The commands by name, each imported at its first use: importing them all takes long."""

    def __init__(self, options: Sequence[Any]) -> None:
        """Know the names of the commands; *options* are those of the group."""
        super().__init__(dict.fromkeys(_COMMANDS))
        self._store_options = [_after_command(each) for each in options if each.name in _STORE_OPTIONS]

    def __getitem__(self, name: str) -> Any:
        """Return a command."""
        command = super().__getitem__(name)
        if command is None:
            home = f"{name}_" if iskeyword(name) else name
            holder = typer.Typer(add_completion=False, **_SETTINGS)
            holder.command(name, cls=Command)(getattr(import_module(f".{home}", __package__), home))
            command = self[name] = typer.main.get_command(holder)
            command.params += self._store_options
        return command

    def get(self, name: str, default: Any = None) -> Any:
        """Return a command, or *default* if none has that name."""
        if name not in self:
            return default
        return self[name]


def _after_command(option: Any) -> Any:
    """Return an option of the group for use after the command: it sets the same value there."""
    option = copy(option)
    option.callback = _set_in_group
    option.expose_value = False
    return option


def _set_in_group(context: Any, option: Any, value: Any) -> Any:
    group, name = context.find_root(), option.name
    if not _is_given(context, name):
        return value
    if _is_given(group, name) and group.params[name] != value:
        # Not an error of typer: that one is not shown beside a URL with a password.
        raise ConfigError(f"{option.opts[0]} stands before and after the command, with different values: give it once")
    group.params[name] = value
    return value


def _is_given(context: Any, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


class Commands(TyperGroup):
    """The group of all commands. An error becomes a line on stderr and an exit code."""

    def __init__(self, **settings: Any) -> None:
        """Know the commands; none is imported yet."""
        super().__init__(**settings)
        self.commands = LazyCommands(self.params)
        self._arguments: list[str] = []

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Name the commands, in the order of the help."""
        return list(_COMMANDS)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options before the command."""
        self._arguments = list(args)
        with reporting_errors(self._arguments):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest, and run the command."""
        with reporting_errors(self._arguments, ctx.params):
            return super().invoke(ctx)


app = typer.Typer(name="zerograph-redis", cls=Commands, no_args_is_help=True, epilog=EXIT_CODES, **_SETTINGS)


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
            help="The store. Default: $ZEROGRAPH_CHECKPOINT_URL, else $REDIS_URL, else sqlite:///checkpoints.db.",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="The prefix of every key (Redis only).")] = "zerograph",
    types: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE[:NAME]",
            help="The module with your registered types: its `serializer`, its `types`, or what NAME names there.",
        ),
    ] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Inspect and maintain the checkpoints of ZeroGraph graphs, in Redis or in a SQLite file.

    --url, --prefix, --types and --debug may stand before or after the command.
    """
    # Options after the command are added to these parameters later.
    session = Session(context.params)
    context.obj = session
    context.call_on_close(session.close)
