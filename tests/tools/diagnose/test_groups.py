"""A checkup of a cluster, and of a primary that Sentinels watch."""

from __future__ import annotations

import pytest
from support.checking import amiss, check, levels
from support.data import fill
from support.polling import until
from support.rights import rights_of

from zerograph_redis import RedisSaver

DURABLE = ("--appendonly", "yes")


def durable(cluster):
    """Let every node have an append-only file."""
    for port in cluster.pids:
        with cluster.node(port) as client:
            client.config_set("appendonly", "yes")
            until(lambda client=client: not client.info("persistence")["aof_rewrite_in_progress"])


@pytest.fixture
def opened():
    made = []

    def open_saver(url):
        made.append(RedisSaver.from_url(url, refresh_on_read=False))
        return made[-1]

    yield open_saver
    for each in made:
        each.close()


@pytest.mark.full
def test_a_sound_cluster_and_one_with_dead_nodes(new_cluster, opened):
    cluster = new_cluster(primaries=3, replicas=1)
    durable(cluster)
    saver = opened(cluster.url)
    for number in range(20):
        fill(saver, 2, f"t{number}")
    # A cluster lists its replicas once they have reported.
    diagnosis = until(lambda: (found := check(saver)).nodes == 6 and found, seconds=20)
    assert amiss(diagnosis.findings) == {}
    (whole,) = [each for each in diagnosis.place if each.check == "cluster"]
    assert len(whole.nodes) == 6
    (rights,) = [each for each in diagnosis.place if each.check == "rights"]
    assert len(rights.nodes) == 3

    allow(cluster, *rights_of("worker", "zerograph"), "+cluster|slots", "+zrandmember")
    restricted = opened(cluster.url.replace("://", "://worker:password@"))
    assert levels(check(restricted).findings) == dict.fromkeys(("cluster", "info", "keys"), "warning")
    allow(cluster, "ACL", "SETUSER", "worker", "+info", "+config|get", "+scan", "+cluster|info", "+cluster|nodes")
    assert levels(check(restricted).findings) == {}

    replicas = [port for port in cluster.pids if role(cluster, port) == b"slave"]
    cluster.kill(replicas[0])
    until(lambda: "fail" in flags(cluster, replicas[0]), seconds=20, pause=0.05)
    found = [each for each in check(opened(cluster.url)).place if each.level != "ok"]
    assert {each.level for each in found if each.check == "cluster"} == {"warning"}
    assert any(f"127.0.0.1:{replicas[0]}" in each.nodes for each in found)
    assert any("no replica" in each.message for each in found)

    primary = next(port for port in cluster.pids if role(cluster, port) == b"master" and not followers(cluster, port))
    cluster.kill(primary)
    until(lambda: "fail" in flags(cluster, primary) and not cluster.is_whole(), seconds=20, pause=0.05)
    found = [each for each in check(opened(cluster.url)).place if each.level == "problem"]
    assert any(each.check == "cluster" and "state fail" in each.message for each in found)
    assert any(each.check == "cluster" and f"127.0.0.1:{primary}" in each.nodes for each in found)


def allow(cluster, *command):
    """Run a command on every node, as a user that may run all."""
    for port in cluster.pids:
        with cluster.node(port) as client:
            client.execute_command(*command)


def role(cluster, port):
    with cluster.node(port) as client:
        return client.execute_command("ROLE")[0]


def followers(cluster, port):
    with cluster.node(port) as client:
        return client.execute_command("ROLE")[2]


def flags(cluster, port):
    """The flags that the others have for a node."""
    with cluster.node(next(iter(cluster.pids))) as client:
        nodes = client.execute_command("CLUSTER NODES")
    return next(each["flags"] for name, each in nodes.items() if name.startswith(f"127.0.0.1:{port}")).split(",")


def test_a_cluster_without_any_node_that_answers_is_reported(new_cluster, opened):
    cluster = new_cluster(primaries=3, replicas=0)
    saver = opened(cluster.url)
    for port in list(cluster.pids):
        cluster.kill(port)
    diagnosis = check(saver)
    assert not diagnosis.is_reachable
    assert {each.level for each in diagnosis.place} == {"problem"}


def test_sentinels_are_asked(new_server, opened):
    primary, replica = new_server(*DURABLE, "--repl-diskless-sync-delay", "0"), new_server()
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    sentinels = [
        new_server("--sentinel", config=f"sentinel monitor service 127.0.0.1 {primary.port} 2\n") for _ in range(2)
    ]

    def known(sentinel, name):
        with sentinel.client(decode_responses=True) as client:
            reply = client.execute_command("SENTINEL MASTER", "service")
        pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        return int(pairs[name])

    until(lambda: all(known(each, "num-other-sentinels") == 1 for each in sentinels), seconds=30)
    until(lambda: all(known(each, "num-slaves") == 1 for each in sentinels), seconds=30)
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
    saver = opened(f"redis+sentinel://{hosts}/service")
    fill(saver, 2)
    diagnosis = check(saver)
    assert amiss(diagnosis.findings) == {}
    (sentinel,) = [each for each in diagnosis.place if each.check == "sentinel"]
    assert sentinel.message == "Sentinels: 2, replicas: 1, quorum: 2"

    replica.stop()
    with primary.client() as client:
        until(lambda: client.info("replication")["connected_slaves"] == 0)
    found = amiss(check(saver).place)
    assert {found[name].level for name in ("sentinel", "replicas")} == {"warning"}

    sentinels[1].stop()
    with sentinels[0].client() as client:

        def is_alone():
            try:
                client.execute_command("SENTINEL CKQUORUM", "service")
            except Exception as error:  # noqa: BLE001 - any error
                return "NOQUORUM" in str(error)
            return False

        # By default, Sentinels consider each other down after half a minute.
        client.execute_command("SENTINEL SET", "service", "down-after-milliseconds", "500")
        until(is_alone, seconds=30, pause=0.1)
    found = [(each.check, each.level) for each in check(saver).place if each.check == "sentinel"]
    assert sorted(found) == [("sentinel", "problem"), ("sentinel", "warning")]
