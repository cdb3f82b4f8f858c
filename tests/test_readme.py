"""The README does what it says."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from zerograph_redis import RedisSaver

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
URL = "redis://localhost:6379/0"


def blocks(language):
    """Find the code blocks of a language, with the line where each begins."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        yield README.count("\n", 0, found.start(1)), found[1]


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


def test_the_rights_of_the_user_are_enough(new_server):
    server = new_server()
    ((_, line),) = blocks("text")
    with server.client() as admin:
        admin.execute_command(*line.split())
    url = server.url.replace("://", "://graphs:password@")
    thread = {"configurable": {"thread_id": "t"}}
    with RedisSaver.from_url(url, ttl=60, keep_last=30, max_age=60) as saver:
        for number in range(60):
            messages = [f"{each:03}" * 400 for each in range(number % 10)]
            config = saver.put(thread, {"channel_values": {"number": number, "messages": messages}}, {})
            saver.put_writes(config, [("task", "channel", number)], "task")
            saver.put_writes(config, [("task", "channel", number)], "task")
        assert saver.get_tuple(config).pending_writes == saver.get_pending_writes(config) != []
        assert saver.get_by_id(config["configurable"]["checkpoint_id"]) is not None
        assert len(saver.list(thread, limit=None)) == saver.copy_thread("t", "u") == 30
        assert saver.prune("u", 1) == 29
        saver.delete_thread("t")
        assert [each.thread_id for each in saver.list_threads()] == ["u"]
    with RedisSaver.from_url(url) as saver:
        saver.put({"configurable": {"thread_id": "u"}}, {"channel_values": {}}, {})


def test_the_rights_of_the_user_cover_every_script():
    ((_, line),) = blocks("text")
    called = {
        name.lower()
        for script in (files("zerograph_redis") / "lua").iterdir()
        for name in re.findall(r"redis\.call\('(\w+)'", script.read_text("utf-8"))
    }
    assert called <= set(re.findall(r"\+(\w+)", line))


@pytest.mark.parametrize("script", sorted(re.findall(r"^\| `(scripts/\w+)", README, re.MULTILINE)))
def test_every_command_is_there(script):
    assert (Path(__file__).parents[1] / script).stat().st_mode & 0o100
