"""URLs of Redis: read once, and never quoted, since any part of a wrong URL may be a part of its password.

Messages name the scheme, once it is known to be valid. Of a URL that could be read, the hosts and the path are shown. No
error is chained to another here: the errors of the standard library quote what they could not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from ssl import TLSVersion
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from zerograph_redis.errors import ConfigError

SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel")

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")
_DATABASE = re.compile(r"(/[0-9]{0,9})?")
_SERVICE = re.compile(r"/+[^/]+(/[0-9]{0,9})?")
_ENCODE = "percent-encode / ? # @ % [ ] and control characters in user, password and options"


def split_url(url: Any) -> SplitResult:
    """Split a URL of Redis, and check each of its parts.

    Raises:
        ConfigError: It is wrong. The message quotes no part of it but the scheme.
    """
    if not isinstance(url, str):
        raise ConfigError(f"a URL is a string, not {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ConfigError(f"the URL's scheme must be one of {', '.join(SCHEMES)}")
    if _CONTROLS.search(url):
        raise ConfigError(f"the {scheme} URL has a control character, or a lone surrogate: {_ENCODE}")
    if "#" in rest or "@" in rest[re.search("[/?]|$", rest).start() :]:  # type: ignore[union-attr]  # the end is always found
        raise ConfigError(f"the {scheme} URL has a # or an @ where none is allowed: {_ENCODE}")
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if parts is None or "\ufffd" in unquote(parts.netloc):  # other bytes than UTF-8 would become another password
        raise ConfigError(f"the {scheme} URL's host, user or password cannot be read: {_ENCODE}")
    hosts = parts.netloc.rpartition("@")[2]
    if scheme == "unix":
        if hosts or not parts.path.strip("/"):
            raise ConfigError("the unix URL names no socket, or a host: write unix:///path/to/redis.sock")
    elif scheme == "redis+sentinel":
        for each in hosts.split(","):
            host_and_port(each, 26379)
        if not _SERVICE.fullmatch(parts.path):
            raise ConfigError(
                "the redis+sentinel URL names no service, or a database that is not a number: "
                "write redis+sentinel://host:26379,host:26379/service/0"
            )
    else:
        host_and_port(hosts, 6379)
        if not _DATABASE.fullmatch(parts.path):
            raise ConfigError(f"the {scheme} URL's database must be a number: write {scheme}://host:6379/0")
    options = options_of(parts)
    if scheme.endswith("+cluster") and (options.get("db") or int(parts.path[1:] or 0)):
        raise ConfigError(f"the {scheme} URL names a database, but a cluster has only database 0")
    return parts


def redacted(parts: SplitResult) -> str:
    """Show a URL that `split_url` accepted: without user, password and options."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def host_and_port(text: str, default: int) -> tuple[str, int]:
    """Read ``host:port``, or a host alone with the *default* port."""
    port = host = None
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        port, host = parts.port, unquote(parts.hostname or "")
        host.encode("idna")  # as a connection does
        port = default if port is None else port
    if host == "":
        raise ConfigError("the URL names no host: write redis://host:6379/0")
    if not port or host is None or not _HOST.fullmatch(host):
        raise ConfigError(
            "the URL's host or port is not valid: write host:6379, or [::1]:6379, with a port up to 65535"
        )
    return host, port


def options_of(parts: SplitResult) -> dict[str, Any]:
    """Return the options after a URL's ``?``, for the constructor of redis-py's connections."""
    found = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS or (name.startswith("ssl_") and not parts.scheme.startswith("rediss")):
            raise ConfigError(
                f"the {parts.scheme} URL has an option that is not allowed: use {', '.join(_OPTIONS)} "
                f"(ssl_… with rediss only), and percent-encode & and = in their values"
            )
        value = None
        with suppress(ValueError):
            value = _OPTIONS[name](text)
        if value is None:
            raise ConfigError(f"the {parts.scheme} URL's option {name} has a value that is not valid")
        found[name] = value
    return found


def _text(text: str) -> str | None:
    return None if "\0" in text or "\ufffd" in text else text


def _seconds(text: str) -> float | None:
    value = float(text)
    return value if isfinite(value) and 0 < value < 1e6 else None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _flag(text: str) -> bool | None:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower())


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda text: text if text in words else None


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "db": _whole,
    "username": _text,
    "password": _text,
    "client_name": _text,
    "protocol": {"2": 2, "3": 3}.get,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _flag,
    "health_check_interval": _whole,
    "max_connections": lambda text: _whole(text) or None,
    "decode_responses": _flag,
    "ssl_cert_reqs": _one_of("none", "optional", "required"),
    "ssl_check_hostname": _flag,
    "ssl_ca_certs": _text,
    "ssl_ca_path": _text,
    "ssl_ca_data": lambda text: _text(text) if text.isascii() else None,
    "ssl_certfile": _text,
    "ssl_keyfile": _text,
    "ssl_password": _text,
    "ssl_ciphers": _text,
    "ssl_min_version": lambda text: TLSVersion(int(text)),
}
"""The options that a URL may have, and how each is read: None, or a ValueError, for a value that is not valid."""
