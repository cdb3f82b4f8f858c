"""How times, UUIDs, paths, IP addresses and regular expressions are encoded and decoded."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from . import codes
from .attributes import refuse_attributes
from .codes import Function, RefusedError, Types, expect

# A zone's key becomes a file name.
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,7}")
_ZONE_LENGTH: Final = 100

# Without re.DEBUG, which prints whenever the pattern is compiled.
_FLAGS: Final = int(re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE)


def _datetime_parts(value: datetime) -> list[Any]:
    v = value
    return [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.fold, v.tzinfo]


def _datetime(stored: Any) -> datetime:
    *parts, fold, zone = expect(list, stored)
    year, month, day, hour, minute, second, microsecond = parts
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def _time(stored: Any) -> time:
    hour, minute, second, microsecond, fold, zone = expect(list, stored)
    return time(hour, minute, second, microsecond, zone, fold=fold)


def _date(stored: Any) -> date:
    year, month, day = expect(list, stored)
    return date(year, month, day)


def _timedelta(stored: Any) -> timedelta:
    days, seconds, microseconds = (expect(int, part) for part in expect(list, stored))
    return timedelta(days, seconds, microseconds)


def _timezone_parts(value: timezone) -> list[Any] | None:
    if value is UTC:
        return None
    offset = value.utcoffset(None)
    parts: list[Any] = [offset.days, offset.seconds, offset.microseconds]
    # A name that only shows the offset is not stored: the offset implies it.
    name = value.tzname(None)
    return parts if offset and name == timezone(offset).tzname(None) else [*parts, name]


def _timezone(stored: Any) -> timezone:
    if stored is None:
        return UTC
    days, seconds, microseconds, *name = expect(list, stored)
    return timezone(_timedelta([days, seconds, microseconds]), *name)


def _is_zone(key: Any) -> bool:
    return type(key) is str and len(key) <= _ZONE_LENGTH and _ZONE.fullmatch(key) is not None


def _zone_key(value: ZoneInfo) -> str:
    if not _is_zone(value.key):
        raise RefusedError(
            f"its key {value.key!r}, by which it is stored, is not in the tz database; use ZoneInfo(key)"
        )
    try:
        value.__reduce__()
    except Exception as error:  # pickle's own error, and nothing here imports pickle
        raise RefusedError(
            "it was read from a file, and a zone is stored by its key alone; use ZoneInfo(key)"
        ) from error
    return value.key


def _zone(stored: Any) -> ZoneInfo:
    if not _is_zone(stored):
        raise ValueError("not the key of a zone")
    return ZoneInfo(stored)


def _uuid_parts(value: UUID) -> Any:
    return value.bytes if value.is_safe is SafeUUID.unknown else [value.bytes, value.is_safe.value]


def _uuid(stored: Any) -> UUID:
    content, safe = (stored, None) if type(stored) is bytes else expect(list, stored)
    return UUID(bytes=expect(bytes, content), is_safe=SafeUUID(safe))


def _path_text(value: PurePath) -> str:
    text = str(value)
    if type(value)(text).parts != value.parts:
        raise RefusedError(f"its parts are not those of its text {text!r}; make it from the text")
    return text


def _network_text(value: Any) -> str:
    text = str(value)
    refuse_attributes(value, vars(type(value)(text)))
    return text


class _Patterns(threading.local):
    """How much compiling of patterns the current OS thread may still do for the value that it packs or unpacks."""

    left = 0
    held = False

    def begin(self) -> None:
        """Begin another value, except within `hold`."""
        if not self.held:
            self.left = _MOST_STEPS

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count everything that is packed in the block as one value, since it will be unpacked as one."""
        self.begin()
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def take(self, pattern: str | bytes, flags: int) -> None:
        """Count a pattern before it is compiled; RefusedError if the value's patterns take too long to compile."""
        self.left -= _steps(pattern, flags)
        if self.left < 0:
            raise RefusedError("the regular expressions of the value take too long to compile; store them as text")


PATTERNS: Final = _Patterns()

# Compiling takes about a quarter of a microsecond a step: half a second for all patterns of a value. Classes cost more
# than characters and groups, since each may get a table of 65,536 entries, and a range in a class costs as much as it is
# wide.
_MOST_STEPS: Final = 2_000_000
_PATTERN, _CHARACTER, _GROUP, _CLASS, _TABLE = 1_000, 40, 800, 6_000, 1 << 16
_IGNORING_CASE: Final = re.compile(r"\(\?[a-zA-Z]*i")
_TOKEN: Final = re.compile(
    r"\\(?:[xuU](?P<hex>(?<=x)[0-9a-fA-F]{2}|(?<=u)[0-9a-fA-F]{4}|(?<=U)[0-9a-fA-F]{8})|(?P<oct>[0-7]{1,3})"
    r"|(?P<name>N\{[^}]*\})|(?P<other>.))|(?P<plain>.)",
    re.DOTALL,
)


def _steps(pattern: str | bytes, flags: int) -> int:
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    wide, dash, before = 0, False, _TABLE
    if "-" in text and len(text) * _CHARACTER <= _MOST_STEPS:
        for token in _TOKEN.finditer(text):
            if token["plain"] == "-" and not dash:
                dash = True
                continue
            point = _point(token)
            wide += min(max(point - before, 0), _TABLE) if dash else 0
            dash, before = False, point
    ignoring = flags & re.IGNORECASE or _IGNORING_CASE.search(text)
    marks = (text.count("(") + text.count("|")) * _GROUP + text.count("[") * _CLASS
    return _PATTERN + len(text) * _CHARACTER + marks + wide * (3 if ignoring else 1)


def _point(token: re.Match[str]) -> int:
    if token["hex"]:
        return int(token["hex"], 16)
    if token["oct"]:
        return int(token["oct"], 8)
    return _TABLE if token["name"] else ord(token["other"] or token["plain"])


def _pattern_parts(value: re.Pattern[Any]) -> list[Any]:
    if value.flags & ~_FLAGS:
        raise RefusedError(f"it has the flag {re.RegexFlag(value.flags & ~_FLAGS)!r}; compile it without that")
    if type(value.pattern) not in (str, bytes):
        raise RefusedError(f"its pattern is a {type(value.pattern).__name__}, not a str or bytes")
    PATTERNS.take(value.pattern, value.flags)
    return [value.pattern, value.flags]


def _pattern(stored: Any) -> re.Pattern[Any]:
    pattern, flags = expect(list, stored)
    if type(pattern) not in (str, bytes) or expect(int, flags) & ~_FLAGS:
        raise ValueError("not a pattern")
    PATTERNS.take(pattern, flags)
    return re.compile(pattern, flags)


def _from_text(kind: Function) -> Function:
    return lambda stored: kind(expect(str, stored))


_PATHS: Final[dict[type, int]] = {
    PurePosixPath: codes.PURE_POSIX_PATH,
    PureWindowsPath: codes.PURE_WINDOWS_PATH,
    PosixPath: codes.POSIX_PATH,
    WindowsPath: codes.WINDOWS_PATH,
}
_NETWORKS: Final[dict[type, int]] = {
    IPv4Network: codes.IPV4_NETWORK,
    IPv6Network: codes.IPV6_NETWORK,
    IPv4Interface: codes.IPV4_INTERFACE,
    IPv6Interface: codes.IPV6_INTERFACE,
}

TYPES: Final[Types] = {
    datetime: (codes.DATETIME, _datetime_parts, _datetime),
    date: (codes.DATE, lambda v: [v.year, v.month, v.day], _date),
    time: (codes.TIME, lambda v: [v.hour, v.minute, v.second, v.microsecond, v.fold, v.tzinfo], _time),
    timedelta: (codes.TIMEDELTA, lambda v: [v.days, v.seconds, v.microseconds], _timedelta),
    timezone: (codes.TIMEZONE, _timezone_parts, _timezone),
    ZoneInfo: (codes.ZONEINFO, _zone_key, _zone),
    UUID: (codes.UUID, _uuid_parts, _uuid),
    re.Pattern: (codes.PATTERN, _pattern_parts, _pattern),
    IPv4Address: (codes.IPV4_ADDRESS, str, _from_text(IPv4Address)),
    IPv6Address: (codes.IPV6_ADDRESS, str, _from_text(IPv6Address)),
    **{kind: (code, _path_text, _from_text(kind)) for kind, code in _PATHS.items()},
    **{kind: (code, _network_text, _from_text(kind)) for kind, code in _NETWORKS.items()},
}
