"""What a binding is: a script, the call that a request makes, the reading of its reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .keys import Keyspace
from .scripts import Script

__all__ = ("Binding", "Call")


class Call(NamedTuple):
    """One run of a script."""

    keys: Sequence[bytes]
    arguments: Sequence[bytes | str | int]


class Binding(NamedTuple):
    """A script, the call that a request makes, and the reading of its reply."""

    script: Script
    call: Callable[[Any, Keyspace], Call]
    parse: Callable[[Any, Any], Any]
