"""The Lua scripts, as the server gets them, and what binds a request to one.

What a script is given is declared once, in Python, by name: ``KEYS.<name>`` is a key, and the names of its ARGV become
local variables that stand before its source. So no file of Lua numbers them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from .commands import Command
from .keys import ACROSS, KINDS, Keyspace

_COMMENT = re.compile(r"^ *--(?! with ).*\n", re.MULTILINE)
_FUNCTION = re.compile(r"local function (\w+)")
_CONSTANT = re.compile(r"local ([A-Z_]+) = (.+)")
_STRING = re.compile(r"'(?:\\.|[^'\\\n])*'")
_WITH = re.compile(r"^( *)-- with (.+)\n", re.MULTILINE)


def _read(name: str) -> str:
    """A file of Lua without the lines that are comments."""
    return _COMMENT.sub("", (files("zerograph_redis") / "lua" / f"{name}.lua").read_text("utf-8"))


_CONSTANTS: dict[str, str] = {}
"""What the names of the constants that scripts share stand for."""

_FUNCTIONS: dict[str, str] = {}
"""The functions that scripts share; none uses a later one."""

_USES: dict[str, set[str]] = {}
"""Which of them each uses: itself, and what it uses in turn."""


def _used(source: str) -> set[str]:
    """What a source uses of what is shared, but for what parts of it make for themselves."""
    words = set(re.findall(r"\w+", _STRING.sub("", _WITH.sub("", source))))
    for each in _WITH.finditer(source):
        words.difference_update(each[2].split(", "))
    return set().union(*(_USES[name] for name in words & _USES.keys()))


for _file in ("thread", "deadline", "read", "write", "drop", "store_checkpoint", "store_writes"):
    for _part in re.split(r"^(?=local )", _read(_file), flags=re.MULTILINE):
        if _constant := _CONSTANT.match(_part):
            _CONSTANTS[_constant[1]] = _constant[2]
        elif _function := _FUNCTION.match(_part):
            _USES[_function[1]] = {_function[1]} | _used(_part)
            _FUNCTIONS[_function[1]] = _part.strip() + "\n"


def _with_shared(source: str, names: set[str], there: set[str]) -> str:
    """A source behind what it needs, of which some may be *there* already, and the same for each part of it."""
    there = there | names

    def made(match: re.Match[str]) -> str:
        needed = set().union(*(_USES[name] for name in match[2].split(", "))) - there
        return _with_shared("", needed, there)

    parts = (*(part for name, part in _FUNCTIONS.items() if name in names), source)
    return "".join(_WITH.sub(made, part) for part in parts)


OF_THREAD = (*KINDS, *ACROSS)
"""The keys of most scripts."""

SOURCES: dict[bytes, bytes] = {}
"""Every script by its hash."""


class Fields(NamedTuple):
    """Arguments that belong together, and may come more than once.

    ``<name>_at(first)`` returns the number of the argument behind them, and them, from ARGV[first] on.
    """

    name: str
    names: Sequence[str]

    @property
    def source(self) -> str:
        """The function that reads them."""
        count = len(self.names)
        return f"local function {self.name}_at(first) return first + {count}, unpack(ARGV, first, first + {count - 1}) end\n"


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
            arguments: The names of its first ARGV; the last may be missing.
            fields: What may follow: FIRST is the number of the first argument behind the named ones.
        """
        self.name = name
        self.keys = keys
        self.arguments = arguments
        self.fields = fields
        stand_for = _CONSTANTS | {"FIRST": str(len(arguments) + 1)}
        stand_for |= {f"KEYS.{key.replace(':', '_')}": f"KEYS[{number}]" for number, key in enumerate(keys, 1)}
        named = ""
        if arguments:
            each = (f"ARGV[{number}]" for number in range(1, len(arguments) + 1))
            named = f"local {', '.join(arguments)} = {', '.join(each)}\n"
        source = "".join((*(each.source for each in fields), _read(name)))
        # A server makes each function of a script whenever it comes to it, and notes each variable that one uses of those
        # around it: a good part of what a script costs. So a function stands where it is needed, and keys and constants in
        # the place of their names.
        source = named + _with_shared(source, _used(source), set())
        self.change(re.sub(r"\b(?:KEYS\.\w+|[A-Z_]+)\b", lambda match: stand_for.get(match[0], match[0]), source))

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
