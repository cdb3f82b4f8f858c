"""Servers that die and come back: what was acknowledged is there, as far as they keep it."""

from __future__ import annotations

import pytest
from support.data import at, everything, fill, ids, state, thread_ids
from support.rig import TEXT

from zerograph_redis import LeaseHeldError, RedisSaver


def acknowledged(server, saver, rounds=25):
    """Write while the server is killed at random moments and comes back: what was acknowledged."""
    stored, config = [], at()
    for number in range(rounds):
        if number % 8 == 5:
            server.restart()
        config = saver.put(config, state(f"c{number}", messages=TEXT[:number]), {})
        saver.put_writes(config, [("t", "a", number)], "")
        stored.append(f"c{number}")
    return stored


def test_with_an_append_only_file_nothing_acknowledged_is_lost_when_the_server_dies(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with RedisSaver.from_url(server.url) as saver:
        stored = acknowledged(server, saver)
        server.restart()
        found = saver.list(at(), limit=None)
        assert ids(found) == stored[::-1]
        assert [each.checkpoint["channel_values"]["messages"] for each in found[::-1]] == [
            TEXT[:number] for number in range(25)
        ]
        assert all(len(each.pending_writes) == 1 for each in found)
        assert [each.checkpoints for each in saver.list_threads()] == [25]


def test_without_an_append_only_file_a_saver_goes_on_after_the_server_lost_everything(new_server):
    server = new_server()
    with RedisSaver.from_url(server.url) as saver:
        stored = acknowledged(server, saver)
        # The last restart came before c21: what was written since is there, and whole.
        found = saver.list(at(), limit=None)
        assert ids(found) == stored[21:][::-1]
        assert found[0].checkpoint["channel_values"]["messages"] == TEXT[:24]
        server.restart()
        assert saver.get_tuple(at()) is None
        assert saver.list(at()) == []
        assert saver.list_threads() == []


def test_with_an_append_only_file_nothing_of_what_was_done_comes_undone_when_the_server_dies(new_server, opening):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    saver, other = opening(server.url, retries=True), opening(server.url, retries=True).stranger()
    for thread in ("kept", "pruned", "copied", "deleted", "held"):
        fill(saver, 5, thread)
        saver.put_writes(at(thread, id="c4"), [("t", "a", 1)], "")
    with saver.lease("held", ttl=60) as lease:
        saver.prune("pruned", 2)
        saver.copy_thread("copied", "copy")
        saver.delete_thread("deleted")
        before = {name: everything(saver, name) for name in thread_ids(saver)}
        server.restart()
        assert {name: everything(saver, name) for name in thread_ids(saver)} == before
        assert sorted(before) == ["copied", "copy", "held", "kept", "pruned"]
        assert saver.get(at("deleted")) is None
        with pytest.raises(LeaseHeldError):
            other.put(at("held"), state("other"), {})
        saver.put(lease.config(), state("mine"), {})
        server.restart()
    other.put(at("held"), state("other"), {})
    assert ids(saver.list(at("held"), limit=2)) == ["other", "mine"]


def test_a_worker_that_goes_on_after_the_server_came_back_without_its_last_writes_leaves_nothing_unreadable(new_server):
    server = new_server()
    with RedisSaver.from_url(server.url) as saver:
        fill(saver, 1)
        saver.put(at(id="c0"), state("c1", messages=TEXT), {})
        server.client().save()
        saver.put(at(id="c1"), state("c2", messages=[*TEXT, "a" * 300]), {})
        server.restart()  # c2 is lost, and the worker does it again, with another answer that is as long
        assert saver.get_tuple(at()).checkpoint["id"] == "c1"
        saver.put(at(id="c1"), state("c2", messages=[*TEXT, "b" * 300]), {})
        saver.put(at(id="c2"), state("c3", messages=[*TEXT, "a" * 300, "c" * 300]), {})  # words that it knows it stored
    with RedisSaver.from_url(server.url) as other:
        found = [each.checkpoint["channel_values"].get("messages") for each in other.list(at(), limit=3)]
    assert found == [[*TEXT, "a" * 300, "c" * 300], [*TEXT, "b" * 300], TEXT]
