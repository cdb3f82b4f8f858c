"""``watch``."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from support import graphs
from support.commands import options_of
from support.data import at, fill
from support.polling import until


class Watching:
    """A process that watches, and the lines that it wrote so far."""

    def __init__(self, process):
        self.process = process
        self._lines = queue.Queue()
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.decode().rstrip("\n"))

    def arrived(self):
        while not self._lines.empty():
            self.lines.append(self._lines.get())
        return self.lines

    def wait_for(self, count):
        until(lambda: len(self.arrived()) >= count, seconds=30)
        assert len(self.lines) == count, self.lines
        return self.lines


@contextmanager
def watching(store, *arguments, columns=100):
    command = [
        sys.executable,
        "-m",
        "zerograph_redis.cli",
        *options_of(store),
        "watch",
        "--interval",
        "0.05",
        *arguments,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": str(columns)}
    )
    try:
        # It says so on stderr as soon as whatever happens then is news.
        assert process.stderr.readline().startswith(b"Watching ")
        yield Watching(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_what_another_process_does_is_reported_line_by_line(store, saver):
    fill(saver, 1, "before")
    with watching(store) as watched:
        with saver.lease("thread", ttl=3600, owner="worker-1"):
            fill(saver, 1)
            watched.wait_for(2)
        watched.wait_for(3)
        graphs.approval(checkpointer=saver).invoke({"log": []}, at("approval\x1b"))
        lines = watched.wait_for(8)
    assert [line[10:] for line in lines[:3]] == [
        "thread                    c0 step 0   +n",
        "thread                    lease: worker-1 holds it for 59 min",
        "thread                    lease ended: nobody holds it",
    ]
    assert r"approval\x1b" in lines[3]
    assert lines[6].endswith(" waits for an answer to")
    assert lines[7] == "          {'question': 'go on?', 'so far': 1}"
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_long_question_is_wrapped_under_itself(saver, store, columns):
    words = "May the agent send this e-mail to all 1,482 customers, and who signs for it in the end?"
    value = {"question": words, "options": ["approve", "reject", "edit"]}
    fill(saver, 1)
    with watching(store, columns=columns) as watched:
        saver.put_writes(at(id="c0"), [("t", "__interrupt__", value)], "")
        until(lambda: "edit" in "".join(watched.arrived()), seconds=30)
        first, *others = watched.lines
    assert max(map(len, watched.lines)) <= columns
    shown = " ".join(each.strip() for each in others) or first
    if others:
        assert first.endswith("c0 waits for an answer to")
        assert all(line.startswith(" " * 10) for line in others)
    assert words in shown
    assert "'approve'" in shown


def test_json_is_a_document_a_line(store, saver):
    fill(saver, 1)
    with watching(store, "thread", "--json") as watched:
        fill(saver, 1, start=1)
        saver.put_writes(at(id="c1"), [("t", "__interrupt__", {"sure": None})], "")
        watched.wait_for(2)
        saver.delete_thread("thread")
        events = [json.loads(line) for line in watched.wait_for(3)]
    assert [each["event"] for each in events] == ["checkpoint", "interrupt", "removed"]
    assert {each["thread_id"] for each in events} == {"thread"}
    assert events[0]["checkpoint_id"] == "c1"
    assert events[0]["changes"] == [{"channel": "n", "kind": "changed"}]
    assert events[1]["interrupts"] == [{"sure": None}]
    assert all(each["at"].endswith("Z") for each in events)


def test_an_outage_is_noted_and_survived(new_server):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")

    class Store:
        kind, url, prefix = "redis", server.url, "zerograph"

    from zerograph_redis import RedisSaver

    with RedisSaver.from_url(server.url) as saver:
        fill(saver, 1)
        command = [sys.executable, "-m", "zerograph_redis.cli", *options_of(Store), "watch", "--interval", "0.05"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert process.stderr.readline().startswith(b"Watching ")
                server.stop()
                assert b"Retrying." in process.stderr.readline()
                server.start()
                fill(saver, 1, start=1)
                assert b"c1" in process.stdout.readline()
            finally:
                process.kill()


@pytest.mark.parametrize("interval", ["0", "-1", "soon"])
def test_an_interval_that_makes_no_sense_ends_with_2(cli, interval):
    assert cli("watch", "--interval", interval).code == 2


def test_a_cluster_is_watched(cluster_store):
    saver = cluster_store.open_bare()
    fill(saver, 1, "other")
    with watching(cluster_store, "--json") as watched:
        fill(saver, 1)
        (line,) = watched.wait_for(1)
    assert json.loads(line)["thread_id"] == "thread"
