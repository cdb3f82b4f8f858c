"""Users of Redis with few rights: those that the documentation names are enough, all are needed, and go no further."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from importlib.resources import files
from itertools import count
from uuid import uuid4

import pytest
import redis
from support.calls import ACROSS, CALLS, check
from support.data import at, everything, fill, ids, state, thread_ids
from support.rights import PAGE_TEXT, PASSWORD, rights, rights_of
from support.servers import NO_RETRY, RedisServer

from zerograph_redis import BackendUnavailableError, RedisSaver, ReplicationError
from zerograph_redis.backends.redis import thread_index

GIVEN = tuple(word[1:] for word in rights() if re.fullmatch(r"\+\w+", word))
ON_A_CLUSTER = ("cluster|slots", "zrandmember")


def use_everything(client, prefix):
    """Call all that a saver can do, so that it uses each of its rights."""
    saver = RedisSaver(client, prefix=prefix, ttl=60, keep_last=20, max_age=60)
    for number in range(50):
        messages = [f"{each:03}" * 400 for each in range(number % 10)]
        config = saver.put(at("t"), state(f"c{number}", number=number, messages=messages), {})
        for _ in range(2):
            saver.put_writes(config, [("task", "channel", number)], "task")
    assert saver.get_tuple(config).pending_writes == saver.get_pending_writes(config) != []
    assert saver.get_by_id("c49", "t") == saver.get_by_id("c49") == saver.get_tuple(at("t"))
    assert len(saver.list(at("t"), limit=None)) == saver.copy_thread("t", "u") == 20
    assert ids(saver.list(at("u", id="c49"), before=at("u", id="c32"))) == ["c31", "c30"]
    RedisSaver(client, prefix=prefix).put(at("u"), state("lasting"), {})
    assert saver.prune("u", 1) == 20
    assert thread_ids(saver, before=saver.list_threads(limit=1)[0]) == ["t"]
    saver.delete_thread("t")
    assert [each.checkpoints for each in saver.list_threads()] == [1]
    with saver.lease("u") as lease:
        saver.put(lease.config(), state("leased"), {})
        assert saver.get(at("u")) == state("leased")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def admin(server):
    with server.client(decode_responses=True) as client:
        yield client
        for user in client.acl_users():
            if user != "default":
                client.acl_deluser(user)
        client.flushall()


def test_no_right_of_the_user_can_be_spared(server, admin):
    admin.execute_command(*rights())
    runs = count()
    with closing(redis.Redis.from_url(server.url, username="graphs", password=PASSWORD, retry=NO_RETRY)) as client:

        def use():
            prefix = f"zerograph:{next(runs)}"
            admin.script_flush()
            use_everything(client, prefix)
            with pytest.raises(ReplicationError):
                RedisSaver(client, prefix=prefix, wait_replicas=1, wait_timeout=1).put(at("t"), state("c"), {})

        use()
        for right in GIVEN:
            admin.acl_setuser("graphs", commands=[f"-{right}"])
            with pytest.raises(BackendUnavailableError, match="NOPERM: the user lacks a right"):
                use()
            admin.acl_setuser("graphs", commands=[f"+{right}"])
        use()


def test_the_rights_of_the_user_cover_every_script():
    called = {
        name.lower()
        for script in (files("zerograph_redis") / "lua").iterdir()
        for name in re.findall(r"redis\.p?call\('(\w+)'", script.read_text("utf-8"))
    }
    assert len(called) > 20
    assert called <= set(GIVEN)


def may_run(admin, user, name):
    """Whether a user may run a command, with however many arguments it needs."""
    for more in range(10):
        with suppress(redis.ResponseError):  # for a wrong number of arguments
            answer = admin.execute_command("ACL", "DRYRUN", user, *name.split("|"), *["1"] * more)
            return "no permissions to run" not in answer
    raise AssertionError(name)


def test_the_user_may_run_nothing_else_and_nothing_that_harms_others(admin):
    admin.execute_command(*rights())
    commands = {name for category in admin.acl_cat() for name in admin.acl_cat(category)}
    commands -= {name.partition("|")[0] for name in commands if "|" in name}  # named by what they have
    dangerous = {*admin.acl_cat("dangerous"), *admin.acl_cat("admin")}
    assert {"flushall", "keys", "client|kill", "client|pause", "config|set", "scan", "get"} <= commands
    allowed = {name for name in commands if may_run(admin, "graphs", name)}
    assert set(GIVEN) <= allowed <= {*GIVEN, *admin.acl_cat("connection")} - dangerous


def test_on_a_cluster_the_user_needs_just_what_the_readme_adds(cluster, monkeypatch):
    assert " and ".join(f"`+{right}`" for right in ON_A_CLUSTER) in PAGE_TEXT
    # Every entry into the thread index checks others for being stale.
    monkeypatch.setattr(thread_index, "_SWEEP", 1)
    user = f"t{uuid4().hex[:12]}"
    nodes = [cluster.node(port) for port in cluster.pids]

    def rule(*words):
        for node in nodes:
            node.execute_command("ACL", "SETUSER", user, *words)

    try:
        rule(*rights_of(user, user)[3:], *(f"+{right}" for right in ON_A_CLUSTER))
        with closing(cluster.client(username=user, password=PASSWORD)) as client:
            use_everything(client, f"{user}:a")
            rule("-zrandmember")
            with pytest.raises(BackendUnavailableError, match="NOPERM: the user lacks a right"):
                use_everything(client, f"{user}:b")
        rule("-cluster|slots")
        # What redis-py makes of the refusal is that this is no cluster.
        with pytest.raises(redis.exceptions.RedisClusterException):
            cluster.client(username=user, password=PASSWORD)
    finally:
        client = cluster.shared_client
        client.unlink(*client.scan_iter(match=f"{user}:*", count=5000))
        for node in nodes:
            node.acl_deluser(user)
            node.close()


@pytest.fixture
def two_users(opening, server, admin):
    """Open savers as either of two users, whose prefixes are their names."""
    for user in ("alice", "bob"):
        admin.execute_command(*rights_of(user, user))

    def call(user, prefix=None):
        return opening(server.url.replace("://", f"://{user}:{PASSWORD}@"), prefix=prefix or user)

    return call


def furnish(saver):
    fill(saver, 3)
    fill(saver, 2, "source")
    saver.put_writes(at(id="c0"), [("t", "a", 1)], "")
    return look(saver)


def look(saver):
    return {name: everything(saver, name) for name in sorted(thread_ids(saver, limit=None))}


def contents(server):
    with server.client() as client:
        return {key: client.dump(key) for key in client.scan_iter()}


@pytest.mark.parametrize("prefix", ["bob", "bob:alice", "alicebob", "ALICE"])
def test_a_user_gets_an_error_for_every_call_under_the_prefix_of_another(two_users, server, prefix):
    theirs = two_users("bob")
    before, keys = furnish(theirs), contents(server)
    intruder = two_users("alice", prefix)
    for name, call in CALLS.items():
        with pytest.raises(
            BackendUnavailableError, match="NOPERM: the user lacks a right, or its keys begin"
        ) as caught:
            call(intruder)
        check(caught.value, redis.exceptions.NoPermissionError, names_thread=name not in ACROSS)
    with pytest.raises(BackendUnavailableError, match="NOPERM"), intruder.lease("thread"):
        pass
    assert look(theirs) == before
    assert contents(server) == keys


HOSTILE = (
    "../bob", "bob:{thread}", "}:thread", "{bob}", "*", "bob*", "?ob:{thread}:index", "[b]ob", "x}:checkpoints",
    "\x1fbob", "thread\x00", "%7Bbob%7D", "alice\r\nbob:{thread}", "\\bob",
)  # fmt: skip


def test_no_thread_id_reaches_out_of_the_prefix_of_its_user(two_users, server):
    theirs, mine = two_users("bob"), two_users("alice")
    before, keys = furnish(theirs), contents(server)
    fill(mine, 1, "own")
    for name in HOSTILE:
        assert mine.get_tuple(at(name)) is None
        fill(mine, 2, name)
        mine.put_writes(at(name, id="c0"), [("t", "a", 2)], "")
        assert mine.copy_thread(name, name + "copy") == 2
        assert thread_ids(mine) == [name + "copy", name, "own"]
        assert mine.prune(name, 1) == 1
        for each in (name, name + "copy"):
            mine.delete_thread(each)
    assert mine.copy_thread("thread", "stolen") == 0
    assert mine.get_by_id("c0", "source") is None
    assert thread_ids(mine) == ["own"]
    mine.delete_thread("own")
    assert look(theirs) == before
    assert contents(server) == keys
