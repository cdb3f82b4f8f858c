"""``show``."""

from __future__ import annotations

import re
import sys
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from support import graphs
from support.commands import options_of, run
from support.data import at, fill, state

from zerograph_redis import EncryptedSerializer, MsgpackSerializer, Registered

LONG = "A sentence that goes on. " * 50


@dataclass
class Point:
    x: int
    y: list


class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees

    def __repr__(self):
        return f"{self.degrees}°C"


TYPES = [
    Registered("app.point", Point),
    Registered("celsius", Celsius, encode=lambda value: value.degrees, decode=Celsius),
]


@pytest.fixture
def types_module(tmp_path, monkeypatch):
    """A module of the user's, in the working directory."""
    (tmp_path / "app_state.py").write_text(
        "from dataclasses import dataclass\n"
        "from zerograph_redis import EncryptedSerializer, MsgpackSerializer, Registered\n"
        "@dataclass\nclass Point:\n    x: int\n    y: list\n    def __repr__(self): return 'never used'\n"
        "class Celsius:\n    def __init__(self, degrees): self.degrees = degrees\n"
        "    def __repr__(self): return f'{self.degrees}°C'\n"
        "types = [Registered('app.point', Point),\n"
        "         Registered('celsius', Celsius, encode=lambda value: value.degrees, decode=Celsius)]\n"
        "mine = MsgpackSerializer(types=types)\n"
        "encrypted = EncryptedSerializer({'k': bytes(32)}, mine)\n"
        "nothing = 7\n"
    )
    monkeypatch.chdir(tmp_path)
    yield "app_state"
    sys.modules.pop("app_state", None)


def test_the_newest_is_shown_with_its_state(saver, cli):
    fill(saver, 2)
    shown = cli("show", "thread").out
    assert shown.startswith("c1\nthread    thread\nparent    c0\nstored    20")
    assert re.search(r"^n  int\n  1$", shown, re.MULTILINE)


def test_interrupts_and_writes_come_first(saver, cli):
    graphs.approval(checkpointer=saver).invoke({"log": []}, at())
    newest = saver.get_tuple(at()).config
    saver.put_writes(newest, [("task-1", "draft", {"text": "so far"})], "")
    lines = cli("show", "thread").out.splitlines()
    order = [lines.index(each) for each in ("interrupted, waits for an answer to", "pending writes", "log  list of 1")]
    assert order == sorted(order)
    assert lines[order[0] + 1] == "  {'question': 'go on?', 'so far': 1}"
    assert lines[order[1] + 1] == "  draft (task task-1): {'text': 'so far'}"


@pytest.mark.parametrize(
    ("text", "found"),
    [("c1", "c1"), ("@0", "c12"), ("@2", "c10"), ("@12", "c0"), ("c12", "c12"), ("other", "other-1")],
)
def test_a_checkpoint_is_named_by_its_id_its_beginning_or_its_position(saver, cli, text, found):
    fill(saver, 13)
    saver.put(at(ns="x"), state("other-1", n=1), {})
    assert cli("show", "thread", text).out.startswith(f"{found}\n")


def test_a_whole_id_wins_over_a_position(saver, cli):
    for name in ("@1", "b", "c"):
        saver.put(at(), state(name, n=1), {})
    assert cli("show", "thread", "@1").out.startswith("@1\n")
    assert cli("show", "thread", "@2").out.startswith("@1\n")


def test_a_beginning_of_several_ends_with_2_and_names_some(saver, cli):
    fill(saver, 13)
    ended = cli("show", "thread", "c")
    assert ended.code == 2
    assert "13 checkpoints of thread 'thread' begin with 'c'" in ended.err


def test_a_position_is_found_over_several_pages(saver, cli):
    fill(saver, 205)
    assert cli("show", "thread", "@204").out.startswith("c0\n")
    assert cli("show", "thread", "@205").code == 6


def test_only_the_named_namespace_is_searched(saver, cli):
    saver.put(at(), state("same", n="outer"), {})
    saver.put(at(ns="x"), state("same", n="inner"), {})
    assert "'outer'" in cli("show", "thread", "same").out
    assert "'inner'" in cli("show", "thread", "sa", "--namespace", "x").out
    assert "'inner'" in cli("show", "thread", "--namespace", "x").out


def test_a_thread_without_a_root_shows_what_was_stored_last(saver, cli):
    for namespace in ("b", "a"):
        saver.put(at(ns=namespace), state(f"in-{namespace}", n=1), {})
    assert cli("show", "thread").out.startswith("in-a\n")


@pytest.mark.parametrize(
    "arguments", [("none",), ("thread", "none"), ("thread", "@9"), ("thread", "--namespace", "none")]
)
def test_an_unknown_thread_or_checkpoint_ends_with_6(saver, cli, arguments):
    fill(saver, 1)
    ended = cli("show", *arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (6, "", 1)
    assert arguments[0] == "none" or "'zerograph-redis history thread' lists all" in ended.err


def test_long_values_are_truncated_unless_full(saver, cli):
    values = {
        "text": LONG,
        "raw": bytes(range(256)) * 40,
        "messages": [{"role": "user", "content": f"message {number}"} for number in range(500)],
        "numbers": np.arange(5000, dtype="i4"),
        "wide": {f"key {number}": number for number in range(100)},
    }
    saver.put(at(), state("c0", **values), {})
    shown = cli("show", "thread").out
    assert len(shown.splitlines()) < 80
    assert "(1,250 characters)" in shown
    assert "(10,240 bytes)" in shown
    assert "… 494 more …" in shown
    assert "'message 499'" in shown
    assert "array of 5000, int32" in shown
    assert "80 more" in shown
    full = cli("show", "thread", "--full").out
    assert LONG in full
    assert "'message 250'" in full
    assert "'key 77': 77" in full
    assert "4321, " in full
    assert "more" not in full


def test_every_type_is_shown(saver, cli):
    values = {
        "tuple": (1, (2,)),
        "set": {1},
        "deque": deque([1], maxlen=3),
        "decimal": Decimal("1.50"),
        "when": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "scalar": np.float32(1.5),
        "empty": np.zeros((0, 3)),
        "nan": float("nan"),
        "keys": {1: "one", (2, 3): "pair", None: b"none"},
        "bytes": bytearray(b"\x00"),
    }
    saver.put(at(), state("c0", **values), {})
    shown = cli("show", "thread").out
    for text in ("(1, (2,))", "set([1])", "Decimal('1.50')", "np.float32(1.5)", "nan", "(2, 3): 'pair'"):
        assert text in shown
    channels = cli("show", "thread", "--json").json["channels"]
    assert channels == {
        "tuple": [1, [2]],
        "set": [1],
        "deque": [1],
        "decimal": "1.50",
        "when": "2026-01-02T03:04:00.000000Z",
        "scalar": 1.5,
        "empty": [],
        "nan": "nan",
        "keys": {"1": "one", "(2, 3)": "pair", "None": "b'none'"},
        "bytes": "bytearray(b'\\x00')",
    }


def test_types_that_are_not_registered_are_shown_by_name_and_fields(store, cli):
    saver = store.open_bare(serializer=MsgpackSerializer(types=TYPES))
    points = [Point(1, [Point(2, [])])]
    saver.put(at(), state("c0", points=points, now=Celsius(21.5), set={"of": (Celsius(1),)}), {"source": "loop"})
    saver.put_writes(at(id="c0"), [("t", "__interrupt__", Point(3, []))], "")
    shown = cli("show", "thread").out
    assert "[app.point(x=1, y=[app.point(x=2, y=[])])]" in shown
    assert "celsius(21.5)" in shown
    assert "app.point(x=3, y=[])" in shown
    document = cli("show", "thread", "--json").json
    assert document["channels"]["points"][0]["type"] == "app.point"
    assert document["channels"]["points"][0]["fields"]["x"] == 1
    assert document["channels"]["now"] == "celsius(21.5)"
    assert cli("history", "thread").code == cli("diff", "thread").code == 0


def test_registered_types_show_as_themselves(store, cli, types_module):
    saver = store.open_bare(serializer=MsgpackSerializer(types=TYPES))
    saver.put(at(), state("c0", points=[Point(1, [])], now=Celsius(21.5)), {})
    for named in (types_module, f"{types_module}:types", f"{types_module}:mine"):
        shown = cli("--types", named, "show", "thread").out
        assert "Point(x=1, y=[])" in shown
        assert "21.5°C" in shown


def test_an_encrypted_state_is_shown_only_with_its_keys(store, cli, types_module):
    saver = store.open_bare(serializer=EncryptedSerializer({"k": bytes(32)}, MsgpackSerializer(types=TYPES)))
    saver.put(at(), state("c0", points=[Point(1, [])], text=LONG), {})
    saver.put(at(id="c0"), state("c1", points=[Point(1, [])], text=LONG + "!"), {})
    assert "Point(x=1, y=[])" in cli("--types", f"{types_module}:encrypted", "show", "thread").out
    assert cli("--types", f"{types_module}:encrypted", "history", "thread").out.splitlines()[2].endswith(" text")
    refused = cli("show", "thread")
    assert refused.code == 1
    assert refused.err.endswith("--types MODULE\n")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no_such_module", "importing no_such_module failed: ModuleNotFoundError"),
        ("app_state:none", "the module app_state has no none"),
        ("app_state:nothing", "'int' object is not iterable"),
        ("json", "the module json has no serializer or types"),
    ],
)
def test_types_that_cannot_be_imported_end_with_2(saver, cli, types_module, named, message):
    fill(saver, 1)
    ended = cli("--types", named, "show", "thread")
    assert ended.code == 2
    assert message in ended.err


def test_control_characters_of_a_state_are_escaped(saver, cli):
    evil = "\x1b]0;title\x07\x9b31m\u202e[bold red]"
    saver.put(at(), state(f"id{evil}", **{evil: {evil: [evil, LONG + evil]}}), {"source": evil})
    for shown in (cli("show", "thread").out, cli("show", "thread", "--full").out, cli("diff", "thread").out):
        assert not set("\x1b\x07\x9b\u202e") & set(shown)
        assert "[bold red]" in shown


def test_json_has_lone_surrogates(saver, cli):
    saver.put(at(), state("c0", text="\ud800 é"), {})
    assert cli("show", "thread", "--json").json["channels"] == {"text": "\ud800 é"}


def test_json_has_every_fact(saver, cli):
    fill(saver, 2)
    saver.put_writes(at(id="c1"), [("task-1", "draft", {1})], "")
    document = cli("show", "thread", "--json").json
    assert document.pop("stored").endswith("Z")
    assert document.pop("bytes") > 100
    assert document == {
        "thread_id": "thread",
        "namespace": "",
        "checkpoint_id": "c1",
        "parent": "c0",
        "step": 1,
        "next": [],
        "metadata": {"step": 1},
        "interrupts": [],
        "writes": [{"task": "task-1", "channel": "draft", "value": [1]}],
        "channels": {"n": 1},
    }


def test_a_checkpoint_on_a_cluster(cluster_store):
    fill(cluster_store.open_bare(), 3)
    assert run(*options_of(cluster_store), "show", "thread", "@1", "--json").json["checkpoint_id"] == "c1"
