"""``history``."""

from __future__ import annotations

from datetime import datetime

import pytest
from support import graphs
from support.commands import options_of, run
from support.data import at, fill, state
from zerograph import Command


def rows(outcome):
    assert outcome.code == 0, outcome.err
    return [line.split() for line in outcome.out.splitlines()]


LEGEND = "● has a parent in its namespace, ○ starts a run.\n"


def test_a_straight_run_is_one_column_newest_first(saver, cli):
    fill(saver, 3)
    outcome = cli("history", "thread")
    assert [row[0] for row in rows(outcome)[2:]] == ["c2", "c1", "c0"]
    assert outcome.err == ""


def test_a_fork_is_a_tree_newest_first_with_a_legend(saver, cli):
    for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("d", "b")):
        saver.put(at(id=parent), state(name, n=name), {"step": ord(name), "source": "loop"})
    outcome = cli("history", "thread")
    assert outcome.err == LEGEND
    assert cli("history", "thread", "--json").err == ""
    shown = outcome.out.splitlines()
    assert shown[0].split() == ["checkpoint", "step", "source", "age", "size", "changed"]
    assert [line[:5].rstrip() for line in shown[2:]] == ["● d", "│ ● c", "├─╯", "● b", "○ a"]
    assert shown[2].split()[2:4] == ["100", "loop"]
    assert shown[2].split()[-1] == "n"
    assert shown[-1].split()[-1] == "+n"


def test_the_steps_of_a_graph_are_shown(saver, cli):
    app = graphs.approval(checkpointer=saver)
    app.invoke({"log": []}, at())
    newest, before, first = cli("history", "thread").out.splitlines()[2:]
    assert newest.endswith("waits: {'question': 'go on?', 'so far': 1}")
    assert before.endswith("log +1")
    assert first.endswith("+log")
    app.invoke(Command(resume="yes"), at())
    resumed = cli("history", "thread")
    assert [line[0] for line in resumed.out.splitlines()[2:]] == ["●", "●", "○", "●", "●", "○"]
    assert resumed.err == LEGEND


def test_pending_writes_are_counted(saver, cli):
    saver.put(at(), state("c0"), {})
    saver.put_writes(at(id="c0"), [("t", "a", 1), ("t", "b", 2)], "")
    assert cli("history", "thread").out.splitlines()[-1].endswith("2 pending writes")


def test_each_namespace_is_shown_by_itself(saver, cli):
    graphs.nested(checkpointer=saver).invoke({"log": []}, at())
    shown = cli("history", "thread").out
    assert [line for line in shown.splitlines() if line in {"(root)", "middle", "middle|inner"}] == [
        "(root)",
        "middle",
        "middle|inner",
    ]
    alone = cli("history", "thread", "--namespace", "middle|inner").out
    assert alone.splitlines()[0] == "middle|inner"
    assert "waits: 'inner?'" in alone
    assert "inner?" in cli("history", "thread", "--namespace", "").out
    assert not set("○●") & set(shown)


def test_json_has_every_fact(saver, cli):
    saver.put(at(), state("a", log=[1]), {"step": 1, "source": "input"})
    saver.put(at(id="a"), state("b", log=[1, 2]), {"step": 2, "source": "loop"})
    saver.put_writes(at(id="b"), [("t", "x", b"\xff")], "")
    document = cli("history", "thread", "--json").json
    assert document["thread_id"] == "thread"
    (namespace,) = document["namespaces"]
    assert (namespace["namespace"], namespace["checkpoints"]) == ("", 2)
    newest, oldest = namespace["entries"]
    assert datetime.fromisoformat(newest.pop("stored")) > datetime.fromisoformat(oldest.pop("stored"))
    assert newest.pop("bytes") > oldest.pop("bytes") > 100
    assert newest == {
        "checkpoint_id": "b",
        "parent": "a",
        "parent_namespace": "",
        "source": "loop",
        "step": 2,
        "next": [],
        "writes": [{"task": "t", "channel": "x"}],
        "interrupts": [],
        "compared_with": "a",
        "changes": [{"channel": "log", "kind": "appended", "members": 1}],
    }
    assert (oldest["parent"], oldest["compared_with"]) == (None, None)
    assert oldest["changes"] == [{"channel": "log", "kind": "added"}]


def test_a_limit_leaves_out_the_older_ones_and_notes_it(saver, cli):
    fill(saver, 60)
    assert len(cli("history", "thread").out.splitlines()) == 2 + 50
    limited = cli("history", "thread", "--limit", "3")
    assert [row[0] for row in rows(limited)[2:]] == ["c59", "c58", "c57"]
    assert limited.err.startswith("57 older checkpoints not shown")
    everything = cli("history", "thread", "--all")
    assert (len(everything.out.splitlines()), everything.err) == (62, "")


def test_an_unknown_thread_or_namespace_ends_with_6(saver, cli):
    assert cli("history", "none").code == 6
    fill(saver, 1)
    ended = cli("history", "thread", "--namespace", "none")
    assert ended.code == 6
    assert "no checkpoints in the namespace 'none'" in ended.err


def test_damage_ends_with_4(real_store):
    saver = real_store.open_bare()
    fill(saver, 2)
    real_store.client().hset(f"{real_store.prefix}:{{thread}}:checkpoints", "\x1fc1", b"1" * 60)
    ended = run(*options_of(real_store), "history", "thread")
    assert (ended.code, ended.out) == (4, "")
    assert "'c1'" in ended.err


@pytest.mark.parametrize("columns", [80, 120])
def test_rows_fit_the_terminal(saver, cli, columns):
    values = {f"a-channel-with-a-long-name-{number}": number for number in range(10)}
    saver.put(at(), state("a-checkpoint-with-a-long-name" * 3, **values), {"source": "loop"})
    shown = cli("history", "thread", columns=columns).out.splitlines()
    assert max(map(len, shown)) <= columns
    assert shown[-1].endswith("…")


def test_ids_that_begin_alike_stay_distinct(saver, cli):
    for name in ("same-beginning-1", "same-beginning-2"):
        saver.put(at(), state(name), {})
    assert [row[1] for row in rows(cli("history", "thread"))[2:]] == ["same-beginning-2", "same-beginning-1"]


def test_ids_and_values_are_shown_and_not_acted_upon(saver, cli):
    saver.put(at(), state("\x1b[2J[red]", **{"\x1b[31mchannel": 1}), {"source": "\x07"})
    shown = cli("history", "thread").out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert r"\x1b[2J[r" in shown
    assert r"+\x1b[31mchannel" in shown


def test_no_command_that_inspects_renews_the_ttl(saver, cli):
    saver.put(at(ttl=1000), state("c0"), {})
    before = saver.list_threads()[0].ttl
    cli("history", "thread")
    cli("show", "thread")
    cli("diff", "thread")
    assert saver.list_threads()[0].ttl <= before


def test_a_thread_on_a_cluster(cluster_store):
    fill(cluster_store.open_bare(), 3)
    document = run(*options_of(cluster_store), "history", "thread", "--json").json
    assert [each["checkpoint_id"] for each in document["namespaces"][0]["entries"]] == ["c2", "c1", "c0"]
