"""How foreign text is shown: ids, names and values that others chose, in errors, in the log, on a terminal, in spans.

Nothing that is shown moves a cursor, begins a line, turns text around, or is invisible.
"""

from __future__ import annotations

import re
from typing import Any

# `str.isprintable` already refuses controls, format characters, separators, surrogates, and what has no meaning yet. These
# it takes, and yet they show nothing: what Unicode calls default-ignorable, and letters and symbols that are blank.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_LONGEST = 300  # characters of a value in a message


def visible(text: str) -> str:
    r"""Spell what a terminal would act upon, or not show, as Python does: ``\x1b``, ``\u200b``. The rest stays as it is."""
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)):
        return text
    return "".join(
        each if each.isprintable() and not _BLANK.match(each) else each.encode("unicode_escape").decode()
        for each in text
    )


def quoted(value: Any) -> str:
    """Spell a value for a message, as ``repr`` does: visible, of bounded length, and never an error of the value's own."""
    from .serde.reprs import safe_repr as spell  # its package raises errors, which need this module

    spelled = str.__repr__(value) if isinstance(value, str) else spell(value)  # a subclass of str may say anything
    if len(spelled) > _LONGEST:
        spelled = f"{spelled[: _LONGEST * 2 // 3]}…{spelled[-_LONGEST // 3 :]}"
    return visible(spelled)


def about(thread: str | None) -> dict[str, str | None]:
    """What a record of the log has as its ``extra``: the thread that it is about, if it is about one."""
    return {"thread_id": None if thread is None else visible(thread)}
