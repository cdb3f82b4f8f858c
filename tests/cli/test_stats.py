"""``stats``."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from support.commands import options_of, run
from support.data import at, fill, state, thread_info

HISTORY = [f"message {number} " * 30 for number in range(60)]


def chat(saver, thread, steps=20, **more):
    for number in range(steps):
        saver.put(at(thread, **more), state(f"c{number}", messages=HISTORY[: number + 20]), {})


def test_a_store_in_numbers(saver, cli):
    chat(saver, "a")
    chat(saver, "b", steps=5, ttl=3600)
    fill(saver, 3, "c")
    document = cli("stats", "--json").json
    infos = [thread_info(saver, name) for name in "abc"]
    assert set(document) == {
        "store", "prefix", "taken", "threads", "checkpoints", "bytes", "threads_with_ttl", "threads_held",
        "threads_damaged", "savings", "largest", "growth",
    }  # fmt: skip
    assert (document["threads"], document["checkpoints"]) == (3, 28)
    assert document["bytes"] == sum(each.bytes for each in infos)
    assert (document["threads_with_ttl"], document["threads_held"], document["threads_damaged"]) == (1, 0, 0)
    assert [each["thread_id"] for each in document["largest"]] == ["a", "b", "c"]
    assert document["growth"] is None
    assert abs((datetime.fromisoformat(document["taken"]) - datetime.now().astimezone()).total_seconds()) < 60


def test_the_savings_are_counted_against_whole_states(saver, cli):
    chat(saver, "a")
    savings = cli("stats", "--json").json["savings"]
    packed = saver.store.settings.serializer
    whole = sum(len(packed.pack(each.checkpoint)) for each in saver.list(at("a"), limit=None))
    assert whole <= savings["whole_bytes"] < whole * 1.1
    assert savings["stored_bytes"] <= thread_info(saver, "a").bytes
    assert savings["saved_bytes"] == savings["whole_bytes"] - savings["stored_bytes"] > 0.8 * whole
    assert (savings["exact"], savings["threads"]) == (True, 1)


def test_growth_is_counted_since_the_last_call(saver, cli):
    fill(saver, 3, "a")
    first = cli("stats", "--json").json
    fill(saver, 2, "b")
    second = cli("stats", "--json").json
    growth = second["growth"]
    assert set(growth) == {"since", "seconds", "threads", "checkpoints", "bytes"}
    assert (growth["threads"], growth["checkpoints"]) == (1, 2)
    assert growth["bytes"] == second["bytes"] - first["bytes"] == thread_info(saver, "b").bytes
    assert growth["since"] == first["taken"]
    saver.delete_thread("a")
    assert "-1 thread, -3 checkpoints, -" in cli("stats").out
    assert "none in " in cli("stats").out


def test_each_store_is_remembered_by_itself_and_without_its_password(saver, cli, store, state_home, new_server):
    cli("stats")
    server = new_server(password="hunter2")
    for prefix in ("p", "q"):
        options = ["--url", server.url, "--prefix", prefix, "stats", "--json"]
        assert run(*options).json["growth"] is None
        assert run(*options).json["growth"]["threads"] == 0
    kept = list((state_home / "zerograph-redis").iterdir())
    assert len(kept) == 3
    assert not [each for each in kept if "hunter2" in each.read_text()]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"store": "x"}'])
def test_an_unreadable_snapshot_of_the_last_call_is_replaced(cli, state_home, content):
    cli("stats")
    (path,) = (state_home / "zerograph-redis").iterdir()
    path.write_text(content)
    assert cli("stats", "--json").json["growth"] is None
    assert cli("stats", "--json").json["growth"] is not None


def test_a_state_directory_that_cannot_be_written_is_a_note_and_no_error(cli, state_home):
    state_home.write_text("a file is in the way")
    ended = cli("stats", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["growth"] is None
    assert "remembered" in ended.err


def test_threads_that_are_held_or_damaged_are_counted(store, saver, cli):
    fill(saver, 3, "a")
    fill(saver, 3, "b")
    with saver.lease("a"):
        document = cli("stats", "--json").json
        assert document["threads_held"] == 1
        assert heads(cli("stats"))[:3] == ["store", "threads", "held"]
    if store.kind != "sqlite":
        store.client().delete(f"{store.prefix}:{{b}}:checkpoints")
        document = cli("stats", "--json").json
        assert (document["threads"], document["threads_damaged"], document["savings"]["threads"]) == (2, 1, 1)
        assert "damaged" in cli("stats").out


def test_of_many_threads_the_savings_are_those_of_a_sample(saver, cli, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.inspect.statistics.EXACT", 50)
    monkeypatch.setattr("zerograph_redis.tools.inspect.statistics.SAMPLE", 10)
    for number in range(30):
        chat(saver, f"t{number}", steps=4)
    exact = cli("stats", "--exact", "--json").json["savings"]
    assert (exact["exact"], exact["threads"]) == (True, 30)
    sampled = cli("stats", "--json").json["savings"]
    assert (sampled["exact"], sampled["threads"]) == (False, 10)
    assert sampled["whole_bytes"] == pytest.approx(exact["whole_bytes"], rel=0.1)
    assert "by a sample of 10 threads" in cli("stats").out


def test_rows_of_zeros_are_left_out_but_not_of_json(cli, saver):
    document = cli("stats", "--json").json
    assert (document["threads"], document["bytes"], document["largest"]) == (0, 0, [])
    assert document["savings"] == {"whole_bytes": 0, "stored_bytes": 0, "saved_bytes": 0, "threads": 0, "exact": True}
    assert heads(cli("stats")) == ["store", "threads", "growth"]
    fill(saver, 1, "a")
    page = cli("stats")
    assert heads(page)[:4] == ["store", "threads", "checkpoints", "stored"]
    assert next(line for line in page.out.splitlines() if line.startswith("threads")).split() == ["threads", "1"]


def heads(page):
    """The first words of the lines before the table."""
    return [line.split()[0] for line in page.out.partition("\n\n")[0].splitlines()]


def test_the_largest_are_as_many_as_asked_for(saver, cli):
    for number in range(12):
        chat(saver, f"t{number}", steps=number + 1)
    named = [each["thread_id"] for each in cli("stats", "--largest", "3", "--json").json["largest"]]
    assert named == ["t11", "t10", "t9"]
    assert len(cli("stats", "--json").json["largest"]) == 10
    assert cli("stats", "--largest", "0", "--json").json["largest"] == []


def test_the_page_fits_80_columns(saver, cli):
    chat(saver, "x" * 200)
    assert max(map(len, cli("stats", columns=80).out.splitlines())) <= 80


def test_a_memory_store_is_counted_and_not_remembered(state_home):
    assert run("--url", "memory://", "stats", "--json").json["threads"] == 0
    assert not state_home.exists()


def test_a_cluster_is_counted(cluster_store):
    saver = cluster_store.open_bare()
    for number in range(20):
        chat(saver, f"t{number}", steps=3)
    document = run(*options_of(cluster_store), "stats", "--json").json
    assert (document["threads"], document["checkpoints"], document["savings"]["exact"]) == (20, 60, True)


def test_a_relative_state_home_is_ignored(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cli("stats")
    assert list((tmp_path / "home/.local/state/zerograph-redis").glob("stats-*.json"))
