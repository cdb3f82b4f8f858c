"""What is sent to Redis: commands, and the Lua scripts that most of them run.

The keys and arguments of a script are declared once, in Python, by name. In Lua ``KEYS.<name>`` is a key, and each argument
is a local variable. So no Lua file numbers them. `Binding` joins a request to the commands that answer it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from hiredis import pack_command

from .keys import ACROSS, KINDS, Keyspace

Word = bytes | bytearray | memoryview | str | int | float


class Command(NamedTuple):
    """A command. Its words are bytes: hiredis crashes when a signal handler raises while it converts numbers."""

    words: tuple[bytes, ...]
    key: bytes | None = None
    """A key of the command, which says which node of a cluster runs it. Without one, any primary does."""


def command(*words: Word, key: bytes | None = None) -> Command:
    """Make a command."""
    return Command(tuple(map(_encoded, words)), key)


def _encoded(word: Word) -> bytes:
    if type(word) is bytes:
        return word
    if isinstance(word, bytes | bytearray | memoryview):
        return bytes(word)
    return str(word).encode()


def packed(commands: Sequence[Any]) -> bytes:  # Any, since hiredis declares fewer types than it takes
    """Return *commands* in Redis' protocol."""
    if len(commands) == 1:
        whole: bytes = pack_command(commands[0].words)
        return whole
    return b"".join([pack_command(each.words) for each in commands])


class Group(NamedTuple):
    """Arguments that belong together and may be repeated.

    In Lua, ``<name>_at(first)`` returns the number of the argument after the group that begins at ARGV[first], and then
    the arguments of the group.
    """

    name: str
    names: Sequence[str]

    @property
    def source(self) -> str:
        """The Lua function that reads them."""
        count = len(self.names)
        return f"local function {self.name}_at(first) return first + {count}, unpack(ARGV, first, first + {count - 1}) end\n"


SOURCES: dict[bytes, bytes] = {}
"""Every script by its hash."""


class Script:
    """The Lua of one operation, with the names of its arguments before it and the shared functions that it uses."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str] = (),
        *,
        keys: Sequence[str] = (*KINDS, *ACROSS),
        groups: Sequence[Group] = (),
    ) -> None:
        """Load ``lua/<name>.lua``.

        Args:
            name: The name of the file.
            arguments: The names of the first ARGV; the last ones may be missing.
            keys: The names of the KEYS; the last ones may be missing.
            groups: What may follow the named arguments. In Lua, FIRST is the number of the first argument after those.
        """
        self.name = name
        self.keys = keys
        self.arguments = arguments
        self.groups = groups
        constants = _CONSTANTS | {"FIRST": str(len(arguments) + 1)}
        constants |= {f"KEYS.{key.replace(':', '_')}": f"KEYS[{number}]" for number, key in enumerate(keys, 1)}
        named = ""
        if arguments:
            each = (f"ARGV[{number}]" for number in range(1, len(arguments) + 1))
            named = f"local {', '.join(arguments)} = {', '.join(each)}\n"
        source = "".join((*(each.source for each in groups), _read(name)))
        # A server creates each function of a script whenever it reaches it, and records each outer variable that the
        # function uses. That is a good part of what a script costs. So a function is defined where it is needed, and the
        # names of keys and constants are replaced by what they stand for.
        source = named + _with_functions(source, _used(source), set())
        self.change(re.sub(r"\b(?:KEYS\.\w+|[A-Z_]+)\b", lambda match: constants.get(match[0], match[0]), source))

    def change(self, source: str) -> None:
        """Use another source."""
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
        SOURCES[self.sha] = source.encode()


def by_source(given: Command) -> Command:
    """Send a script's source instead of its hash, for a server that does not know it; other commands stay the same."""
    name, *rest = given.words
    if name != b"EVALSHA":
        return given
    return Command((b"EVAL", SOURCES[rest[0]], *rest[1:]), given.key)


class Binding(NamedTuple):
    """How a request becomes commands, and their replies the answer: pure functions."""

    commands: Callable[[Any, Keyspace], Sequence[Command]]
    """Returns what to send for a request."""
    parse: Callable[[Sequence[Any], Any], Any]
    """Returns the answer from the replies and the request."""
    takes_errors: bool = False
    """Whether *parse* also gets the errors among the replies."""
    script: Script | None = None
    """The script that the commands run, if it is for this request alone."""


Keys = Callable[[Any, Keyspace], Sequence[bytes]]
"""Returns the keys of a script for a request."""
Parse = Callable[[Any, Any], Any]
"""Returns the answer from the reply of a script and the request."""


def by_script(
    script: Script, arguments: Callable[[Any], tuple[bytes, ...]], parse: Parse, *, keys: Keys | None = None
) -> Binding:
    """Run a script, with the keys of the request's thread if no others are given."""

    def commands(request: Any, keyspace: Keyspace) -> Sequence[Command]:
        if keys is None:
            words = keyspace.call(script.sha, request.thread)
        else:
            names = keys(request, keyspace)
            words = (b"EVALSHA", script.sha, b"%d" % len(names), *names)
        return (Command(words + arguments(request), words[3]),)

    return Binding(commands, lambda replies, request: parse(replies[0], request), script=script)


def with_arguments(
    name: str,
    arguments: Mapping[str, Callable[[Any], bytes]],
    parse: Parse,
    *,
    key_names: Sequence[str] = (*KINDS, *ACROSS),
    keys: Keys | None = None,
) -> Binding:
    """Run ``lua/<name>.lua`` with these arguments by name."""
    script, values = Script(name, tuple(arguments), keys=key_names), tuple(arguments.values())
    return by_script(script, lambda request: tuple([each(request) for each in values]), parse, keys=keys)


def number(value: int | None) -> bytes:
    """Return an argument that is a number, or empty for None."""
    return b"" if value is None else b"%d" % value


def flag(value: bool) -> bytes:  # noqa: FBT001 - a pure conversion
    """Return an argument that is ``1`` or empty."""
    return b"1" if value else b""


# Lines that are comments are not sent; `-- with <functions>` stands for these functions.
_COMMENT = re.compile(r"^ *--(?! with ).*\n", re.MULTILINE)
_FUNCTION = re.compile(r"local function (\w+)")
_CONSTANT = re.compile(r"local ([A-Z_]+) = (.+)")
_STRING = re.compile(r"'(?:\\.|[^'\\\n])*'")
_WITH = re.compile(r"^( *)-- with (.+)\n", re.MULTILINE)

_CONSTANTS: dict[str, str] = {}
"""The values of the constants that scripts share."""
_FUNCTIONS: dict[str, str] = {}
"""The functions that scripts share; none uses a later one."""
_USES: dict[str, set[str]] = {}
"""The shared functions that each of them uses: itself, and those that it needs in turn."""


def _read(name: str) -> str:
    return _COMMENT.sub("", (files("zerograph_redis") / "lua" / f"{name}.lua").read_text("utf-8"))


def _used(source: str) -> set[str]:
    """The shared functions that a source uses, without those that parts of it define for themselves."""
    words = set(re.findall(r"\w+", _STRING.sub("", _WITH.sub("", source))))
    for each in _WITH.finditer(source):
        words.difference_update(each[2].split(", "))
    return set().union(*(_USES[name] for name in words & _USES.keys()))


def _with_functions(source: str, names: set[str], defined: set[str]) -> str:
    """Put the functions *names* before a source; in it, replace each ``-- with`` by what is not *defined* yet."""
    defined = defined | names

    def definitions(match: re.Match[str]) -> str:
        needed = set().union(*(_USES[name] for name in match[2].split(", "))) - defined
        return _with_functions("", needed, defined)

    parts = (*(part for name, part in _FUNCTIONS.items() if name in names), source)
    return "".join(_WITH.sub(definitions, part) for part in parts)


for _file in ("thread", "read", "write", "store_checkpoint", "store_writes"):
    for _part in re.split(r"^(?=local )", _read(_file), flags=re.MULTILINE):
        if _constant := _CONSTANT.match(_part):
            _CONSTANTS[_constant[1]] = _constant[2]
        elif _function := _FUNCTION.match(_part):
            _USES[_function[1]] = {_function[1]} | _used(_part)
            _FUNCTIONS[_function[1]] = _part.strip() + "\n"
