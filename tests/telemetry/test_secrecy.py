"""Nothing of a state, and no password, is in any span, metric or record of the log, whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

import pytest
from support.data import at, state
from support.faces import AsyncFace, SyncFace
from support.servers import NO_RETRY, free_port

import zerograph_redis
from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    CheckpointError,
    LeaseHeldError,
    MsgpackSerializer,
    RedisSaver,
    Registered,
    SqliteSaver,
    open_saver,
)

SECRET = "S3CR3T"
PASSWORD = "hunter2"
LONG = [f"{SECRET} {number} " + "x" * 100 for number in range(20)]


@dataclass
class Unwilling:
    """A value whose methods fail with errors that quote it."""

    text: str
    stored: bool = False

    def encode(self):
        if not self.stored:
            raise ValueError(f"not this one: {self.text}")
        return self.text

    @staticmethod
    def decode(text):
        raise ValueError(f"not this one: {text}")


class Quoting:
    """A serializer that fails to read, with an error that quotes the bytes."""

    def pack(self, value, *, root=""):
        return MsgpackSerializer().pack(value, root=root)

    def unpack(self, data):
        raise RuntimeError(f"cannot read {data!r}")


TYPES = [Registered("unwilling", Unwilling, encode=Unwilling.encode, decode=Unwilling.decode)]
WILLING = [
    Registered("unwilling", Unwilling, encode=Unwilling.encode, decode=lambda text: Unwilling(text, stored=True))
]


def use(saver, other):
    """Call all methods successfully, each with something secret."""
    config = saver.put(at(), state("c0", messages=LONG, **{SECRET: SECRET}), {"user": SECRET, SECRET: 1})
    saver.put_writes(config, [("t", "a", SECRET), ("t", "b", {SECRET: LONG})], "")
    saver.put(config, state("c1", messages=[*LONG, SECRET]), {"user": SECRET})
    for each in (saver, other):
        assert each.get_tuple(at(id="c0")).metadata["user"] == SECRET
        assert len(each.list(at(), filter={"user": SECRET})) == 2
    saver.copy_thread("thread", "copy")
    with saver.lease("thread"), suppress(LeaseHeldError):
        other.stranger().put(at(), state("c2", text=SECRET), {})
    other.delete_thread("copy")
    other.delete_thread("thread")
    saver.put(at(), state("c1", messages=[*LONG, SECRET]), {})


REFUSED = {
    "an unknown type": lambda saver: saver.put(at(), state("c", at={SECRET: object()}), {}),
    "a type under a long key": lambda saver: saver.put(at(), state("c", **{SECRET * 30: object()}), {}),
    "an unknown type in a write": lambda saver: saver.put_writes(at(id="c"), [("t", "a", {SECRET: object()})], ""),
    "an unknown type in metadata": lambda saver: saver.put(at(), state("c"), {SECRET: object()}),
    "an encode function that fails": lambda saver: saver.put(at(), state("c", value=Unwilling(SECRET)), {}),
    "a write that is none": lambda saver: saver.put_writes(at(id="c"), [SECRET], ""),
    "a write of no channel": lambda saver: saver.put_writes(at(id="c"), [("t", {SECRET: 1}, 1)], ""),
    "a config that is none": lambda saver: saver.get(SECRET),
    "a config in the place of another": lambda saver: saver.get({"configurable": [SECRET]}),
    "a thread that is none": lambda saver: saver.get(at({"id": SECRET})),
    "a limit that is none": lambda saver: saver.list(at(), limit=SECRET),
    "a checkpoint that is none": lambda saver: saver.put(at(), [SECRET], {}),
    "metadata that are none": lambda saver: saver.put(at(), state("c"), SECRET),
    "a ttl that is none": lambda saver: saver.put(at(ttl=SECRET), state("c"), {}),
    "a token that is none": lambda saver: saver.put(at(lease_token=SECRET), state("c"), {}),
}


@pytest.fixture(params=["sync", "async"])
def opening(request, exported):
    """Open savers, to be used through either face."""
    closing = []
    with asyncio.Runner() as runner:

        def call(url, **options):
            options["telemetry"] = exported.telemetry
            if url.startswith("redis"):
                kinds = {"sync": RedisSaver.from_url, "async": AsyncRedisSaver.from_url}
            else:
                kinds = {"sync": SqliteSaver, "async": AsyncSqliteSaver}
            saver = kinds[request.param](url, **options)
            closing.append(saver.close if request.param == "sync" else lambda: runner.run(saver.aclose()))
            return SyncFace(saver) if request.param == "sync" else AsyncFace(saver, runner)

        yield call
        for each in closing:
            each()


@pytest.fixture(params=["redis", "sqlite"])
def url(request, tmp_path):
    """The store of a test; a Redis asks for the password."""
    if request.param == "sqlite":
        return str(tmp_path / "checkpoints.db")
    return request.getfixturevalue("new_server")(password=PASSWORD).url


@pytest.fixture
def secretive(exported, log):
    """Check at the end of the test that something was reported, and no secret."""
    yield
    formatter = logging.Formatter()
    reported = [f"{formatter.format(record)} {record.__dict__}" for record in log]
    reported += [span.to_json() for span in exported.spans()]
    reported += [metric.to_json() for metric in exported.metrics().values()]
    assert exported.spans()
    for each in reported:
        assert SECRET not in each
        assert PASSWORD not in each


def test_nothing_secret_is_reported_of_successful_calls(url, opening, exported, log, secretive):
    use(opening(url), opening(url))
    assert len(exported.spans()) > 10
    assert "sent again with its whole state" in log[-1].getMessage()


def test_nothing_secret_is_reported_of_refused_calls(url, opening, exported, secretive):
    saver = opening(url, serializer=MsgpackSerializer(types=TYPES))
    quoted = set()
    for name, call in REFUSED.items():
        with pytest.raises(CheckpointError) as caught:
            call(saver)
        if SECRET in str(caught.value):
            quoted.add(name)
    assert len(exported.spans()) == len(REFUSED)
    assert len(quoted) > 8  # else there would be nothing to keep secret


def test_nothing_secret_is_reported_of_values_that_cannot_be_read(url, opening, exported, secretive):
    saver = opening(url, serializer=MsgpackSerializer(types=WILLING))
    saver.put(at(), state("c0", value=Unwilling(SECRET, stored=True), text=SECRET), {})
    for serializer in (MsgpackSerializer(types=TYPES), None, Quoting()):
        with pytest.raises((CheckpointError, RuntimeError)) as caught:
            opening(url, serializer=serializer).get(at())
        assert SECRET in str(caught.value) or serializer is None
    errors = [span.attributes["error.type"] for span in exported.spans("get")]
    assert errors == [*["zerograph_redis.errors.SerializationError"] * 2, "RuntimeError"]


def test_nothing_secret_is_reported_of_damaged_bytes(new_server, opening, exported, log, secretive):
    server = new_server(password=PASSWORD)
    saver = opening(server.url)
    saver.put(at(), state("c0", messages=LONG), {})
    with server.client() as client:
        client.setrange("zerograph:{thread}:log:0", 0, SECRET)
        with pytest.raises(CheckpointError):
            opening(server.url).get(at())
        client.hset("zerograph:{thread}:checkpoints", "\x1fc0", SECRET)
        with pytest.raises(CheckpointError):
            opening(server.url).get(at())
        client.set("zerograph:{thread}:index", SECRET)
        with pytest.raises(CheckpointError):
            opening(server.url).get(at())
    assert [record.levelno for record in log] == [logging.ERROR] * 3
    assert len(exported.spans("get")) == 3


def test_nothing_secret_is_reported_of_a_server_that_stopped_or_refuses(new_server, opening, exported, log, secretive):
    server = new_server(password="another one")
    for url in (
        f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0",
        f"redis://user:{PASSWORD}@127.0.0.1:{free_port()}/0?socket_connect_timeout=0.2",
    ):
        saver = opening(url, timeout=0.5)
        for call in (
            lambda: saver.put(at(), state("c0", text=SECRET), {}),  # noqa: B023 - called at once
            lambda: saver.put_writes(at(id="c0"), [("t", "a", SECRET)], ""),  # noqa: B023
            lambda: saver.list(at(), filter={"user": SECRET}),  # noqa: B023
        ):
            with pytest.raises(CheckpointError):
                call()
    assert len(exported.spans()) == 6
    assert {record.levelno for record in log} == {logging.WARNING, logging.DEBUG}


def test_nothing_secret_is_reported_of_the_fallback(exported, log, secretive, new_server):
    server = new_server(password=PASSWORD)
    url = f"redis://user:{PASSWORD}@127.0.0.1:{free_port()}/0?socket_connect_timeout=0.2&password={PASSWORD}"
    with open_saver(url, fallback=server.url, telemetry=exported.telemetry, timeout=0.5) as saver:
        saver.put(at(), state("c0", text=SECRET), {})
    warnings = [record for record in log if record.name.endswith(".opening") and record.levelname == "WARNING"]
    assert len(warnings) == 1


def test_nothing_secret_is_reported_of_a_script_that_fails(new_server, exported, log, secretive):
    server = new_server()
    with server.client(retry=NO_RETRY) as client:
        saver = RedisSaver(client, telemetry=exported.telemetry)
        client.config_set("maxmemory", 1)
        with pytest.raises(CheckpointError):
            saver.put(at(), state("c0", text=SECRET, more=LONG), {})
        client.config_set("maxmemory", 0)
        client.acl_setuser("default", commands=["-setrange", "-append", "-hset"])
        with pytest.raises(CheckpointError):
            saver.put(at(), state("c0", text=SECRET, more=LONG), {})
    assert len(exported.spans("put")) == 2


def test_the_message_of_every_error_is_either_reported_or_may_quote_a_state():
    """A new error belongs to `SAFE_ERRORS`, or to the set below."""
    from zerograph_redis.telemetry.observer import SAFE_ERRORS

    errors = {
        each
        for each in vars(zerograph_redis).values()
        if isinstance(each, type) and issubclass(each, CheckpointError) and each is not CheckpointError
    }
    silent = {each.__name__ for each in errors if not issubclass(each, SAFE_ERRORS)}
    assert silent == {"ConfigError", "SerializationError"}
