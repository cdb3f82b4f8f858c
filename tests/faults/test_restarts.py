"""Servers that die, stand still and come back: what was acknowledged is there, as far as they keep it."""

from __future__ import annotations

import pytest
import redis
from support.data import at, ids, state
from support.proxy import DELAY
from support.rig import TEXT
from support.servers import NO_RETRY

from zerograph_redis import BackendUnavailableError, RedisSaver


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


def test_a_slow_server_is_an_error_in_time_and_none_with_retries(rig):
    prefix = rig.seeded("small")
    url = f"redis://127.0.0.1:{rig.proxy.port}/0?socket_timeout=0.3"
    client = redis.Redis.from_url(url, retry=NO_RETRY)
    rig.proxy.arm(1, DELAY)
    with pytest.raises(BackendUnavailableError) as caught:
        RedisSaver(client, prefix=prefix).get_tuple(at())
    assert isinstance(caught.value.__cause__, redis.TimeoutError)
    # The late reply belongs to nobody: the next request gets its own.
    assert [each.thread_id for each in RedisSaver(client, prefix=prefix).list_threads()] == ["other", "thread"]
    client.close()
