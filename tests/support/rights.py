"""The rights that the documentation gives the user of a saver, for the tests that hold it to its word."""

from __future__ import annotations

from support.pages import PAGES

__all__ = ("PASSWORD", "SAID", "rights", "rights_of")

PASSWORD = "password"  # of the user that the documentation makes


((_LINE, SAID),) = (
    (block.text, page.text) for page in PAGES for block in page.blocks if block.text.startswith("ACL SETUSER graphs ")
)
"""The command that makes the user, and all of the page that it stands on."""


def rights() -> list[str]:
    """The command that makes a user with the rights that a saver needs, word by word."""
    return _LINE.split()


def rights_of(user: str, prefix: str) -> list[str]:
    """The same for another user, and the keys of another prefix."""
    command = " ".join(rights())
    assert command.startswith("ACL SETUSER graphs on >password ~zerograph:* ")
    return command.replace("graphs", user, 1).replace("~zerograph:*", f"~{prefix}:*", 1).split()
