"""A checkup reports whether a server, or a SQLite file, is fit to keep checkpoints: each fault is a real one."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from support.checking import amiss, check, levels
from support.data import at, fill, state
from support.polling import until
from support.rights import rights_of

import zerograph_redis
from zerograph_redis import RedisSaver, SqliteSaver
from zerograph_redis.tools.diagnose import servers
from zerograph_redis.tools.diagnose.rights import COMMANDS
from zerograph_redis.tools.diagnose.servers import Node, judge_nodes

LUA = Path(zerograph_redis.__file__).parent / "lua"


@pytest.fixture
def opened():
    """Open savers on URLs, and close them in the end."""
    made = []

    def open_saver(url, **options):
        made.append(RedisSaver.from_url(url, refresh_on_read=False, **options))
        return made[-1]

    yield open_saver
    for each in made:
        each.close()


def faults(saver):
    return amiss(check(saver).place)


def test_a_server_with_an_append_only_file_is_ok(new_server, opened):
    server = new_server("--appendonly", "yes")
    saver = opened(server.url)
    fill(saver, 3)
    diagnosis = check(saver)
    assert amiss(diagnosis.findings) == {}
    checks = [each.check for each in diagnosis.place]
    assert sorted(checks) == [
        "clock", "eviction", "latency", "memory", "persistence", "reachable", "replicas", "rights", "role", "version",
        "writes",
    ]  # fmt: skip


def test_a_checkup_leaves_nothing_behind(new_server, opened):
    server = new_server()
    saver = opened(server.url)
    fill(saver, 3)
    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        check(saver)
        assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_a_server_that_does_not_answer_is_reported(new_server, opened):
    server = new_server()
    saver = opened(server.url)
    server.stop()
    diagnosis = check(saver)
    assert levels(diagnosis.findings) == {"reachable": "problem"}
    assert not diagnosis.is_reachable


def test_a_wrong_password_is_reported_without_it(new_server, opened):
    server = new_server(password="hunter2")
    diagnosis = check(opened(server.url.replace("hunter2", "swordfish")))
    finding = amiss(diagnosis.findings)["reachable"]
    assert "swordfish" not in finding.message


@pytest.mark.parametrize(
    ("options", "level"),
    [
        (["--save", ""], "warning"),
        (["--save", "3600 1"], "warning"),
        (["--appendonly", "yes", "--save", ""], None),
        (["--appendonly", "yes", "--save", "3600 1"], None),
    ],
)
def test_what_a_restart_or_a_crash_loses_is_reported(new_server, opened, options, level):
    found = faults(opened(new_server(*options).url))
    assert {name: each.level for name, each in found.items()} == ({"persistence": level} if level else {})


@pytest.mark.parametrize("writable", [True, False])
def test_failed_snapshots_are_reported(new_server, opened, writable):
    server = new_server("--save", "3600 1", *(["--stop-writes-on-bgsave-error", "no"] if writable else []))
    with server.client() as client:
        shutil.rmtree(server.directory)
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    found = faults(opened(server.url))
    assert {name: each.level for name, each in found.items()} == {"persistence" if writable else "reachable": "problem"}
    assert writable or "MISCONF" in found["reachable"].message
    server.directory.mkdir()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_reported(new_server, opened, policy):
    server = new_server("--appendonly", "yes", "--maxmemory-policy", policy)
    found = faults(opened(server.url))
    assert {name: each.level for name, each in found.items()} == {"eviction": "problem"}
    assert policy in found["eviction"].message
    assert "noeviction" in found["eviction"].fix


def test_evicted_keys_are_reported_later_too_with_the_threads_that_they_damaged(new_server, opened):
    server = new_server("--appendonly", "yes", "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-random")
    saver = opened(server.url)
    with server.client() as client:

        def is_evicting():
            for number in range(20):
                try:
                    saver.put(at(f"t{client.dbsize()}-{number}"), state("c0", text=os.urandom(8000)), {})
                except Exception:  # noqa: BLE001 - evicted keys may make it fail
                    pass
            return client.info("stats")["evicted_keys"] > 50

        until(is_evicting, seconds=30)
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
    diagnosis = check(saver)
    assert levels(diagnosis.place) == {"eviction": "warning"}
    damage = amiss(diagnosis.stored)
    assert damage["threads"].level == "problem"
    assert set(damage) <= {"threads", "index"}


def test_memory_that_is_full_or_nearly_is_reported(new_server, opened):
    server = new_server("--appendonly", "yes")
    with server.client() as client:
        most = client.info("memory")["used_memory"] + 60_000_000
        client.config_set("maxmemory", most)
        number = 0
        while client.info("memory")["used_memory"] < 0.92 * most:
            number += 1
            client.set(number, "x" * 500_000)
        saver = opened(server.url)
        assert levels(check(saver).place) == {"memory": "warning"}
        client.config_set("maxmemory", 1_000_000)
        assert levels(check(saver).place) == {"memory": "problem", "writes": "problem"}


def test_a_saver_on_a_replica_is_reported(new_server, opened):
    primary, replica = new_server("--appendonly", "yes"), new_server("--appendonly", "yes")
    fill(opened(primary.url), 2)
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
        found = faults(opened(replica.url))
    assert {name: each.level for name, each in found.items()} == {"role": "problem", "writes": "problem"}
    assert f"127.0.0.1:{primary.port}" in found["role"].fix
    assert "read only" in found["writes"].message


@pytest.mark.full
def test_replicas_that_stop_or_hang_are_reported(new_server, opened):
    primary, replica = new_server("--save", "3600 1", "--repl-diskless-sync-delay", "0"), new_server()
    saver = opened(primary.url)
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    with primary.client() as client:
        until(lambda: client.info("replication")["slave0"]["state"] == "online")
        # With snapshots and a replica, neither a crash nor a restart loses all.
        assert levels(check(saver).place) == {}
        replica.process.send_signal(signal.SIGSTOP)
        until(lambda: client.info("replication")["slave0"]["lag"] > 6, seconds=30, pause=0.2)
        found = faults(saver)
        assert (set(found), found["replicas"].level) == ({"replicas"}, "warning")
        assert "silent" in found["replicas"].message
        replica.process.send_signal(signal.SIGCONT)
        replica.stop()
        until(lambda: client.info("replication")["connected_slaves"] == 0)
        found = faults(saver)
        assert found["replicas"].level == "warning"
        assert "has none now" in found["replicas"].message
        client.config_set("min-replicas-to-write", 1)
        found = faults(saver)
        assert {found[name].level for name in ("replicas", "writes")} == {"problem"}


REFUSED = ("hscan", "evalsha", "zrevrangebyscore", "unlink", "time")


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        *(
            (("~*", "+@all", f"-{name}"), f"run {name}")
            for name in ("hscan", "evalsha", "zrevrangebyscore", "unlink", "time")
        ),
        (("~other:*", "+@all"), "use keys of the prefix zerograph"),
    ],
)
def test_a_missing_right_is_reported_with_the_command_that_grants_it(new_server, opened, rights, missing):
    server = new_server("--appendonly", "yes")
    url = server.url.replace("://", "://worker:secret@")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", *rights)
        saver = opened(url)
        found = amiss(check(saver).findings)
        assert found["rights"].level == "problem"
        assert found["rights"].message == f"the user 'worker' may not {missing}"
        client.execute_command(*found["rights"].fix.split())
        assert levels(check(saver).findings) == {}


def test_the_documented_user_has_every_right_and_learns_what_cannot_be_checked(new_server, opened):
    server = new_server("--appendonly", "yes")
    with server.client() as client:
        client.execute_command(*rights_of("worker", "zerograph"))
        saver = opened(server.url.replace("://", "://worker:password@"))
        fill(saver, 3)
        diagnosis = check(saver)
        assert levels(diagnosis.place) == {"info": "warning"}
        assert levels(diagnosis.stored) == {"keys": "warning"}
        assert diagnosis.tally.threads == 1
        client.execute_command("ACL", "SETUSER", "worker", "+info", "+config|get", "+scan")
        assert levels(check(saver).findings) == {}


def test_every_command_of_the_scripts_is_tried():
    called = {
        name.lower() for script in LUA.glob("*.lua") for name in re.findall(r"redis\.call\('(\w+)'", script.read_text())
    }
    assert len(called) > 20
    assert called <= set(COMMANDS)
    documented = {
        each.removeprefix("+") for each in rights_of("worker", "p") if each.startswith("+") and "@" not in each
    }
    assert set(COMMANDS) == documented


def test_a_clock_that_differs_is_reported(new_server, opened, monkeypatch):
    saver = opened(new_server("--appendonly", "yes").url)
    real = servers.time
    for shift, word in ((-30, "ahead of"), (30, "behind")):
        monkeypatch.setattr(servers, "time", lambda shift=shift: real() + shift)
        found = faults(saver)
        assert set(found) == {"clock"}
        assert f"{word} this machine's" in found["clock"].message
        assert re.search(r"\b(29|30)\.\d s", found["clock"].message)


def node(name="a:1", **info):
    healthy = {"redis_version": "7.2.4", "role": "master", "aof_enabled": 1, "maxmemory_policy": "noeviction"}
    return Node(name, None, latency=0.0002, info={**healthy, **info})


def test_servers_are_judged_by_what_they_report():
    assert levels(judge_nodes([node()])) == {}
    assert levels(judge_nodes([node(redis_version="6.2.14")])) == {"version": "problem"}
    assert levels(judge_nodes([node(redis_version="7.2.4", valkey_version="8.0.1")])) == {}
    assert levels(judge_nodes([node(loading=1)])) == {"role": "problem"}
    assert levels(judge_nodes([node(aof_last_write_status="err")])) == {"persistence": "problem"}
    slow = node()
    slow.latency = 0.05
    assert levels(judge_nodes([slow])) == {"latency": "warning"}
    late = node("b:1")
    exact = node()
    exact.offset, late.offset = 0.0, -4.0
    found = amiss(judge_nodes([exact, late]))
    assert found["clock"].nodes == ["b:1", "a:1"]


def test_what_holds_for_several_servers_is_reported_once():
    found = judge_nodes([node("a:1"), node("b:1"), node("c:1", maxmemory_policy="allkeys-lru")])
    eviction = [each for each in found if each.check == "eviction"]
    assert [(each.level, each.nodes) for each in eviction] == [("ok", ["a:1", "b:1"]), ("problem", ["c:1"])]


def test_a_sound_file_is_ok(tmp_path):
    with SqliteSaver(tmp_path / "c.db") as saver:
        fill(saver, 3)
        diagnosis = check(saver)
        assert amiss(diagnosis.findings) == {}
        assert [each.check for each in diagnosis.place] == ["integrity", "journal", "rows", "size"]


def test_a_damaged_file_is_reported(tmp_path):
    path = tmp_path / "c.db"
    with SqliteSaver(path) as saver:
        for number in range(200):
            saver.put(at(f"thread-{number}"), state("c0", text="x" * 300), {})
    data = bytearray(path.read_bytes())
    # An entry of an index is changed, so it does not find its row.
    place = data.rindex(b"thread-150")
    data[place : place + 10] = b"thread-xxx"
    path.write_bytes(data)
    with SqliteSaver(path) as saver:
        found = amiss(check(saver).findings)
        assert found["integrity"].level == "problem"
        assert found["integrity"].items


def test_a_database_that_cannot_be_read_is_reported(tmp_path):
    path = tmp_path / "c.db"
    with SqliteSaver(path) as saver:
        for number in range(200):
            saver.put(at(f"thread-{number}"), state("c0", text="x" * 3000), {})
    data = bytearray(path.read_bytes())
    data[8192 : len(data) // 2] = bytes(len(data) // 2 - 8192)
    path.write_bytes(data)
    with SqliteSaver(path) as saver:
        assert "problem" in levels(check(saver).findings).values()


def test_a_large_write_ahead_log_that_a_reader_keeps_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("zerograph_redis.tools.diagnose.files._LARGE", 100_000)
    with SqliteSaver(tmp_path / "c.db") as saver, SqliteSaver(tmp_path / "c.db") as reader:
        fill(saver, 1)

        def read(connection):
            connection.execute("SELECT * FROM zerograph_redis_threads").fetchall()
            for number in range(60):
                saver.put(at(), state(f"c{number}", text=f"{number}" * 30_000), {})
                saver.prune("thread", 1)
            assert levels(check(saver).place) == {"size": "warning"}

        reader.store.backend.read(read)
