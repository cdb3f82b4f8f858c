"""The README and the documentation keep their promises."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from support.pages import KINDS, PAGES, ROOT, Block, Page
from support.places import Places
from zerograph import END, START, StateGraph

import zerograph_redis
from zerograph_redis import RedisSaver, errors
from zerograph_redis.cli.app import app

IN_A_CLONE = (ROOT / "scripts").is_dir()  # which do not come with the source distribution
MARK = "\x1e"  # before the exit code of each command of a shell
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<![\w/.'\[-])zerograph-redis (?!-?\d)([^`\n|]*)")

each_page = pytest.mark.parametrize("page", PAGES, ids=str)


class Reader:
    """Does with the blocks of a page what a reader would do, in a directory of their own."""

    def __init__(self, places: Places, capsys: pytest.CaptureFixture[str]) -> None:
        self.places = places
        self.capsys = capsys
        self.module = {"__name__": "__main__"}  # as messages have it that name a class of the page

    def python(self, block: Block) -> None:
        source = self.places.here(block.text)
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(source)
            compile(source, block.title, "exec")
            return
        self.capsys.readouterr()
        # Errors then name the line of the page.
        exec(compile("\n" * block.line + source, block.page, "exec", dont_inherit=True), self.module)
        written = self.places.shown(self.capsys.readouterr().out).splitlines()
        for expected in re.findall(r"^\s*(?:print\(.*)?\)  # (.+)$", block.text, re.MULTILINE):
            while written and not matches(expected, written[0]):
                written.pop(0)
            assert written, f"{block}: nothing that was printed is {expected!r}"
            written.pop(0)

    def console(self, block: Block) -> None:
        script = "".join(
            f"{self.places.here(each.command)}\n"
            f"status=$?; printf '{MARK}%d{MARK}' $status; printf '{MARK}' >&2; (exit $status)\n"
            for each in block.steps
        )
        done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True, timeout=120)
        results = self.places.shown(done.stdout).split(MARK)
        errors = self.places.shown(done.stderr).split(MARK)
        codes = results[1::2]
        written = [out + error for out, error in zip(results[0:-1:2], errors, strict=False)]
        commands = [each.command for each in block.steps]
        for number, step in enumerate(block.steps):
            expected, found = step.output, written[number]
            assert matches(*map(alike, (expected, found)) if block.alike else (expected, found)), (
                f"{block}: {step.command}\n-- should write\n{expected}\n-- and wrote\n{found}"
            )
            asked = commands[number + 1 : number + 2] == ["echo $?"]
            assert codes[number] == "0" or asked, f"{block}: {step.command} ended with {codes[number]}"

    def redis(self, block: Block) -> None:
        with self.places.server.client() as client:
            for line in block.text.splitlines():
                assert client.execute_command(*shlex.split(line)) in {True, b"OK"}, f"{block}: {line}"

    def conf(self, block: Block) -> None:
        self.places.try_settings(block.text)

    def sh(self, block: Block) -> None:
        done = subprocess.run(["bash", "-n", "-c", block.text], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}: {done.stderr}"
        for line in block.text.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                check_command(block, words)

    def text(self, block: Block) -> None:
        assert " ".join(block.text.split()) in " ".join(f"{errors.__doc__}".split()), (
            f"{block}: it is not in the docstring of the errors"
        )


def matches(expected: str, written: str) -> bool:
    """Return whether *written* is what a page shows, in which … stands for anything, alone on its line for any lines."""
    pattern = r"\s*\n".join(
        r"(?:.*\n?)*?" if line.strip() == "…" else ".*?".join(map(re.escape, line.rstrip().split("…")))
        for line in expected.strip("\n").split("\n")
    )
    return re.fullmatch(pattern.replace(r"(?:.*\n?)*?\s*\n", r"(?:.*\n)*?"), written.strip("\n").rstrip()) is not None


def alike(text: str) -> str:
    """Make texts equal that differ only in ids, numbers, ages, and the widths of a table."""
    text = text.replace(r"\x1f", "␟")
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(now|\d+ (s|min|h) ago)\b", "0", text)
    text = re.sub(r"\b[0-9a-f]{8,}\b|\d[\d,.:]*", "0", text)
    return re.sub(r" +|─+", " ", re.sub(r"^ +| +$", "", text, flags=re.MULTILINE))


def check_command(block: Block, words: list[str]) -> None:
    """Check what can be checked of a command that cannot run in a test."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    match words:
        case ["pip", "install", *packages]:
            for each in packages:
                name, _, extra = each.rstrip("]").partition("[")
                assert name == project["name"], f"{block}: {each}"
                assert not extra or set(extra.split(",")) <= set(project["optional-dependencies"]), f"{block}: {each}"
        case ["docker", "compose", *rest] if IN_A_CLONE:
            compose = (ROOT / "docker-compose.yml").read_text()
            profiles = [after for before, after in pairwise(rest) if before == "--profile"]
            assert all(f'profiles: ["{each}"]' in compose for each in profiles), f"{block}: {profiles}"
            assert {"up", "down", "logs"} & set(rest), f"{block}: {rest}"
        case ["zerograph-redis", *_] | ["docker", "compose", *_]:
            pass  # words of the first are checked wherever they stand, those of the second in a clone
        case [script, *_] if script.startswith("./scripts/"):
            assert not IN_A_CLONE or os.access(ROOT / script, os.X_OK), f"{block}: there is no {script}"
        case _:
            pytest.fail(f"{block}: a test knows nothing of {words[0]!r}; if it can run, make the block a console block")


@pytest.fixture
def reader(request, page: Page, tmp_path, monkeypatch, capsys):
    places = Places(page.text, tmp_path, request.getfixturevalue("new_cluster"))
    work, commands = tmp_path / "work", tmp_path / "bin"
    work.mkdir()
    commands.mkdir()
    for name, arguments in {"redis-cli": f"-p {places.port} ", "python": ""}.items():
        program = sys.executable if name == "python" else subprocess.check_output(["which", name], text=True).strip()
        (commands / name).write_text(f'#!/bin/sh\nexec {program} {arguments}"$@"\n')
        (commands / name).chmod(0o755)
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.setenv("PATH", os.pathsep.join((str(commands), str(Path(sys.executable).parent), os.environ["PATH"])))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(work), str(ROOT))))
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{places.port}/0")
    monkeypatch.delenv("ZEROGRAPH_CHECKPOINT_URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FAKETTY", "1")  # redis-cli then writes what it writes on a terminal
    monkeypatch.delenv("NO_COLOR", raising=False)
    before = set(sys.modules)
    yield Reader(places, capsys)
    places.close()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(work):
            del sys.modules[name]


@each_page
def test_every_block_of_a_page_does_what_the_page_promises(page, reader):
    for block in page.blocks:
        assert block.kind in KINDS, f"{block}: a block is of a kind, behind its fence: {', '.join(KINDS)}"
        getattr(reader, block.kind)(block)
    saver = reader.module.get("saver")
    if saver is not None:
        saver.close()


@each_page
def test_the_commands_that_a_page_names_have_the_options_that_it_gives_them(page):
    group = typer.main.get_command(app)
    for found in COMMAND.findall(page.text.replace("\\\n", " ")):
        words = shlex.split(found.partition("…")[0].partition("#")[0], posix=True)
        known, command = group, None
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options_of(known), f"{page}: {known.name} has no {word}: {found}"
            elif command is None and word in group.commands:
                command = known = group.commands[word]
        assert command or not words or words[-1].startswith("--"), f"{page}: {found!r} names no command"
    for name, purpose in re.findall(r"^\| `zerograph-redis (\w+)[^|]*\|(.*)", page.text, re.MULTILINE):
        assert set(re.findall(r"--[a-z-]+", purpose)) <= options_of(group.commands[name]), f"{page}: {name}: {purpose}"


def options_of(command):
    """The options of a command, or of the group of all."""
    return {"--help"} | {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


@each_page
def test_the_links_of_a_page_lead_to_files_of_the_project(page):
    home = (ROOT / page.name).parent
    for target in LINK.findall(page.text):
        path, _, _ = target.partition("#")
        if path and "://" not in target and not target.startswith("mailto:"):
            assert (home / path).is_file(), f"{page}: {target}"
            assert page.name == "README.md" or (home / path).resolve().is_relative_to(ROOT / "docs"), (
                f"{page}: {target}"
            )


def examples():
    """The code blocks in docstrings of what the package exports, by where they stand."""
    found = {}
    for name in zerograph_redis.__all__:
        exported = getattr(zerograph_redis, name)
        members = inspect.getmembers(exported) if inspect.isclass(exported) else []
        for where, each in [(name, exported), *((f"{name}.{member}", value) for member, value in members)]:
            if f"{getattr(each, '__module__', None)}".startswith("zerograph_redis"):
                for token in MarkdownIt().parse(inspect.getdoc(each) or ""):
                    if token.type in {"fence", "code_block"}:
                        found.setdefault((token.info, token.content), where)
    return {where: block for block, where in found.items()}


EXAMPLES = examples()


@pytest.mark.parametrize("where", EXAMPLES)
def test_an_example_in_a_docstring_runs(where, new_server):
    server = new_server()
    kind, source = EXAMPLES[where]
    assert kind == "python", f"{where}: an example is python, behind its fence"
    graph = StateGraph(dict)
    graph.add_node("step", lambda state: state)
    graph.add_edge(START, "step")
    graph.add_edge("step", END)
    keys = {"new_key": bytes(32), "old_key": bytes(range(32))}
    with RedisSaver.from_url(server.url, ttl=60) as saver:
        given = {"saver": saver, "app": graph.compile(checkpointer=saver), "input": {}, "url": server.url, **keys}
        exec(source, vars(zerograph_redis) | given)


def test_the_reference_has_everything_that_the_package_exports():
    named = re.findall(r"^::: zerograph_redis\.(\w+)", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(zerograph_redis.__all__)


@pytest.mark.skipif(not IN_A_CLONE, reason="scripts/ does not come with the source distribution")
@pytest.mark.parametrize("script", sorted(re.findall(r"^\| `(scripts/\w+)", PAGES[0].text, re.MULTILINE)))
def test_every_command_of_a_clone_exists(script):
    assert os.access(ROOT / script, os.X_OK)
