"""Showing ids, names and values of others: in errors, in the log, on a terminal, in spans.

Nothing that is shown moves a cursor, begins a line, reverses text, or is invisible.
"""

from __future__ import annotations

import re
from typing import Any

# Blank characters that `str.isprintable` accepts: those that Unicode calls default-ignorable, and blank letters and symbols.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_LONGEST = 300  # characters of a value in a message


def visible(text: str) -> str:
    r"""Escape what a terminal would act upon, or not show, as Python does: ``\x1b``, ``\u200b``."""
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)):
        return text
    return "".join(
        each if each.isprintable() and not _BLANK.match(each) else each.encode("unicode_escape").decode()
        for each in text
    )


def quoted(value: Any) -> str:
    """Return the ``repr`` of a value for a message: visible, of bounded length. No error of the value is raised."""
    from .serde.reprs import safe_repr  # its package raises errors, which need this module

    text = str.__repr__(value) if isinstance(value, str) else safe_repr(value)  # a subclass of str may have any repr
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST * 2 // 3]}…{text[-_LONGEST // 3 :]}"
    return visible(text)


def about(thread: str | None) -> dict[str, str | None]:
    """Return the ``extra`` of a log record: the thread that it is about, or None."""
    return {"thread_id": None if thread is None else visible(thread)}
