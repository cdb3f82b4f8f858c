"""The Lua scripts and their bindings, without a server."""

from __future__ import annotations

import collections.abc
import dataclasses
import re
import struct
import types
import typing
from importlib.resources import files
from typing import Any

import pytest
from lupa import lua51 as lupa
from redis.crc import key_slot

from zerograph_redis.backends.redis import Keyspace
from zerograph_redis.backends.redis.bindings import BINDINGS, PUT
from zerograph_redis.backends.redis.keys import ACROSS
from zerograph_redis.core import examination, requests

SOURCES = {
    each.name.removesuffix(".lua"): each.read_text("utf-8")
    for each in (files("zerograph_redis") / "lua").iterdir()
    if each.name.endswith(".lua")
}
BOUND = {binding.script.name: (request, binding) for request, binding in BINDINGS.items() if binding.script is not None}
NAMES = {**vars(requests), **vars(examination)}


def code(source: str) -> str:
    """A source without its comments and without the contents of its strings."""
    return re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "''", re.sub(r"--[^\n]*", "", source))


def header(source: str) -> str:
    """The comment that a file begins with."""
    lines = []
    for line in source.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    return "\n".join(lines)


def part(source: str, title: str) -> str | None:
    """The lines of a header about KEYS or ARGV: the first, and the indented ones that follow."""
    match = re.search(rf"^ {title}\b(.*(?:\n\s{{3,}}.*)*)", header(source), re.MULTILINE)
    return None if match is None else match[1]


def called(request: Any, binding: Any, *, clustered: bool) -> tuple[list[bytes], list[bytes]]:
    """The KEYS and the ARGV that a binding passes for some request."""
    (command,) = binding.commands(sample(request), Keyspace("p", clustered=clustered))
    verb, sha, count, *rest = command.words
    assert (verb, sha) == (b"EVALSHA", binding.script.sha)
    assert command.key == rest[0]
    assert all(type(word) is bytes for word in command.words)
    return rest[: int(count)], rest[int(count) :]


def sample(kind: Any) -> Any:
    """Some value of a field's type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return sample(next(each for each in arguments if each is not type(None)))
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        return tuple(sample(each) for each in arguments)
    if origin in (list, collections.abc.Sequence):
        return [sample(arguments[0])]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, NAMES)
        return kind(**{field.name: sample(hints[field.name]) for field in dataclasses.fields(kind)})
    return {str: "1", int: 1, bytes: b"1" * 32, bool: True}.get(kind)


def test_there_are_scripts():
    assert {"put_checkpoint", "get_checkpoint", "put_writes"} <= set(SOURCES)
    assert set(BOUND) <= set(SOURCES)


def test_every_script_belongs_to_one_request():
    assert len(BOUND) == len({id(binding) for binding in BINDINGS.values() if binding.script is not None})
    assert set(SOURCES) >= set(BOUND)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_file_begins_with_a_header(name):
    text = header(SOURCES[name])
    assert len(text.strip()) > 20
    if name in BOUND:
        assert part(SOURCES[name], "KEYS")
        assert part(SOURCES[name], "ARGV")
        assert "Reply" in text


SINGLE_AND_CLUSTER = pytest.mark.parametrize("clustered", [False, True], ids=["single", "cluster"])


@pytest.mark.parametrize("name", sorted(BOUND))
@SINGLE_AND_CLUSTER
def test_a_binding_passes_as_many_arguments_as_its_script_declares(name, clustered):
    request, binding = BOUND[name]
    script = binding.script
    _, arguments = called(request, binding, clustered=clustered)
    declared = len(script.arguments) + sum(len(each.names) for each in script.groups)
    if name == "write_batch":  # each of its writes is either a put or a batch of pending writes
        assert len(arguments) == len(script.arguments) + 1 + len(PUT.names)
    elif re.search(r"ARGV\[argument|#ARGV", code(SOURCES[name])):
        assert len(arguments) > declared
    else:
        assert len(arguments) == declared


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_header_explains_every_declared_argument_and_nothing_numbers_it(name):
    script, source = BOUND[name][1].script, SOURCES[name]
    text = part(source, "ARGV")
    for each in (*script.arguments, *(name for fields in script.groups for name in fields.names)):
        assert re.search(rf"\b{each}\b", text), f"{each} is not explained"
    assert not re.search(r"\b(?:ARGV|KEYS)\[\d", code(source))
    assert not re.search(r"\bKEYS\.", script.source)


@pytest.mark.parametrize("name", sorted(BOUND))
@SINGLE_AND_CLUSTER
def test_a_binding_passes_the_keys_that_its_script_declares_all_of_one_slot_on_a_cluster(name, clustered):
    request, binding = BOUND[name]
    keys, _ = called(request, binding, clustered=clustered)
    assert len(keys) == len(set(keys)) >= 1
    assert all(key.startswith(b"p:") for key in keys)
    for key, declared in zip(keys, binding.script.keys, strict=False):
        assert key.endswith((declared.removeprefix("staged_").encode(), b":threads", b"}"))
    if clustered:
        assert len({key_slot(key) for key in keys}) == 1
    missing = binding.script.keys[len(keys) :]
    assert tuple(missing) == (ACROSS if clustered and "threads" in binding.script.keys else ())


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_script_calls_nothing_but_redis_call(name):
    source = code(SOURCES[name])
    assert set(re.findall(r"\bredis\.(\w+)", source)) <= {"call", "error_reply", "status_reply"}
    assert not re.search(
        r"\b(cmsgpack|struct|bit|os|io|debug|loadstring|load|dofile|require|print|cjson)\b\s*[.(]", source
    )
    # The name of each command is a literal in the source, so nothing of a caller's can become one.
    assert len(re.findall(r"redis\.call\(", SOURCES[name])) == len(re.findall(r"redis\.call\('[A-Z]+'", SOURCES[name]))


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_script_never_looks_for_keys(name):
    commands = set(re.findall(r"redis\.call\('([A-Z]+)'", SOURCES[name]))
    assert not commands & {"KEYS", "SCAN", "RANDOMKEY", "FLUSHALL", "FLUSHDB", "SORT", "EVAL", "DBSIZE"}
    # Those that block a server in proportion to all that a thread holds.
    assert not commands & {"HGETALL", "HKEYS", "HVALS", "SMEMBERS", "DEL"}


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_script_compiles_and_sets_no_globals(name):
    lua = lupa.LuaRuntime()
    source = BOUND[name][1].script.source
    check = lua.eval("function(source) local f, e = loadstring(source) return e end")
    assert check(source) is None
    assigned = set(re.findall(r"^\s*([A-Za-z_]\w*)(?:\s*,\s*[A-Za-z_]\w*)*\s*=[^=]", code(source), re.MULTILINE))
    assigned |= set(re.findall(r"^\s*function\s+([A-Za-z_]\w*)", code(source), re.MULTILINE))
    local = set()
    for names in re.findall(r"\blocal\s+(?!function\b)([\w, ]+)", code(source)):
        local |= {each.strip() for each in names.split(",")}
    local |= set(re.findall(r"\blocal\s+function\s+(\w+)", code(source)))
    for names in re.findall(r"\bfor\s+([\w, ]+?)\s*(?:=|in\b)", code(source)):
        local |= {each.strip() for each in names.split(",")}
    for names in re.findall(r"\bfunction\s*\w*\(([\w, ]*)\)", code(source)):
        local |= {each.strip() for each in names.split(",")}
    # Fields of a table constructor on a separate line have the same form.
    fields = set(re.findall(r"[{,]\s*([A-Za-z_]\w*)\s*=[^=]", code(source)))
    assert assigned - local - fields == set()


def globals_of(source: str) -> set[str]:
    """The globals that a source names, from the bytecode that Lua 5.1 makes of it."""
    dump = lupa.LuaRuntime(encoding=None).eval(b"function(source) return string.dump(assert(loadstring(source))) end")
    code, place, found = dump(source.encode()), 12, set()

    def read(form: str) -> Any:
        nonlocal place
        (value,) = struct.unpack_from(form, code, place)
        place += struct.calcsize(form)
        return value

    def text() -> bytes:
        return read(f"{read('<Q')}s")[:-1]

    def function() -> None:
        text(), read("8s"), read("4s")
        instructions = [read("<I") for _ in range(read("<I"))]
        constants = []
        for _ in range(read("<I")):
            kind = read("B")
            constants.append(text() if kind == 4 else read("d") if kind == 3 else read("B") if kind == 1 else None)
        found.update(constants[each >> 14].decode() for each in instructions if each & 0x3F in {5, 7})
        for _ in range(read("<I")):
            function()
        read(f"{4 * read('<I')}s")
        for _ in range(read("<I")):
            text(), read("8s")
        for _ in range(read("<I")):
            text()

    function()
    return found


BUILT_IN = {
    *("ARGV", "KEYS", "redis", "string", "table", "math"),
    *("error", "ipairs", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"),
}


@pytest.mark.parametrize("name", sorted(BOUND))
def test_all_that_a_script_uses_is_defined_where_it_uses_it(name):
    assert globals_of(BOUND[name][1].script.source) <= BUILT_IN
    assert globals_of("local a = b; local function f() return a, c, function() d = 1 end end") == {"b", "c", "d"}


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_script_fits_into_the_local_variables_that_lua_allows(name):
    assert len(re.findall(r"\blocal\b", code(BOUND[name][1].script.source))) < 200


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_script_has_no_function_that_it_does_not_use(name):
    source = code(BOUND[name][1].script.source)
    for each in re.findall(r"\blocal function (\w+)", source):
        assert len(re.findall(rf"\b{each}\b", source)) > 1, each
