"""The Lua scripts, as the server gets them, and what binds a request to one.

What a script is given is declared once, in Python, by name. The names of its KEYS and ARGV become local variables that
stand before its source, so no file of Lua numbers them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from .commands import Command
from .keys import ACROSS, KINDS, Keyspace

__all__ = ("OF_THREAD", "SOURCES", "Binding", "Fields", "Script", "flag", "nothing", "number", "on_keys", "on_thread")

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_NAME = re.compile(r"local (?:function )?(\w+)")


def _read(name: str) -> str:
    """A file of Lua without the lines that are comments."""
    return _COMMENT.sub("", (files("zerograph_redis") / "lua" / f"{name}.lua").read_text("utf-8"))


_SHARED = [
    part
    for name in ("thread", "deadline", "read", "write", "drop", "store_checkpoint", "store_writes")
    for part in re.split(r"^(?=local )", _read(name), flags=re.MULTILINE)
    if part.strip()
]
"""What scripts share, a function or constant each; none uses a later one."""

OF_THREAD = (*KINDS, *ACROSS)
"""The keys of most scripts."""

SOURCES: dict[bytes, bytes] = {}
"""Every script by its hash."""


class Fields(NamedTuple):
    """Arguments that belong together, and may come more than once.

    ``<name>_at(first)`` returns them as a table, from ARGV[first] on, and the number of the argument behind them.
    """

    name: str
    names: Sequence[str]

    @property
    def source(self) -> str:
        """The function that reads them."""
        each = (f"{name} = ARGV[first + {place}]" for place, name in enumerate(self.names))
        return f"local function {self.name}_at(first) return {{ {', '.join(each)} }}, first + {len(self.names)} end"


class Script:
    """One operation's Lua, behind the names of what it is given, and what it uses of the shared files."""

    def __init__(
        self,
        name: str,
        *,
        keys: Sequence[str] = OF_THREAD,
        arguments: Sequence[str] = (),
        fields: Sequence[Fields] = (),
    ) -> None:
        """Load ``lua/<name>.lua``.

        Args:
            name: The name of the file.
            keys: The names of its KEYS; the last may be missing.
            arguments: The names of its first ARGV.
            fields: What may follow: FIRST is the number of the first argument behind the named ones.
        """
        self.name = name
        self.keys = keys
        self.arguments = arguments
        self.fields = fields
        named = [f"local {', '.join(keys)} = unpack(KEYS)".replace(":", "_")]
        if arguments:
            each = (f"ARGV[{number}]" for number in range(1, len(arguments) + 1))
            named.append(f"local {', '.join(arguments)} = {', '.join(each)}")
        named.append(f"local FIRST = {len(arguments) + 1}")
        source = _read(name)
        # A server makes each function of a script whenever it runs it, which is a good part of what a script costs.
        for part in reversed([*(each.source for each in fields), *_SHARED]):
            if re.search(rf"\b{_NAME.match(part)[1]}\b", source):  # type: ignore[index]
                source = f"{part}\n{source}"
        self.change("\n".join((*named, source)))

    def change(self, source: str) -> None:
        """Use another source."""
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
        SOURCES[self.sha] = source.encode()

    def on_thread(self, thread: str, arguments: tuple[bytes, ...], keyspace: Keyspace) -> Command:
        """Run it with the keys of a thread."""
        words = keyspace.call(self.sha, thread)
        return Command(words + arguments, words[3])

    def on(self, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Command:
        """Run it with other keys."""
        return Command((b"EVALSHA", self.sha, b"%d" % len(keys), *keys, *arguments), keys[0])


class Binding(NamedTuple):
    """How a request is said to Redis, and what the replies say: pure functions."""

    commands: Callable[[Any, Keyspace], Sequence[Command]]
    """What is sent for a request."""
    parse: Callable[[Sequence[Any], Any], Any]
    """What the replies say to it."""
    takes_errors: bool = False
    """Whether errors among the replies are for the parsing, too."""
    script: Script | None = None
    """What the commands run, if that is a script of the request's own."""


def on_thread(
    script: Script, arguments: Callable[[Any], tuple[bytes, ...]], parse: Callable[[Any, Any], Any]
) -> Binding:
    """Run a script with the keys of the thread that the request is about."""

    def commands(request: Any, keyspace: Keyspace) -> Sequence[Command]:
        words = keyspace.call(script.sha, request.thread)
        return (Command(words + arguments(request), words[3]),)

    return Binding(commands, lambda replies, request: parse(replies[0], request), script=script)


def on_keys(
    script: Script,
    keys: Callable[[Any, Keyspace], Sequence[bytes]],
    arguments: Callable[[Any], Sequence[bytes]],
    parse: Callable[[Any, Any], Any],
) -> Binding:
    """Run a script with other keys."""
    return Binding(
        lambda request, keyspace: (script.on(keys(request, keyspace), arguments(request)),),
        lambda replies, request: parse(replies[0], request),
        script=script,
    )


def number(value: int | None) -> bytes:
    """Return the argument that says a number, or none."""
    return b"" if value is None else b"%d" % value


def flag(value: bool) -> bytes:  # noqa: FBT001 - a pure conversion
    """Return the argument that says whether."""
    return b"1" if value else b""


def nothing(reply: Any, request: Any) -> None:
    """Read a reply that says nothing."""
