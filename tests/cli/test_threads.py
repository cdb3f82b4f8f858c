"""``threads``."""

from __future__ import annotations

from datetime import datetime

import pytest
from rich.cells import cell_len
from support.commands import options_of, run, run_process


def put(saver, thread, namespace="", **more):
    config = {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, **more}}
    return saver.put(config, {"channel_values": {"text": "x" * 1000}}, {"source": "loop", "step": 1})


def test_threads_are_listed_newest_activity_first(saver, cli):
    for name in ("first", "second", "third"):
        put(saver, name)
    put(saver, "first", "inner", ttl=3600)
    lines = [line.split() for line in cli("threads").out.splitlines()]
    assert lines[0] == ["thread", "active", "checkpoints", "namespaces", "size", "ttl"]
    assert [line[0] for line in lines[2:]] == ["first", "third", "second"]
    assert lines[2][-6:-4] == ["2", "2"]
    assert lines[2][-2:] == ["59", "min"]


def test_json_has_every_fact(saver, cli):
    put(saver, "a")
    put(saver, "b", ttl=100)
    document = cli("threads", "--json").json
    assert document["next"] is None
    newest, oldest = document["threads"]
    assert set(newest) == {"thread_id", "created", "updated", "checkpoints", "namespaces", "bytes", "ttl", "lease"}
    assert (newest["thread_id"], oldest["thread_id"]) == ("b", "a")
    assert 0 < newest["ttl"] <= 100
    assert oldest["ttl"] is None
    assert newest["bytes"] > 1000
    assert datetime.fromisoformat(newest["updated"]).utcoffset().total_seconds() == 0


def test_match_lists_only_ids_that_begin_with_it(saver, cli):
    for name in ("user-1", "user-2", "userx", "system", "a-user-1", "user*"):
        put(saver, name)

    def matching(prefix):
        return {each["thread_id"] for each in cli("threads", "--match", prefix, "--json").json["threads"]}

    assert matching("user-") == {"user-1", "user-2"}
    assert matching("user*") == {"user*"}
    assert matching("none") == set()


@pytest.mark.parametrize("match", ["", "t"])
def test_pages_have_each_thread_once(saver, cli, match):
    names = [f"t{number}" for number in range(25)]
    for name in names:
        put(saver, name)
    found, after = [], []
    while True:
        page = cli("threads", "--limit", "10", "--match", match, "--json", *after).json
        found += [each["thread_id"] for each in page["threads"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert found == names[::-1]


def test_a_page_names_the_option_for_the_next_one(saver, cli):
    for name in "abc":
        put(saver, name)
    page = cli("threads", "--limit", "2")
    assert "--after 'b'" in page.err
    assert cli("threads", "--limit", "3").err == ""


def test_a_thread_that_is_held_names_its_holder(saver, cli):
    put(saver, "free")
    put(saver, "held")
    assert "holder" not in cli("threads").out
    with saver.lease("held", ttl=3600, owner="worker\x1b-1"):
        lines = cli("threads").out.splitlines()
        assert lines[2].split()[-3:] == [r"worker\x1b-1,", "59", "min"]
        assert lines[3].split()[-1] == "never"
        held, free = cli("threads", "--json").json["threads"]
    assert free["lease"] is None
    assert held["lease"]["owner"] == "worker\x1b-1"
    assert 3500 < held["lease"]["seconds_left"] <= 3600


def test_a_list_without_threads_says_what_was_searched(saver, cli):
    ended = cli("threads")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("No threads in ")
    put(saver, "a")
    assert cli("threads", "--match", "zzz").err.startswith("No thread id begins with 'zzz' in ")
    assert cli("threads", "--match", "zzz", "--after", "a").err.startswith(
        "No thread id begins with 'zzz' after 'a' in "
    )
    assert cli("threads", "--after", "a").err.startswith("No threads after 'a' in ")


def test_ids_never_control_the_terminal(saver, cli):
    put(saver, "\x1b[31mred[/] [bold]x")
    shown = cli("threads").out
    assert r"\x1b[31mred[/] [bold]x" in shown
    assert cli("threads", "--json").json["threads"][0]["thread_id"] == "\x1b[31mred[/] [bold]x"


def test_listing_renews_no_ttl(store, saver, cli):
    put(saver, "a", ttl=1000)
    before = saver.list_threads()[0].ttl
    assert cli("threads", "--json").json["threads"][0]["ttl"] <= before


def test_the_table_fits_80_columns(saver, cli):
    put(saver, "a-very-long-name-" * 10)
    lines = cli("threads", columns=80).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" in lines[2]
    assert lines[2].split()[-1] == "never"


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_each_thread_has_one_line_whatever_its_id(saver, cli, columns):
    for thread in ("长" * 100, "x" * 300, "short", "tail-" * 40 + "end"):
        put(saver, thread)
    lines = cli("threads", columns=columns).out.splitlines()
    assert len(lines) == 6
    assert max(map(cell_len, lines)) <= columns
    assert "end " in lines[2]
    assert all(line.endswith("never") for line in lines[2:])
    with saver.lease("short", ttl=3600, owner="a-worker-with-a-long-name-" * 5):
        lines = cli("threads", columns=columns).out.splitlines()
    assert len(lines) == 6
    assert max(map(cell_len, lines)) <= columns
    assert columns == 60 or lines[3].endswith(", 59 min")


def test_a_pipe_gets_every_id_whole(saver, cli, store, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    names = {"x" * 500, "长" * 200, "short"}
    for thread in names:
        put(saver, thread)
    with saver.lease("short", owner="worker-" * 60):
        ended = run_process(*options_of(store), "threads")
    assert {line.split()[0] for line in ended.out.splitlines()[2:]} == names
    assert "worker-" * 60 in ended.out
    assert not [line for line in ended.out.splitlines() if line.endswith(" ")]


def test_a_cluster_lists_its_threads(cluster_store):
    put(cluster_store.open_bare(), "on-a-cluster")
    document = run(*options_of(cluster_store), "threads", "--json").json
    assert [each["thread_id"] for each in document["threads"]] == ["on-a-cluster"]
