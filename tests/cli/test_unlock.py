"""``unlock``."""

from __future__ import annotations

import pytest
from support.commands import options_of, run
from support.data import at, fill, state

from zerograph_redis import LeaseLostError


def test_a_lease_is_shown_and_left_alone(saver, cli):
    fill(saver, 1)
    with saver.lease("thread", ttl=3600, owner="worker-1") as lease:
        shown = cli("unlock", "thread")
        assert (shown.code, shown.out) == (
            0,
            "Thread 'thread' is held by 'worker-1' for another 59 min, unless it renews.\n",
        )
        assert "--yes" in shown.err
        saver.put(lease.config(), state("c9"), {})


def test_yes_breaks_the_lease_and_fences_off_its_holder(saver, cli):
    fill(saver, 1)
    with saver.lease("thread", ttl=3600, owner="worker-1") as lease:
        assert cli("unlock", "thread", "--yes").out == "The lease of 'worker-1' on thread 'thread' is broken.\n"
        with pytest.raises(LeaseLostError):
            saver.put(lease.config(), state("c9"), {})
    assert cli("unlock", "thread").out == "Nobody holds thread 'thread'.\n"


def test_json_has_the_lease_before_it_was_broken(saver, cli):
    fill(saver, 1)
    assert cli("unlock", "thread", "--json").json == {"thread_id": "thread", "lease": None, "broken": False}
    with saver.lease("thread", ttl=3600, owner="worker-1"):
        for options, broken in (((), False), (("--yes",), True)):
            document = cli("unlock", "thread", "--json", *options).json
            assert 3500 < document["lease"].pop("seconds_left") <= 3600
            assert document == {"thread_id": "thread", "lease": {"owner": "worker-1"}, "broken": broken}


def test_a_lease_on_a_thread_without_checkpoints_is_shown(saver, cli):
    with saver.lease("new", ttl=3600):
        assert cli("unlock", "new", "--json").json["lease"]["seconds_left"] > 3500


def test_an_unknown_thread_ends_with_6(cli):
    ended = cli("unlock", "none", "--yes")
    assert (ended.code, ended.out) == (6, "")
    assert ended.err.startswith("zerograph-redis: there is no thread 'none' in ")


def test_control_characters_of_an_owner_are_escaped(saver, cli):
    with saver.lease("thread", ttl=3600, owner="\x1b[31m[bold]red"):
        assert r"'\x1b[31m[bold]red'" in cli("unlock", "thread").out


def test_a_lease_on_a_cluster_is_broken(cluster_store):
    saver = cluster_store.open_bare()
    saver.put(at(), state("c0"), {})
    with saver.lease("thread", ttl=3600):
        assert run(*options_of(cluster_store), "unlock", "thread", "--yes", "--json").json["broken"]
        saver_of_another = cluster_store.open_bare()
        saver_of_another.put(at(), state("c1"), {})
