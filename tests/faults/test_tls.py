"""Servers with TLS: a right certificate is enough, and nothing is sent to a server with a wrong one."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis
import redis.asyncio
import trustme
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from support.data import at, ids, state
from support.servers import RedisServer, free_port

from zerograph_redis import AsyncRedisSaver, BackendUnavailableError, InMemorySaver, RedisSaver, aopen_saver, open_saver
from zerograph_redis.backends.redis import clients, transport
from zerograph_redis.backends.redis.faults import CLUSTER, PLAIN

PASSWORD = "hunter2"
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Site:
    """An authority and what it certified, as files, and servers that show these certificates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.stranger = trustme.CA()
        self.files = {
            "ours": self.write("ours.pem", self.authority.cert_pem),
            "another": self.write("another.pem", self.stranger.cert_pem),
        }
        self.certify("right", self.authority, "127.0.0.1", "localhost")
        self.certify("misnamed", self.authority, "elsewhere.example")
        self.certify("expired", self.authority, "127.0.0.1", not_after=LONG_AGO)
        self.certify("client", self.authority, "client.example")
        self.certify("other client", self.stranger, "client.example")
        self.ports = {}

    def write(self, name, pem):
        pem.write_to_path(str(self.directory / name))
        return str(self.directory / name)

    def certify(self, name, authority, *hosts, **options):
        made = authority.issue_cert(*hosts, **options)
        self.files[name] = self.write(f"{name}.pem", made.private_key_and_cert_chain_pem)

    def server(self, name, *options, authenticates="no"):
        self.ports[name, authenticates] = port = free_port()
        return RedisServer(
            self.directory / str(port), "--tls-port", str(port), "--tls-cert-file", self.files[name],
            "--tls-key-file", self.files[name], "--tls-ca-cert-file", self.files["ours"],
            "--tls-auth-clients", authenticates, *options, password=PASSWORD,
        )  # fmt: skip

    def url(self, port, scheme="rediss", host="127.0.0.1", **options):
        query = {f"ssl_{name}": self.files.get(value, value) for name, value in options.items()}
        return f"{scheme}://:{PASSWORD}@{host}:{port}/0?{urlencode(query)}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("tls"))
    with (
        made.server("right") as plain,
        made.server("misnamed"),
        made.server("expired"),
        made.server("right", authenticates="yes"),
    ):
        made.ports["without TLS"] = plain.port
        yield made


@pytest.fixture(autouse=True)
def no_retries(monkeypatch):
    monkeypatch.setattr(transport, "PLAIN", PLAIN._replace(retries=0))


def works(saver, thread):
    saver.put_writes(saver.put(at(thread), state("c0"), {}), [("t", "a", 1)], "")
    assert ids(saver.list(at(thread))) == ["c0"]
    saver.delete_thread(thread)


def refuses(saver):
    """Every call is an error that states why, never the password; returns the messages."""
    messages = set()
    for call in (
        lambda: saver.get_tuple(at()),
        lambda: saver.put(at(), state("c0"), {}),
        lambda: saver.list(at()),
        lambda: saver.list_threads(),
    ):
        with pytest.raises(BackendUnavailableError) as caught:
            call()
        error = caught.value
        assert isinstance(error.__cause__, redis.ConnectionError | redis.TimeoutError | OSError), error.__cause__
        while error is not None:
            assert PASSWORD not in str(error)
            error = error.__cause__ or error.__context__
        messages.add(str(caught.value))
    return "\n".join(messages)


def test_a_right_certificate_is_enough(site, opening):
    for host in ("127.0.0.1", "localhost"):
        works(opening(site.url(site.ports["right", "no"], host=host, ca_certs="ours"), retries=True), "thread")


WRONG = {
    "an unknown authority": ("right", {"ca_certs": "another"}, "certificate verify failed: self-signed"),
    "none that this machine trusts": ("right", {}, "certificate verify failed: self-signed"),
    "another host's": ("misnamed", {"ca_certs": "ours"}, "certificate is not valid for '127.0.0.1'"),
    "an expired one": ("expired", {"ca_certs": "ours"}, "certificate has expired"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_is_an_error_that_states_why(site, opening, name):
    server, options, why = WRONG[name]
    assert why in refuses(opening(site.url(site.ports[server, "no"], **options), retries=True))


def test_a_server_that_asks_for_a_certificate_gets_it_or_refuses(site, opening):
    port = site.ports["right", "yes"]
    works(opening(site.url(port, ca_certs="ours", certfile="client", keyfile="client"), retries=True), "thread")
    refuses(opening(site.url(port, ca_certs="ours"), retries=True))
    other = site.url(port, ca_certs="ours", certfile="other client", keyfile="other client")
    refuses(opening(other, retries=True))


def test_one_side_without_tls_is_an_error(site, opening):
    refuses(opening(site.url(site.ports["right", "no"], scheme="redis"), retries=True))
    url = site.url(site.ports["without TLS"], ca_certs="ours") + "&socket_timeout=0.2&socket_connect_timeout=0.2"
    refuses(opening(url, retries=True))


@pytest.mark.parametrize(("authority", "right"), [("ours", True), ("another", False)])
def test_the_blocking_client_that_an_async_saver_derives_checks_the_same(site, authority, right):
    async def main():
        port, files = site.ports["right", "no"], {"ssl_ca_certs": site.files[authority]}
        client = redis.asyncio.Redis(port=port, password=PASSWORD, ssl=True, retry=AsyncRetry(NoBackoff(), 0), **files)
        async with client, AsyncRedisSaver(client) as saver:
            if right:
                config = await saver.aput(at("derived"), state("c0"), {})
                assert saver.get(config) == state("c0")
            else:
                for call in (saver.get, saver.get_tuple):
                    with pytest.raises(BackendUnavailableError, match="certificate verify failed"):
                        call(at("derived"))
                with pytest.raises(BackendUnavailableError, match="certificate verify failed"):
                    await saver.aget(at("derived"))

    asyncio.run(main())


def test_a_cluster_behind_tls(site, opening, monkeypatch):
    server = site.server("right", "--cluster-enabled", "yes", "--tls-cluster", "yes", authenticates="optional")
    with server:
        server.take_all_slots()
        port = site.ports["right", "optional"]
        works(opening(site.url(port, scheme="rediss+cluster", ca_certs="ours"), retries=True), "thread")
        monkeypatch.setattr(clients, "CLUSTER", CLUSTER._replace(retries=0))
        with pytest.raises(BackendUnavailableError, match="certificate verify failed") as caught:
            RedisSaver.from_url(site.url(port, scheme="rediss+cluster", ca_certs="another"))
        assert PASSWORD not in str(caught.value)


def test_a_server_with_a_wrong_certificate_is_out_of_reach_at_opening(site, caplog):
    url = site.url(site.ports["misnamed", "no"], ca_certs="ours")
    for saver in (open_saver(url, fallback="memory://"), asyncio.run(aopen_saver(url, fallback="memory://"))):
        assert isinstance(saver, InMemorySaver)
    assert "certificate is not valid for" in caplog.text
    assert PASSWORD not in caplog.text
