"""The Lua scripts, as the server gets them."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

__all__ = ("Script",)

_LUA = files("zerograph_redis") / "lua"


class Script:
    """One operation's Lua, behind the parts that it shares with others."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, *shared: str) -> None:
        """Load ``lua/<name>.lua`` behind the *shared* files."""
        self.name = name
        self.source = "\n".join((_LUA / f"{part}.lua").read_text("utf-8") for part in (*shared, name))
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
