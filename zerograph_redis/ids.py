"""Ids as data: an injective spelling of any id that is free of separators, braces and control characters.

Every key, field, index member and row is built from escaped ids, so no two ids ever share one, and no id is ever read as
a hash tag, a separator, a pattern or code.
"""

from __future__ import annotations

import os
import random
import re
from functools import lru_cache

SEPARATOR = "\x1f"
"""Stands between the ids of a field or index member."""

WITHIN = "\x1e"
"""Stands between the words of one identity."""

_UNSAFE = re.compile("[\x00-\x1f\x7f%{}\ud800-\udfff]")
_ESCAPED = re.compile("%(?:u([0-9a-f]{4})|([0-9a-f]{2}))")


_SHORT = 256
"""Shorter ids are remembered with what they are spelled: an operation needs each of its ids several times."""


def escape(name: str) -> str:
    """Spell *name* without control characters, ``%``, braces and lone surrogates. Injective; most ids stay as they are."""
    return _escape(name) if len(name) <= _SHORT else _UNSAFE.sub(_spell, name)


@lru_cache(maxsize=4096)
def _escape(name: str) -> str:
    return _UNSAFE.sub(_spell, name)


def encode(name: str) -> bytes:
    """Return the bytes of ``escape(name)``."""
    return _encode(name) if len(name) <= _SHORT else escape(name).encode()


@lru_cache(maxsize=4096)
def _encode(name: str) -> bytes:
    return escape(name).encode()


def unescape(spelled: str) -> str:
    """Undo `escape`."""
    if "%" not in spelled:
        return spelled
    return _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), spelled)


def read_name(stored: bytes | str) -> str:
    """Undo `escape` of what a store has; ValueError for anything that `escape` does not make."""
    spelled = stored if isinstance(stored, str) else stored.decode()
    name = unescape(spelled)
    if escape(name) != spelled:
        raise ValueError("a stored id is spelled as none is")
    return name


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"%{code:02x}" if code < 0x80 else f"%u{code:04x}"


_names = random.Random()  # noqa: S311 - nothing that must not be guessed
os.register_at_fork(after_in_child=_names.seed)


def random_name() -> str:
    """Return 16 hex digits that no other call returned, of a positive number below 2**63, as SQLite can store."""
    return f"{_names.getrandbits(63) | 1:016x}"
