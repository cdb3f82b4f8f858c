"""Ids as data: every id is escaped, injectively, into text without separators, braces and control characters.

Every key, field, index member and row is built from escaped ids. So no two ids share one, and no id is read as a hash tag,
a separator, a pattern or code.
"""

from __future__ import annotations

import os
import random
import re
from functools import lru_cache

SEPARATOR = "\x1f"
"""Separates the ids of a field or index member."""

IDENTITY_SEPARATOR = "\x1e"
"""Separates task id and channel in the identity of a pending write."""

_UNSAFE = re.compile("[\x00-\x1f\x7f%{}\ud800-\udfff]")
_ESCAPED = re.compile("%(?:u([0-9a-f]{4})|([0-9a-f]{2}))")

_SHORT = 256
"""Ids up to this length are cached: an operation escapes each of its ids several times."""


def escape(name: str) -> str:
    """Escape control characters, ``%``, braces and lone surrogates. Most ids have none, and stay as they are."""
    return _escape(name) if len(name) <= _SHORT else _UNSAFE.sub(_code, name)


@lru_cache(maxsize=4096)
def _escape(name: str) -> str:
    return _UNSAFE.sub(_code, name)


def encode(name: str) -> bytes:
    """Return the bytes of ``escape(name)``."""
    return _encode(name) if len(name) <= _SHORT else escape(name).encode()


@lru_cache(maxsize=4096)
def _encode(name: str) -> bytes:
    return escape(name).encode()


def unescape(text: str) -> str:
    """Undo `escape`."""
    if "%" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), text)


def read_name(stored: bytes | str) -> str:
    """Undo `escape` of a stored id; ValueError for anything that `escape` does not return."""
    text = stored if isinstance(stored, str) else stored.decode()
    name = unescape(text)
    if escape(name) != text:
        raise ValueError("a stored id is not escaped as ids are")
    return name


def _code(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"%{code:02x}" if code < 0x80 else f"%u{code:04x}"


_names = random.Random()  # noqa: S311 - names may be guessed
os.register_at_fork(after_in_child=_names.seed)


def random_name() -> str:
    """Return 16 hex digits that no other call returned, of a positive number below 2**63, as SQLite can store."""
    return f"{_names.getrandbits(63) | 1:016x}"
