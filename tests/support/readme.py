"""What the README says, for the tests that hold it to its word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
PASSWORD = "password"  # of the user that the README makes


def blocks(language: str) -> Iterator[tuple[int, str]]:
    """Find the code blocks of a language, with the line where each begins."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        yield README.count("\n", 0, found.start(1)), found[1]


def rights() -> list[str]:
    """The command that makes a user with the rights that a saver needs, word by word."""
    (line,) = (text for _, text in blocks("text") if text.startswith("ACL SETUSER"))
    return line.split()


def rights_of(user: str, prefix: str) -> list[str]:
    """The same for another user, and the keys of another prefix."""
    command = " ".join(rights())
    assert command.startswith("ACL SETUSER graphs on >password ~zerograph:* ")
    return command.replace("graphs", user, 1).replace("~zerograph:*", f"~{prefix}:*", 1).split()
