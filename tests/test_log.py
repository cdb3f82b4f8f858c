"""What is logged about states, and that nothing is by default."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from support.data import at, state
from support.servers import free_port

import zerograph_redis
from zerograph_redis import CorruptCheckpointError

MESSAGES = [f"message {number} " + "x" * 100 for number in range(20)]


def test_successful_calls_log_nothing(shared_store, log):
    saver = shared_store.open()
    config = saver.put(at(), state("c0", messages=MESSAGES), {})
    saver.put_writes(config, [("t", "a", 1)], "")
    with saver.lease("thread") as lease:
        saver.put(lease.config(checkpoint_id="c0"), state("c1", messages=MESSAGES * 2), {})
    assert len(saver.list(at())) == 2
    saver.prune("thread", 1)
    saver.copy_thread("thread", "copy")
    saver.list_threads()
    saver.delete_thread("thread")
    assert log == []


def test_a_state_that_is_sent_again_is_logged_with_its_thread(shared_store, log):
    saver, other = shared_store.open(), shared_store.open()
    saver.put(at(), state("c0", messages=MESSAGES), {})
    other.delete_thread("thread")
    saver.put(at(), state("c1", messages=[*MESSAGES, "more"]), {})
    (record,) = log
    assert record.levelno == logging.INFO
    assert record.name == "zerograph_redis.core.states"
    assert "'c1' is sent again with its whole state" in record.getMessage()
    assert record.thread_id == "thread"
    assert other.get(at()) == state("c1", messages=[*MESSAGES, "more"])


@pytest.mark.parametrize("call", ["get_tuple", "list"])
@pytest.mark.unchecked
def test_a_damaged_checkpoint_is_logged_once_with_its_thread(redis_store, log, call):
    saver = redis_store.open()
    saver.put(at(), state("c0", messages=MESSAGES), {})
    (key,) = [each for each in redis_store.all_keys() if each.endswith(b":log:0")]
    redis_store.client().setrange(key, 100, b"!")
    with pytest.raises(CorruptCheckpointError) as caught:
        getattr(redis_store.open(), call)(at())
    (record,) = log
    assert record.levelno == logging.ERROR
    assert record.name == "zerograph_redis.core.drive"
    assert record.getMessage() == str(caught.value)
    assert record.thread_id == "thread"


def test_an_application_that_sets_up_no_logging_sees_nothing():
    source = (
        "from zerograph_redis import open_saver\n"
        f"url = 'redis://127.0.0.1:{free_port()}/0?socket_connect_timeout=0.2'\n"
        "print(type(open_saver(url, fallback='memory://')).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "InMemorySaver\n"
    assert done.stderr == ""


def calls_of_the_log():
    """Every call by which the package logs something, with its module."""
    package = Path(zerograph_redis.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "_log"
            ):
                yield f"{path.relative_to(package)}:{node.lineno}", node


def test_every_record_has_a_thread_id_or_none():
    found = dict(calls_of_the_log())
    assert len(found) > 8
    for place, call in found.items():
        (extra,) = [each.value for each in call.keywords if each.arg == "extra"]
        assert ast.unparse(extra.func) == "about", place
