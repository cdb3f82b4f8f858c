"""What the addresses of the documentation stand for in a test: servers of its own, started when a page names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import trustme

from support.clusters import Cluster
from support.polling import until
from support.servers import RedisServer, free_port

REDIS, PRIMARY, TLS, CLUSTER, SENTINELS = 6379, 6381, 6390, 7001, (26379, 26380, 26381)
CERTIFICATES = "/etc/redis/tls"
SERVICE = "graphs"


class Places:
    """Real ports in the place of those that a page has, and back."""

    def __init__(self, text: str, directory: Path, start_cluster: Callable[[], Cluster]) -> None:
        """Start what *text* names; `close` ends it."""
        self._directory = directory
        self._stack = ExitStack()
        self._ports: dict[int, int] = {}
        self.server = self._serve("redis")
        self._ports[REDIS] = self.server.port
        if self._named(text, TLS):
            self._ports[TLS] = free_port()
            self._serve("tls", "--tls-port", str(self._ports[TLS]), *self._tls_options())
        if self._named(text, CLUSTER):
            # Not the one that all tests share: pages use the default prefix.
            self._ports[CLUSTER] = start_cluster().nodes[0][1]
        if self._named(text, SENTINELS[0]):
            self._ports |= dict(zip((PRIMARY, *SENTINELS), self._watched(), strict=True))

    @property
    def port(self) -> int:
        """The port of the server that clients use by default."""
        return self._ports[REDIS]

    def here(self, text: str) -> str:
        """Put real addresses into the text of a page."""
        for shown, real in self._ports.items():
            text = re.sub(rf"localhost:{shown}\b", f"127.0.0.1:{real}", text)
            text = re.sub(rf"(-p |port ){shown}\b", rf"\g<1>{real}", text)
        return text.replace(CERTIFICATES, str(self._directory / "certificates"))

    def shown(self, text: str) -> str:
        """Put the addresses of the page into what a command wrote."""
        for shown, real in self._ports.items():
            text = re.sub(rf"127\.0\.0\.1:{real}\b", f"localhost:{shown}", text)
            text = re.sub(rf"(?<![\d.:]){real}(?![\d.])", str(shown), text)
        return text.replace(str(self._directory / "certificates"), CERTIFICATES)

    def try_settings(self, config: str) -> None:
        """Start a server with the lines of a configuration, and stop it again."""
        options = ("--sentinel",) if re.search(r"^sentinel ", config, re.MULTILINE) else ()
        if CERTIFICATES in config:
            list(self._tls_options())  # what makes the files
        config = re.sub(r"^((?:tls-)?port) \d+$", lambda found: f"{found[1]} {free_port()}", config, flags=re.MULTILINE)
        with RedisServer(self._directory / uuid4().hex, *options, config=self.here(config)):
            pass

    def close(self) -> None:
        self._stack.close()

    @staticmethod
    def _named(text: str, port: int) -> bool:
        return re.search(rf"(localhost:|-p ){port}\b", text) is not None

    def _serve(self, name: str, *options: str, **settings: str) -> RedisServer:
        return self._stack.enter_context(RedisServer(self._directory / name, *options, **settings))

    def _tls_options(self) -> Iterator[str]:
        """Make an authority and a certificate, and name them to a server."""
        home = self._directory / "certificates"
        if not home.exists():
            home.mkdir()
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(home / "ca.pem"))
            made = authority.issue_cert("127.0.0.1", "localhost")
            made.private_key_pem.write_to_path(str(home / "redis.key"))
            made.cert_chain_pems[0].write_to_path(str(home / "redis.pem"))
        yield from ("--tls-cert-file", str(home / "redis.pem"), "--tls-key-file", str(home / "redis.key"))
        yield from ("--tls-ca-cert-file", str(home / "ca.pem"), "--tls-auth-clients", "no")

    def _watched(self) -> list[int]:
        """The ports of a primary with two replicas, and of three Sentinels that agree on it."""
        primary = self._serve("primary", "--repl-diskless-sync-delay", "0")
        for number in range(2):
            self._serve(
                f"replica-{number}", "--repl-diskless-sync-delay", "0", "--replicaof", f"127.0.0.1 {primary.port}"
            )
        with primary.client() as client:
            until(lambda: client.execute_command("WAIT", 2, 100) == 2)
        config = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        sentinels = [self._serve(f"sentinel-{number}", "--sentinel", config=config) for number in range(len(SENTINELS))]
        until(lambda: all(self._knows(each) for each in sentinels), seconds=30)
        return [each.port for each in (primary, *sentinels)]

    @staticmethod
    def _knows(sentinel: RedisServer) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_masters()[SERVICE]
        return state["num-slaves"] == 2 and state["num-other-sentinels"] == len(SENTINELS) - 1
