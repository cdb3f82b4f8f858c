"""``delete`` and ``prune``."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from support.aging import make_idle, make_older
from support.commands import options_of, run
from support.data import at, fill, ids, thread_ids, thread_info


def everything_of(saver):
    return {each: len(saver.list(at(each), limit=None)) for each in thread_ids(saver, limit=None)}


def test_without_yes_nothing_is_deleted_and_the_plan_is_shown(saver, cli):
    fill(saver, 3, "a")
    fill(saver, 2, "b")
    ended = cli("delete", "a")
    assert ended.code == 0
    assert ended.out.splitlines()[0].split() == ["thread", "idle", "checkpoints", "size"]
    assert "Would delete 1 thread with 3 checkpoints" in ended.out
    assert "--yes" in ended.err
    assert everything_of(saver) == {"a": 3, "b": 2}


def test_with_yes_threads_are_deleted(saver, cli):
    fill(saver, 3, "a")
    fill(saver, 2, "b")
    size = thread_info(saver, "a").bytes
    document = cli("delete", "a", "--yes", "--json").json
    assert (document["dry_run"], document["threads"], document["checkpoints"]) == (False, 1, 3)
    assert document["bytes"] == size
    assert everything_of(saver) == {"b": 2}
    assert cli("delete", "--match", "b", "--yes").out.splitlines()[-1].startswith("Deleted 1 thread")
    assert everything_of(saver) == {}


def test_the_document_of_delete(store, saver, cli):
    fill(saver, 3, "a")
    make_idle(store, saver, 7200, "a")
    document = cli("delete", "a", "--json").json
    assert set(document) == {"dry_run", "threads", "checkpoints", "bytes", "removals", "not_found"}
    assert document["dry_run"] is True
    (removal,) = document["removals"]
    assert set(removal) == {"thread_id", "outcome", "updated", "checkpoints", "bytes", "lease"}
    assert (removal["thread_id"], removal["outcome"], removal["checkpoints"]) == ("a", "planned", 3)
    assert (datetime.now().astimezone() - datetime.fromisoformat(removal["updated"])).total_seconds() >= 7200


def test_only_idle_threads_with_the_prefix_are_deleted(store, saver, cli):
    for name in ("a-old", "a-new", "b-old"):
        fill(saver, 1, name)
    for name in ("a-old", "b-old"):
        make_idle(store, saver, 31 * 86_400, name)
    assert cli("delete", "--match", "a-", "--idle", "30d", "--yes", "--json").json["threads"] == 1
    assert set(everything_of(saver)) == {"a-new", "b-old"}
    assert cli("delete", "a-new", "b-old", "--idle", "1d12h", "--yes", "--json").json["threads"] == 1
    assert set(everything_of(saver)) == {"a-new"}


def test_a_thread_that_a_worker_holds_is_skipped_and_reported(saver, cli):
    fill(saver, 3, "a")
    fill(saver, 3, "b")
    with saver.lease("a", owner="worker-7"):
        for command in (["delete", "a", "b"], ["prune", "--all", "--keep", "1"]):
            planned = cli(*command)
            assert planned.code == 0
            assert "held by worker-7" in planned.out
            ended = cli(*command, "--yes")
            assert ended.code == 5
            assert "held by worker-7" in ended.out
            assert "unlock" in ended.err
            fill(saver, 3, "b")
        assert len(saver.list(at("a"))) == 3
        ended = cli("delete", "a", "--yes", "--json")
        assert ended.code == 5
        (removal,) = json.loads(ended.out)["removals"]
        assert removal["outcome"] == "held"
        assert removal["lease"]["owner"] == "worker-7"
        assert 0 < removal["lease"]["seconds_left"] <= 30


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_an_unknown_thread_is_reported_and_the_others_are_deleted(saver, cli, yes):
    fill(saver, 3, "a")
    ended = cli("delete", "a", "b", *yes)
    assert ended.code == 6
    assert "Not found: 'b'" in ended.err
    assert set(everything_of(saver)) == (set() if yes else {"a"})


def test_a_damaged_thread_can_be_deleted_and_not_pruned(store, saver, cli):
    if store.kind == "sqlite":
        return
    fill(saver, 3, "a")
    store.client().delete(f"{store.prefix}:{{a}}:index")
    ended = cli("prune", "a", "--keep", "1", "--yes")
    assert ended.code == 4
    assert "damaged" in ended.out
    assert cli("delete", "a", "--yes").code == 0
    assert not [key for key in store.all_keys() if b"{a}" in key]


def test_a_plan_to_prune_lists_every_checkpoint(saver, cli):
    fill(saver, 4)
    fill(saver, 3, ns="inner")
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    before = thread_info(saver).bytes
    document = cli("prune", "thread", "--keep", "2", "--json").json
    (removal,) = document["removals"]
    assert set(removal) == {"thread_id", "outcome", "updated", "checkpoints", "bytes", "lease", "selected"}
    assert set(removal["selected"][0]) == {"checkpoint_ns", "checkpoint_id", "stored", "writes", "bytes"}
    selected = [(each["checkpoint_ns"], each["checkpoint_id"], each["writes"]) for each in removal["selected"]]
    assert selected == [("", "c0", 1), ("", "c1", 0), ("inner", "c0", 0)]
    assert [line.split()[-1] for line in cli("prune", "thread", "--keep", "2").out.splitlines()[2:5]] == ["B"] * 3
    assert thread_info(saver).bytes == before
    done = cli("prune", "thread", "--keep", "2", "--yes", "--json").json
    assert (done["checkpoints"], done["bytes"]) == (3, document["bytes"])
    assert thread_info(saver).bytes == before - document["bytes"]
    assert ids(saver.list(at(ns="inner"))) == ["c2", "c1"]


def test_old_checkpoints_are_pruned_and_the_newest_stays(store, saver, cli):
    fill(saver, 5)
    make_older(store, saver, 8 * 86_400, only=["c0", "c1", "c2"])
    fill(saver, 2, "other")
    make_older(store, saver, 8 * 86_400, "other")
    ended = cli("prune", "--all", "--older-than", "7d", "--yes")
    assert "Pruned 4 checkpoints of 2 threads" in ended.out
    assert ids(saver.list(at())) == ["c4", "c3"]
    assert ids(saver.list(at("other"))) == ["c1"]
    assert "Nothing was pruned" in cli("prune", "--all", "--older-than", "7d", "--yes").out


def test_old_checkpoints_are_pruned_except_as_many_as_are_kept(store, saver, cli):
    fill(saver, 5)
    make_older(store, saver, 8 * 86_400)
    assert cli("prune", "thread", "--older-than", "7d", "--keep", "3", "--yes", "--json").json["checkpoints"] == 2
    assert ids(saver.list(at())) == ["c4", "c3", "c2"]
    assert cli("prune", "thread", "--older-than", "9d", "--keep", "0", "--yes", "--json").json["checkpoints"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete"],
        ["delete", "--match", ""],
        ["delete", "a", "--idle", "7"],
        ["delete", "a", "--idle", "0s"],
        ["delete", "a", "--idle", "-1d"],
        ["prune", "a"],
        ["prune", "--keep", "3"],
        ["prune", "a", "--all", "--keep", "3"],
        ["prune", "a", "--keep", "-1"],
        ["prune", "a", "--older-than", "soon"],
        ["prune", "a", "--older-than", "99999999999999999999w"],
    ],
)
def test_unclear_options_are_refused(saver, cli, arguments):
    fill(saver, 3, "a")
    assert cli(*arguments, "--yes").code == 2
    assert everything_of(saver) == {"a": 3}


def test_many_threads_are_summarized_within_80_columns(saver, cli):
    for number in range(35):
        fill(saver, 2, f"thread-{number:02}-" + "x" * 80)
    for command in (["delete", "--match", "thread"], ["prune", "--all", "--keep", "1"]):
        ended = cli(*command, columns=80)
        lines = ended.out.splitlines()
        assert len(lines) < 40
        assert max(map(len, lines)) <= 80
        assert "and 5 more" in ended.err
        assert "35 threads" in lines[-1]


def test_threads_of_a_cluster_are_pruned_and_deleted(cluster_store):
    saver = cluster_store.open_bare()
    for number in range(20):
        fill(saver, 3, f"t{number}")
    options = options_of(cluster_store)
    document = run(*options, "prune", "--all", "--keep", "1", "--yes", "--json").json
    assert (document["threads"], document["checkpoints"]) == (20, 40)
    make_idle(cluster_store, saver, 7200, "t3")
    assert run(*options, "delete", "--idle", "1h", "--yes", "--json").json["threads"] == 1
    assert len(everything_of(saver)) == 19
    assert run(*options, "delete", "--match", "t", "--yes", "--json").json["threads"] == 19
    assert everything_of(saver) == {}
