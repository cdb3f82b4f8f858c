"""The rights that the documentation gives a saver's user, so that tests prove that they are enough."""

from __future__ import annotations

from support.pages import PAGES

PASSWORD = "password"  # of the documented user

((_COMMAND, PAGE_TEXT),) = (
    (block.text, page.text) for page in PAGES for block in page.blocks if block.text.startswith("ACL SETUSER graphs ")
)


def rights() -> list[str]:
    """The documented command that creates the user, in words."""
    return _COMMAND.split()


def rights_of(user: str, prefix: str) -> list[str]:
    """The same for another user and another prefix of keys."""
    command = " ".join(rights())
    assert command.startswith("ACL SETUSER graphs on >password ~zerograph:* ")
    return command.replace("graphs", user, 1).replace("~zerograph:*", f"~{prefix}:*", 1).split()
