"""A checkup tells whether a server, or the file of a database, is fit to keep checkpoints: each fault is a real one."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from support.checking import amiss, levels, look
from support.data import at, fill, state
from support.polling import until
from support.rights import rights_of

from zerograph_redis import RedisSaver, SqliteSaver
from zerograph_redis.tools.diagnose import nodes as asked
from zerograph_redis.tools.diagnose.nodes import Node
from zerograph_redis.tools.diagnose.rights import COMMANDS
from zerograph_redis.tools.diagnose.servers import judge_nodes

LUA = Path(asked.__file__).parents[1] / "lua"


@pytest.fixture
def opened():
    """Open savers on urls, to be closed."""
    made = []

    def open_saver(url, **options):
        made.append(RedisSaver.from_url(url, refresh_on_read=False, **options))
        return made[-1]

    yield open_saver
    for each in made:
        each.close()


def told(saver):
    return amiss(look(saver).around)


def test_a_server_with_an_append_only_file_is_in_order(new_server, opened):
    server = new_server("--appendonly", "yes")
    saver = opened(server.url)
    fill(saver, 3)
    report = look(saver)
    assert amiss(report.findings) == {}
    checked = [each.check for each in report.around]
    assert sorted(checked) == [
        "clock", "eviction", "latency", "memory", "persistence", "reachable", "replicas", "rights", "role", "version",
        "writes",
    ]  # fmt: skip


def test_looking_leaves_nothing_behind(new_server, opened):
    server = new_server()
    saver = opened(server.url)
    fill(saver, 3)
    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        look(saver)
        assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_a_server_that_does_not_answer_is_told(new_server, opened):
    server = new_server()
    saver = opened(server.url)
    server.stop()
    report = look(saver)
    assert levels(report.findings) == {"reachable": "problem"}
    assert not report.is_reachable


def test_a_wrong_password_is_told_without_it(new_server, opened):
    server = new_server(password="hunter2")
    report = look(opened(server.url.replace("hunter2", "swordfish")))
    finding = amiss(report.findings)["reachable"]
    assert "swordfish" not in finding.what


@pytest.mark.parametrize(
    ("options", "level"),
    [
        (["--save", ""], "warning"),
        (["--save", "3600 1"], "warning"),
        (["--appendonly", "yes", "--save", ""], None),
        (["--appendonly", "yes", "--save", "3600 1"], None),
    ],
)
def test_what_a_restart_or_a_crash_loses_is_told(new_server, opened, options, level):
    found = told(opened(new_server(*options).url))
    assert {name: each.level for name, each in found.items()} == ({"persistence": level} if level else {})


@pytest.mark.parametrize("goes_on", [True, False])
def test_snapshots_that_fail_are_told(new_server, opened, goes_on):
    server = new_server("--save", "3600 1", *(["--stop-writes-on-bgsave-error", "no"] if goes_on else []))
    with server.client() as client:
        shutil.rmtree(server.directory)
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    found = told(opened(server.url))
    assert {name: each.level for name, each in found.items()} == {"persistence" if goes_on else "reachable": "problem"}
    assert goes_on or "MISCONF" in found["reachable"].what
    server.directory.mkdir()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_told(new_server, opened, policy):
    server = new_server("--appendonly", "yes", "--maxmemory-policy", policy)
    found = told(opened(server.url))
    assert {name: each.level for name, each in found.items()} == {"eviction": "problem"}
    assert policy in found["eviction"].what
    assert "noeviction" in found["eviction"].mend


def test_keys_that_were_evicted_are_told_afterwards_too_and_what_they_broke(new_server, opened):
    server = new_server("--appendonly", "yes", "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-random")
    saver = opened(server.url)
    with server.client() as client:

        def is_evicting():
            for number in range(20):
                try:
                    saver.put(at(f"t{client.dbsize()}-{number}"), state("c0", text=os.urandom(8000)), {})
                except Exception:  # noqa: BLE001 - what was evicted may be in the way
                    pass
            return client.info("stats")["evicted_keys"] > 50

        until(is_evicting, seconds=30)
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
    report = look(saver)
    assert levels(report.around) == {"eviction": "warning"}
    broken = amiss(report.within)
    assert broken["threads"].level == "problem"
    assert set(broken) <= {"threads", "list"}


def test_a_server_whose_memory_is_nearly_full_or_full_is_told(new_server, opened):
    server = new_server("--appendonly", "yes")
    with server.client() as client:
        most = client.info("memory")["used_memory"] + 60_000_000
        client.config_set("maxmemory", most)
        number = 0
        while client.info("memory")["used_memory"] < 0.92 * most:
            number += 1
            client.set(number, "x" * 500_000)
        saver = opened(server.url)
        assert levels(look(saver).around) == {"memory": "warning"}
        client.config_set("maxmemory", 1_000_000)
        assert levels(look(saver).around) == {"memory": "problem", "writes": "problem"}


def test_a_replica_is_not_what_a_saver_wants(new_server, opened):
    primary, replica = new_server("--appendonly", "yes"), new_server("--appendonly", "yes")
    fill(opened(primary.url), 2)
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
        found = told(opened(replica.url))
    assert {name: each.level for name, each in found.items()} == {"role": "problem", "writes": "problem"}
    assert f"127.0.0.1:{primary.port}" in found["role"].mend
    assert "read only" in found["writes"].what


def test_replicas_that_stop_or_hang_are_told(new_server, opened):
    primary, replica = new_server("--save", "3600 1", "--repl-diskless-sync-delay", "0"), new_server()
    saver = opened(primary.url)
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    with primary.client() as client:
        until(lambda: client.info("replication")["slave0"]["state"] == "online")
        # Snapshots and a replica: neither a crash nor a restart takes all.
        assert levels(look(saver).around) == {}
        replica.process.send_signal(signal.SIGSTOP)
        until(lambda: client.info("replication")["slave0"]["lag"] > 6, seconds=30, pause=0.2)
        found = told(saver)
        assert (set(found), found["replicas"].level) == ({"replicas"}, "warning")
        assert "silent" in found["replicas"].what
        replica.process.send_signal(signal.SIGCONT)
        replica.stop()
        until(lambda: client.info("replication")["connected_slaves"] == 0)
        found = told(saver)
        assert found["replicas"].level == "warning"
        assert "has none now" in found["replicas"].what
        client.config_set("min-replicas-to-write", 1)
        found = told(saver)
        assert {found[name].level for name in ("replicas", "writes")} == {"problem"}


@pytest.mark.parametrize("missing", ["hscan", "evalsha", "zrevrangebyscore", "unlink", "time"])
def test_a_right_that_is_missing_is_told_with_the_command_that_gives_it(new_server, opened, missing):
    server = new_server("--appendonly", "yes")
    url = server.url.replace("://", "://worker:secret@")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", f"-{missing}")
        saver = opened(url)
        found = amiss(look(saver).findings)
        assert found["rights"].level == "problem"
        assert found["rights"].what == f"the user 'worker' may not run {missing}"
        client.execute_command(*found["rights"].mend.split())
        assert levels(look(saver).findings) == {}


def test_a_prefix_that_a_user_may_not_use_is_told(new_server, opened):
    server = new_server("--appendonly", "yes")
    url = server.url.replace("://", "://worker:secret@")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~other:*", "+@all")
        saver = opened(url)
        found = amiss(look(saver).findings)
        assert "prefix zerograph" in found["rights"].what
        client.execute_command(*found["rights"].mend.split())
        assert levels(look(saver).findings) == {}


def test_the_user_of_the_documentation_may_do_all_and_is_told_what_cannot_be_seen(new_server, opened):
    server = new_server("--appendonly", "yes")
    with server.client() as client:
        client.execute_command(*rights_of("worker", "zerograph"))
        saver = opened(server.url.replace("://", "://worker:password@"))
        fill(saver, 3)
        report = look(saver)
        assert levels(report.around) == {"insight": "warning"}
        assert levels(report.within) == {"keys": "warning"}
        assert report.tally.threads == 1
        client.execute_command("ACL", "SETUSER", "worker", "+info", "+config|get", "+scan")
        assert levels(look(saver).findings) == {}


def test_every_command_of_the_scripts_is_tried():
    called = {
        name.lower() for script in LUA.glob("*.lua") for name in re.findall(r"redis\.call\('(\w+)'", script.read_text())
    }
    assert called <= set(COMMANDS)
    said = {each.removeprefix("+") for each in rights_of("worker", "p") if each.startswith("+") and "@" not in each}
    assert set(COMMANDS) == said


def test_a_clock_that_differs_is_told(new_server, opened, monkeypatch):
    saver = opened(new_server("--appendonly", "yes").url)
    real = asked.time
    for shift, word in ((-30, "ahead of"), (30, "behind")):
        monkeypatch.setattr(asked, "time", lambda shift=shift: real() + shift)
        found = told(saver)
        assert set(found) == {"clock"}
        assert f"{word} this machine's" in found["clock"].what
        assert re.search(r"\b(29|30)\.\d s", found["clock"].what)


def facts(name="a:1", **info):
    sound = {"redis_version": "7.2.4", "role": "master", "aof_enabled": 1, "maxmemory_policy": "noeviction"}
    return Node(name, None, latency=0.0002, info={**sound, **info})


def test_what_no_server_here_can_be_is_judged_by_what_it_would_say():
    assert levels(judge_nodes([facts()])) == {}
    assert levels(judge_nodes([facts(redis_version="6.2.14")])) == {"version": "problem"}
    assert levels(judge_nodes([facts(redis_version="7.2.4", valkey_version="8.0.1")])) == {}
    assert levels(judge_nodes([facts(loading=1)])) == {"role": "problem"}
    assert levels(judge_nodes([facts(aof_last_write_status="err")])) == {"persistence": "problem"}
    slow = facts()
    slow.latency = 0.05
    assert levels(judge_nodes([slow])) == {"latency": "warning"}
    late = facts("b:1")
    right = facts()
    right.offset, late.offset = 0.0, -4.0
    found = amiss(judge_nodes([right, late]))
    assert found["clock"].nodes == ["b:1", "a:1"]


def test_what_holds_for_several_servers_is_said_once():
    found = judge_nodes([facts("a:1"), facts("b:1"), facts("c:1", maxmemory_policy="allkeys-lru")])
    eviction = [each for each in found if each.check == "eviction"]
    assert [(each.level, each.nodes) for each in eviction] == [("ok", ["a:1", "b:1"]), ("problem", ["c:1"])]


def test_a_file_in_order(tmp_path):
    with SqliteSaver(tmp_path / "c.db") as saver:
        fill(saver, 3)
        report = look(saver)
        assert amiss(report.findings) == {}
        assert [each.check for each in report.around] == ["integrity", "journal", "rows", "size"]


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "c.db"
    with SqliteSaver(path) as saver:
        for number in range(200):
            saver.put(at(f"thread-{number}"), state("c0", text="x" * 300), {})
    data = bytearray(path.read_bytes())
    # An entry of an index is changed: rows that it should find are not found.
    place = data.rindex(b"thread-150")
    data[place : place + 10] = b"thread-xxx"
    path.write_bytes(data)
    with SqliteSaver(path) as saver:
        found = amiss(look(saver).findings)
        assert found["integrity"].level == "problem"
        assert found["integrity"].items


def test_a_database_that_cannot_be_read_is_told(tmp_path):
    path = tmp_path / "c.db"
    with SqliteSaver(path) as saver:
        for number in range(200):
            saver.put(at(f"thread-{number}"), state("c0", text="x" * 3000), {})
    data = bytearray(path.read_bytes())
    data[8192 : len(data) // 2] = bytes(len(data) // 2 - 8192)
    path.write_bytes(data)
    with SqliteSaver(path) as saver:
        assert "problem" in levels(look(saver).findings).values()


def test_a_write_ahead_log_that_a_reader_keeps_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.diagnose.files._LARGE", 100_000)
    with SqliteSaver(tmp_path / "c.db") as saver, SqliteSaver(tmp_path / "c.db") as reader:
        fill(saver, 1)

        def read(connection):
            connection.execute("SELECT * FROM zerograph_redis_threads").fetchall()
            for number in range(60):
                saver.put(at(), state(f"c{number}", text=f"{number}" * 30_000), {})
                saver.prune("thread", 1)
            assert levels(look(saver).around) == {"size": "warning"}

        reader.store.backend.read(read)
