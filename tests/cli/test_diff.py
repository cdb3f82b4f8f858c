"""``diff``."""

from __future__ import annotations

import pytest
from support import graphs
from support.commands import options_of, run
from support.data import at, fill, state

FOX = "The quick brown fox jumps over the lazy dog. "
BEFORE = {
    "messages": [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}],
    "profile": {"name": "Ada", "langs": ["en", "fr"]},
    "text": FOX * 10,
    "turn": 1,
    "old": [1],
    "same": {"a": 1},
}
AFTER = {
    "messages": [{"id": 1, "text": "a"}, {"id": 2, "text": "B"}, {"id": 3, "text": "c"}],
    "profile": {"name": "Ada", "langs": ["en", "de", "fr"], "age": 36},
    "text": FOX * 5 + "MORE " + FOX * 5,
    "turn": 2,
    "same": {"a": 1},
    "new": "here",
}


@pytest.fixture
def two(saver):
    saver.put(at(), state("before", **BEFORE), {"step": 1})
    saver.put(at(id="before"), state("after", **AFTER), {"step": 2})


def test_the_newest_is_compared_with_its_parent(two, cli):
    shown = cli("diff", "thread").out
    assert shown.startswith("before → after\nstep 1 → 2\n\n")
    lines = [line for line in shown.splitlines()[3:] if line[0] != " "]
    assert lines == [
        "~ messages[1]['text']  'b' → 'B'",
        "+ messages  1 added at the end",
        "+ profile['langs']  1 added at 1",
        "+ profile['age']",
        "~ text",
        "~ turn  1 → 2",
        "+ new",
        "- old",
    ]
    assert "  + {'id': 3, 'text': 'c'}" in shown
    assert "  - [1]" in shown
    assert "lazy dog. MORE The quick brown fox jump'…" in shown
    assert "same" not in shown


def test_any_two_are_compared(saver, cli):
    fill(saver, 5)
    assert cli("diff", "thread", "c1", "c4").out.splitlines()[-1] == "~ n  1 → 4"
    assert cli("diff", "thread", "@3", "@0").out.splitlines()[-1] == "~ n  1 → 4"
    assert cli("diff", "thread", "c4", "c1").out.splitlines()[-1] == "~ n  4 → 1"


def test_one_alone_is_compared_with_its_parent(saver, cli):
    fill(saver, 5)
    assert cli("diff", "thread", "c2").out.splitlines()[0] == "c1 → c2"


def test_a_checkpoint_without_a_parent_is_compared_with_the_one_stored_before_it(saver, cli):
    saver.put(at(), state("a", n=1), {})
    saver.put(at(), state("b", n=2), {})
    shown = cli("diff", "thread")
    assert shown.out.splitlines()[-1] == "~ n  1 → 2"
    assert "'b' has no parent; compared with the checkpoint stored before it" in shown.err
    first = cli("diff", "thread", "a")
    assert first.out.splitlines()[-2:] == ["+ n", "  + 1"]
    assert "compared with an empty state" in first.err


def test_a_parent_that_was_pruned_is_noted(saver, cli):
    fill(saver, 3)
    saver.prune("thread", 1)
    shown = cli("diff", "thread")
    assert "has a parent that is no longer stored, 'c1'" in shown.err
    assert shown.out.splitlines()[0] == "(nothing) → c2"


def test_equal_states_have_no_difference(saver, cli):
    saver.put(at(), state("a", n=1, x=float("nan")), {})
    saver.put(at(id="a"), state("b", n=1, x=float("nan")), {})
    assert cli("diff", "thread").out.splitlines()[-1] == "No channel changed."


def test_the_first_checkpoint_of_a_subgraph_has_its_parent_outside(saver, cli):
    graphs.nested(checkpointer=saver).invoke({"log": []}, at())
    first = cli("history", "thread", "--namespace", "middle", "--json").json["namespaces"][0]["entries"][-1]
    shown = cli("diff", "thread", first["checkpoint_id"])
    parent = first["parent"]
    assert f"starts a subgraph: its parent {parent!r} is in the namespace ''; compared with an empty state" in shown.err


def test_many_members_are_truncated_unless_full(saver, cli):
    saver.put(at(), state("a", log=[]), {})
    saver.put(at(id="a"), state("b", log=[f"entry {number}" for number in range(100)]), {})
    shown = cli("diff", "thread").out
    assert "+ log  100 added at the end" in shown
    assert "… 94 more …" in shown
    assert "'entry 50'" not in shown
    assert "'entry 50'" in cli("diff", "thread", "--full").out


def test_json_has_every_difference(two, cli):
    document = cli("diff", "thread", "--json").json
    assert document["before"] == {"namespace": "", "checkpoint_id": "before"}
    assert document["after"] == {"namespace": "", "checkpoint_id": "after"}
    changes = document["changes"]
    assert changes[0] == {"channel": "messages", "path": [1, "text"], "kind": "changed", "before": "b", "after": "B"}
    assert changes[1] == {
        "channel": "messages",
        "path": [],
        "kind": "appended",
        "place": 2,
        "members": [{"id": 3, "text": "c"}],
    }
    assert changes[2] == {"channel": "profile", "path": ["langs"], "kind": "added", "place": 1, "members": ["de"]}
    assert changes[-1] == {"channel": "old", "path": [], "kind": "removed", "before": [1]}


def test_an_unknown_thread_or_checkpoint_ends_with_6(saver, cli):
    fill(saver, 1)
    assert (
        cli("diff", "none").code == cli("diff", "thread", "none").code == cli("diff", "thread", "c0", "none").code == 6
    )


def test_checkpoints_on_a_cluster(cluster_store):
    fill(cluster_store.open_bare(), 2)
    assert run(*options_of(cluster_store), "diff", "thread", "--json").json["changes"][0]["after"] == 1
