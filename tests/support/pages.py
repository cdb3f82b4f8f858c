"""The README and the pages of the documentation: their code blocks, by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]

KINDS = {
    "python": "runs, one block after the other in one module; `print(…)  # text` must print the text; a block with a title "
    "is a file instead",
    "console": "runs in a shell; what stands below a `$ command` is what it writes, where … stands for anything; below the "
    "comment `<!-- alike -->` numbers, and the widths that they give a table, may differ",
    "redis": "commands that an administrator gives a server: each must be accepted",
    "conf": "lines of redis.conf: a server starts with them",
    "sh": "cannot run in a test: its syntax, commands and options are checked",
    "text": "is no code: it must stand in the docstring of the errors, word for word",
}
"""What a test does with a block of each kind."""


@dataclass(frozen=True)
class Step:
    """A command of a console block, and what the page shows of its output."""

    command: str
    output: str


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: str
    line: int
    info: str
    text: str
    alike: bool = False
    """Whether numbers, and the widths that they give a table, may differ from what the page shows."""

    @property
    def kind(self) -> str:
        """The first word behind the fence; nothing for a block that is only indented."""
        return self.info.split()[0] if self.info else ""

    @property
    def title(self) -> str | None:
        """The file that the block is."""
        found = re.search(r'title="([^"]+)"', self.info)
        return found and found[1]

    @cached_property
    def steps(self) -> list[Step]:
        """The commands of a console block. A command goes on behind a backslash at the end of its line."""
        steps = []
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)(\n|$)(.*)", part, re.DOTALL).groups()
            steps.append(Step(command, output))
        assert "".join(f"$ {each.command}\n{each.output}" for each in steps).rstrip("\n") == self.text.rstrip("\n"), (
            f"{self}: a console block begins with a `$ command`"
        )
        return steps

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page, by its path in the project."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text("utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """All code blocks, also those that are only indented."""
        tokens = MarkdownIt().parse(self.text)
        return [
            Block(self.name, token.map[0] + 1, token.info.strip(), token.content, before.content.startswith(ALIKE))
            for before, token in pairwise([tokens[0], *tokens])
            if token.type in {"fence", "code_block"}
        ]

    def __str__(self) -> str:
        return self.name


ALIKE = "<!-- alike"
PAGES = [Page("README.md"), *(Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md")))]
