"""The README does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.readme import README, blocks

URL = "redis://localhost:6379/0"


def test_every_python_block_runs_one_after_the_other(new_server, tmp_path, monkeypatch, capsys):
    server = new_server()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", server.url)
    namespace = {"__name__": "readme"}
    found = list(blocks("python"))
    assert len(found) > 5
    for line, source in found:
        # Errors then name the line of the README.
        code = "\n" * line + source.replace(URL, server.url)
        exec(compile(code, "README.md", "exec", dont_inherit=True), namespace)
    namespace["saver"].close()
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("script", sorted(re.findall(r"^\| `(scripts/\w+)", README, re.MULTILINE)))
def test_every_command_is_there(script):
    assert (Path(__file__).parents[1] / script).stat().st_mode & 0o100
