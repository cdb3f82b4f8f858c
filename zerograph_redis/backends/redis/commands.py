"""What is sent to Redis: the words of a command as bytes, and the key that says which node of a cluster has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hiredis import pack_command

Word = bytes | bytearray | memoryview | str | int | float


class Command(NamedTuple):
    """A command. Its words are bytes: hiredis crashes when a signal handler raises while it converts numbers."""

    words: tuple[bytes, ...]
    key: bytes | None = None
    """A key of it; without one any primary does it."""


def command(*words: Word, key: bytes | None = None) -> Command:
    """Make a command."""
    return Command(tuple(map(_encoded, words)), key)


def _encoded(word: Word) -> bytes:
    if type(word) is bytes:
        return word
    if isinstance(word, bytes | bytearray | memoryview):
        return bytes(word)
    return str(word).encode()


def packed(commands: Sequence[Any]) -> bytes:  # Any, for hiredis says that it takes less than it does
    """Return the bytes that say *commands* to a server."""
    if len(commands) == 1:
        whole: bytes = pack_command(commands[0].words)
        return whole
    return b"".join([pack_command(each.words) for each in commands])


def by_source(given: Command, sources: Mapping[bytes, bytes]) -> Command:
    """Send the source of a script that a server does not have by its hash; any other command stays as it is."""
    name, *rest = given.words
    if name != b"EVALSHA":
        return given
    return Command((b"EVAL", sources[rest[0]], *rest[1:]), given.key)
