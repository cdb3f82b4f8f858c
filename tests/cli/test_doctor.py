"""``doctor``."""

from __future__ import annotations

import json

import pytest
from support.commands import options_of, run
from support.data import fill, thread_ids
from support.servers import free_port

KEYS = {"store", "prefix", "quick", "fix", "problems", "warnings", "threads", "checkpoints", "bytes", "findings"}
FINDING = {"check", "level", "message", "fix", "nodes", "items", "fixable", "fixed"}


@pytest.fixture
def durable(new_server):
    """A server without any fault, and the options that name it."""
    server = new_server("--appendonly", "yes")
    return server, ["--url", server.url]


def test_a_sound_store(saver, cli, store):
    fill(saver, 3, "a")
    document = cli("doctor", "--json").json
    assert set(document) == KEYS
    assert (document["problems"], document["threads"], document["checkpoints"]) == (0, 1, 3)
    assert all(set(each) == FINDING for each in document["findings"])
    ended = cli("doctor")
    assert ended.code == 0
    assert "threads, read" in ended.out or "1 thread, read" in ended.out


def test_all_is_well(durable):
    ended = run(*durable[1], "doctor")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1].strip() == "All is well."


def test_problems_end_with_1_and_are_shown_with_their_fix(store, saver, cli):
    if store.kind == "sqlite":
        return
    fill(saver, 3, "a b")
    fill(saver, 3, "c")
    store.client().delete(f"{store.prefix}:{{a b}}:checkpoints")
    ended = cli("doctor")
    assert ended.code == 1
    assert "zerograph-redis delete 'a b' --yes" in ended.out
    assert ended.out.splitlines()[-1].startswith("1 problem, ")
    ended = cli("doctor", "--json")
    assert ended.code == 1
    document = json.loads(ended.out)
    assert document["problems"] == 1
    (finding,) = [each for each in document["findings"] if each["level"] == "problem"]
    assert (finding["check"], finding["fixable"]) == ("threads", False)
    assert finding["items"][0].startswith("a b: ")
    assert cli("delete", "a b", "--yes").code == 0
    assert cli("doctor").code == 0


def test_what_is_fixed_is_reported_and_a_second_run_is_clean(durable, new_server):
    server, options = durable
    from zerograph_redis import RedisSaver

    with server.client() as client, RedisSaver(client, ttl=1000) as saver:
        fill(saver, 3, "a")
        fill(saver, 3, "b")
        client.zrem("zerograph:threads", "a")
        client.zadd("zerograph:threads", {"gone": 1})
        client.persist("zerograph:{b}:index")
        client.hset("zerograph:{x}:copy:token:thread", "f", 1)
        ended = run(*options, "doctor")
        assert ended.code == 1
        assert ended.out.splitlines()[-1].strip() == "2 problems, 1 warning."
        ended = run(*options, "doctor", "--fix")
        assert ended.code == 0
        assert ended.out.splitlines()[-1].strip() == "All is well, 3 fixed."
        document = run(*options, "doctor", "--json").json
        assert (document["problems"], document["warnings"]) == (0, 0)
        assert sorted(thread_ids(saver)) == ["a", "b"]
        assert not client.exists("zerograph:{x}:copy:token:thread")


def test_a_server_that_evicts_is_a_problem(new_server):
    server = new_server("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru")
    ended = run("--url", server.url, "doctor", "--json")
    assert ended.code == 1
    (finding,) = [each for each in json.loads(ended.out)["findings"] if each["level"] != "ok"]
    assert (finding["check"], finding["level"]) == ("eviction", "problem")


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:{}/0",
        "sqlite:///nowhere.db",
        pytest.param("redis+cluster://127.0.0.1:{}", marks=pytest.mark.full),
    ],
)
def test_a_store_that_is_out_of_reach_ends_with_3(url):
    ended = run("--url", url.format(free_port()), "doctor", "--json")
    assert ended.code == 3
    document = json.loads(ended.out)
    assert set(document) == KEYS
    assert [each["check"] for each in document["findings"]] == ["reachable"]


def test_quick_reads_no_contents(saver, cli, store):
    fill(saver, 3, "a")
    document = cli("doctor", "--quick", "--json").json
    assert document["quick"] is True
    assert "logs" not in {each["check"] for each in document["findings"]}


def test_the_table_fits_80_columns_and_ids_are_escaped(saver, cli, store):
    if store.kind == "sqlite":
        return
    name = "\x1b[31m[bold]" + "x" * 200
    fill(saver, 3, name)
    (key,) = [each for each in store.all_keys() if each.endswith(b":index")]
    store.client().delete(key)
    ended = cli("doctor", columns=80)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "\x1b" not in ended.out
    assert r"\x1b[31m[bold]" in ended.out


def test_a_cluster_is_checked(cluster_store):
    saver = cluster_store.open_bare()
    for number in range(10):
        fill(saver, 2, f"t{number}")
    document = run(*options_of(cluster_store), "doctor", "--json").json
    assert (document["problems"], document["threads"]) == (0, 10)


def test_memory_is_checked():
    assert run("--url", "memory://", "doctor", "--json").json["problems"] == 0
