"""Calls of every method on the same threads, and a check of the errors that they raise."""

from __future__ import annotations

from support.data import at, state
from zerograph_redis import CheckpointError

CALLS = {
    "get_tuple": lambda saver: saver.get_tuple(at()),
    "get_tuple by id": lambda saver: saver.get_tuple(at(id="c0")),
    "get": lambda saver: saver.get(at()),
    "get_by_id": lambda saver: saver.get_by_id("c0", "thread"),
    "get_pending_writes": lambda saver: saver.get_pending_writes(at(id="c0")),
    "list": lambda saver: saver.list(at()),
    "list filtered": lambda saver: saver.list(at(), filter={"step": 0}),
    "put": lambda saver: saver.put(at(), state("new"), {}),
    "put again": lambda saver: saver.put(at(), state("c0", again=True), {}),
    "put_writes": lambda saver: saver.put_writes(at(id="c0"), [("t", "new", 1)], ""),
    "prune": lambda saver: saver.prune("thread", 1),
    "delete_thread": lambda saver: saver.delete_thread("thread"),
    "copy_thread": lambda saver: saver.copy_thread("thread", "thread too"),
    "copy_thread to": lambda saver: saver.copy_thread("source", "thread"),
    "list_threads": lambda saver: saver.list_threads(),
    "get_by_id of all": lambda saver: saver.get_by_id("c0"),
}
ACROSS = ("list_threads", "get_by_id of all")


def check(error, cause, *, names_thread=True):
    assert isinstance(error, CheckpointError)
    assert isinstance(error.__cause__, cause), repr(error.__cause__)
    if names_thread:
        assert "thread" in str(error).replace("a thread", "")
        assert "'thread" in str(error) or "'source'" in str(error)
