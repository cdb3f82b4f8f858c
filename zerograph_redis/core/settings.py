"""The options of savers, and the settings that they are checked into."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, Protocol, TypedDict, TypeGuard, TypeVar

from typing_extensions import Unpack

from zerograph_redis.display import quoted
from zerograph_redis.serde import EncryptedSerializer, MsgpackSerializer, Serializer
from zerograph_redis.serde.encrypted import Cipher
from zerograph_redis.state_log.codec import Codec, Compression, EncryptedCodec, PlainCodec
from zerograph_redis.state_log.draft import MOST_BYTES

from .requests import Operation

MOST = 2**53 - 1
"""The largest integer that Lua represents exactly. A keep_last above it keeps every checkpoint."""

DEFAULT_STORE = "zerograph"
"""The store name that encryption uses for SQLite, memory, files of threads, and the default prefix."""

Durability = Literal["sync", "async"]
"""When a put returns: once it is stored, or once it is packed, and stored in the background."""

R = TypeVar("R")


class Observer(Protocol):
    """Observes the operations of one saver."""

    def observe(self, operation: Operation[R]) -> AbstractContextManager[Operation[R]]:
        """Return a context whose value is the operation to run instead of *operation*."""


class ObserverFactory(Protocol):
    """What the option ``telemetry`` takes: a `zerograph_redis.Telemetry`."""

    def observer(self, store: Mapping[str, str | int]) -> Observer:
        """Make the observer of a saver, whose store has these attributes."""


class CommonOptions(TypedDict, total=False):
    """Options of every saver, all by name."""

    ttl: float | timedelta | None
    """Seconds, or a timedelta, after its last write until a thread expires as a whole. Default: None, never."""
    refresh_on_read: bool
    """Whether reading a thread renews its TTL. Default: True."""
    max_age: float | timedelta | None
    """Seconds, or a timedelta: the next put drops checkpoints older than this, except the newest. Default: None."""
    serializer: Serializer | EncryptedSerializer | None
    """How values become msgpack bytes, encrypted or not. Default: a `MsgpackSerializer` without registered types."""
    compression: Literal["zstd"] | None
    """How the bytes that a put adds to the log are compressed; needs the extra ``zstd``. Default: None."""
    compression_level: int
    """1 (fast) to 22 (small). Default: 3."""
    max_state_bytes: int
    """The largest state that is stored, or unpacked when it is read, in bytes. Default: 1 GiB."""
    require_lease: bool
    """Whether a write without a lease is refused. Default: False."""
    require_thread_id: bool
    """Whether a config without a ``thread_id`` is refused. Default: False, it means the thread ``__default__``."""
    require_checkpoint: bool
    """Whether reading a ``checkpoint_id`` that the thread does not have is refused. Default: False, it reads as None."""
    durability: Durability
    """Whether a put is stored when it returns ("sync"), or soon after ("async"). Default: "sync"."""
    telemetry: ObserverFactory | None
    """A `Telemetry`, which makes a span of each operation, and metrics; needs the extra ``otel``. Default: None."""


class Options(CommonOptions, total=False):
    """Options of a saver with `keep_last`."""

    keep_last: int | None
    """How many checkpoints a put keeps in its namespace. Default: None, all."""


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The checked options of one saver: ``ttl`` in ms, ``max_age`` in µs, None for never."""

    ttl: int | None
    refresh_on_read: bool
    keep_last: int | None
    max_age: int | None
    serializer: Serializer
    encryption: EncryptedSerializer | None
    compression: Compression | None
    require_lease: bool
    require_thread_id: bool
    require_checkpoint: bool
    durability: Durability
    telemetry: ObserverFactory | None
    store: str
    """The name that encryption binds threads to, unless the serializer has another."""
    max_state_bytes: int
    plain: PlainCodec
    """The codec of threads that are not encrypted."""

    def cipher(self, thread: str) -> Cipher | None:
        """Return what encrypts *thread*; None if the saver does not encrypt."""
        return None if self.encryption is None else self.encryption.cipher(self.store, thread)

    def for_files(self) -> Settings:
        """Return the settings for files of threads, which are encrypted under one store name wherever they come from."""
        return replace(self, store=DEFAULT_STORE)

    def codec(self, thread: str) -> Codec:
        """Return the codec for the segments of *thread*."""
        if self.encryption is None:
            return self.plain
        return EncryptedCodec(self.encryption.cipher(self.store, thread), self.compression)

    @classmethod
    def check(cls, *, store: str = DEFAULT_STORE, names: Collection[str] = (), **options: Unpack[Options]) -> Settings:
        """Check options.

        Args:
            store: The name that encryption binds threads to.
            names: All options of the saver, to suggest where the name of one is wrong. Default: those of `Options`.
            **options: See `Options`.

        Raises:
            TypeError: There is no option of this name.
            ValueError: A value is out of range or of the wrong type.
        """
        for name in options:
            if name not in Options.__optional_keys__:
                raise TypeError(_unknown_option(name, names or Options.__optional_keys__))
        keep_last, max_state_bytes = options.get("keep_last"), options.get("max_state_bytes", MOST_BYTES)
        if keep_last is not None:
            if type(keep_last) is not int or keep_last < 1:
                raise ValueError(
                    f"keep_last must be a whole number of at least 1, or None to keep all, not {quoted(keep_last)}"
                )
            keep_last = min(keep_last, MOST)
        if type(max_state_bytes) is not int or max_state_bytes < 1:
            raise ValueError(f"max_state_bytes must be a whole number of at least 1, not {quoted(max_state_bytes)}")
        serializer = options.get("serializer")
        encryption = serializer if isinstance(serializer, EncryptedSerializer) else None
        if isinstance(serializer, EncryptedSerializer):
            serializer = serializer.serializer
        if serializer is not None and not (hasattr(serializer, "pack") and hasattr(serializer, "unpack")):
            raise ValueError(
                f"serializer must have pack and unpack, as MsgpackSerializer has, not a {type(serializer).__name__}"
            )
        durability, telemetry = options.get("durability", "sync"), options.get("telemetry")
        if not is_durability(durability):
            raise ValueError(f"durability must be 'sync' or 'async', not {quoted(durability)}")
        if telemetry is not None and (isinstance(telemetry, type) or not hasattr(telemetry, "observer")):
            raise ValueError(f"telemetry must be a Telemetry or None, not a {type(telemetry).__name__}")
        compression = options.get("compression")
        codec = None if compression is None else Compression(compression, options.get("compression_level", 3))
        return cls(
            ttl=milliseconds("ttl", options.get("ttl")),
            refresh_on_read=_flag("refresh_on_read", options.get("refresh_on_read", True)),
            keep_last=keep_last,
            max_age=microseconds("max_age", options.get("max_age")),
            serializer=serializer or MsgpackSerializer(),
            encryption=encryption,
            compression=codec,
            require_lease=_flag("require_lease", options.get("require_lease", False)),
            require_thread_id=_flag("require_thread_id", options.get("require_thread_id", False)),
            require_checkpoint=_flag("require_checkpoint", options.get("require_checkpoint", False)),
            durability=durability,
            telemetry=telemetry,
            store=store,
            max_state_bytes=max_state_bytes,
            plain=PlainCodec(codec),
        )


def _unknown_option(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name.lower(), known, 1)
    if close:
        return f"unknown option {quoted(name)}; did you mean {close[0]!r}?"
    return f"unknown option {quoted(name)}; the options are {', '.join(sorted(known))}"


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {quoted(value)}")
    return value


def is_durability(value: Any) -> TypeGuard[Durability]:
    """Tell whether a value is a `Durability`."""
    return isinstance(value, str) and value in {"sync", "async"}


def microseconds(what: str, value: Any) -> int | None:
    """Return the µs of seconds or a timedelta, None for None; ValueError unless they are 1 ms to 100 years."""
    found = milliseconds(what, value)
    return None if found is None else found * 1000


def milliseconds(what: str, value: Any) -> int | None:
    """Return the ms of seconds or a timedelta, None for None; ValueError unless they are 1 ms to 100 years."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise ValueError(f"{what} must be seconds, a timedelta, or None for never, not {quoted(value)}")
    # Compared before it is multiplied: an int may be larger than any float.
    found = int(value * 1000) if -1 < value <= LONGEST else 0
    if not 1 <= found <= LONGEST:
        raise ValueError(f"{what} must be from a millisecond to a hundred years, not {quoted(value)} seconds")
    return found


LONGEST = 100 * 366 * 24 * 3600 * 1000
"""Milliseconds of a hundred years."""
