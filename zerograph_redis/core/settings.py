"""What a saver was told, and what a config says: both checked once, here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypedDict, TypeGuard
from uuid import UUID

from zerograph_redis.core.requests import Expected
from zerograph_redis.display import quoted
from zerograph_redis.errors import ConfigError
from zerograph_redis.serde import EncryptedSerializer, MsgpackSerializer, Serializer
from zerograph_redis.serde.encrypted import Cipher
from zerograph_redis.state_log import Codec, EncryptedCodec, PlainCodec
from zerograph_redis.state_log.compression import Compression
from zerograph_redis.state_log.draft import MOST_BYTES
from zerograph_redis.telemetry import Telemetry

MOST = 2**53 - 1
"""The largest number that Lua represents exactly. A keep_last above it keeps every checkpoint."""
DEFAULT_THREAD = "__default__"  # ZeroGraph's name for the thread of a config that names none

DEFAULT_STORE = "zerograph"
"""The name that encryption binds the threads of SQLite, memory, files of threads, and the default prefix to."""

Durability = Literal["sync", "async"]
"""When a put returns: once it is stored, or once it is packed, and stored in the background."""


class CommonOptions(TypedDict, total=False):
    """Options of every saver, all by name."""

    ttl: float | timedelta | None
    """Seconds, or a timedelta, after which a thread that nobody writes is gone, whole. Default: None, never."""
    refresh_on_read: bool
    """Whether reading a thread begins its ttl anew. Default: True."""
    max_age: float | timedelta | None
    """Seconds, or a timedelta: checkpoints older than this go with the next put, but for the newest. Default: None."""
    serializer: Serializer | EncryptedSerializer | None
    """How values become msgpack bytes, encrypted or not. Default: a `MsgpackSerializer` without registered types."""
    compression: Literal["zstd"] | None
    """Whether what a put adds to the log is compressed; needs the extra ``zstd``. Default: None."""
    compression_level: int
    """1 (fast) to 22 (small). Default: 3."""
    max_state_bytes: int
    """How many bytes a state may have; one that claims more is refused before it is unpacked. Default: 1 GiB."""
    require_lease: bool
    """Whether a write without a lease is refused. Default: False."""
    durability: Durability
    """Whether a put is stored when it returns ("sync"), or soon after ("async"). Default: "sync"."""
    telemetry: Telemetry | None
    """Who gets a span of each operation, and metrics; needs the extra ``otel``. Default: None, nobody."""


class Options(CommonOptions, total=False):
    """Options of a saver with `keep_last`."""

    keep_last: int | None
    """How many checkpoints a put leaves in its namespace. Default: None, all."""


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The options of a saver, checked: ``ttl`` in ms, ``max_age`` in µs, None for never. Each saver has its own."""

    ttl: int | None
    refresh_on_read: bool
    keep_last: int | None
    max_age: int | None
    serializer: Serializer
    encryption: EncryptedSerializer | None
    compression: Compression | None
    require_lease: bool
    durability: Durability
    telemetry: Telemetry | None
    store: str
    """The name that encryption binds threads to, unless it was given another."""
    max_state_bytes: int

    plain: PlainCodec
    """The coding of threads that are not encrypted."""

    def cipher(self, thread: str) -> Cipher | None:
        """What encrypts for *thread*, if anything does."""
        return None if self.encryption is None else self.encryption.cipher(self.store, thread)

    def of_files(self) -> Settings:
        """The same for files of threads, which are encrypted for one name, whichever store they come from."""
        return replace(self, store=DEFAULT_STORE)

    def coding(self, thread: str) -> Codec:
        """What becomes of the pieces of *thread*."""
        if self.encryption is None:
            return self.plain
        return EncryptedCodec(self.encryption.cipher(self.store, thread), self.compression)

    @classmethod
    def check(
        cls,
        *,
        ttl: float | timedelta | None = None,
        refresh_on_read: bool = True,
        keep_last: int | None = None,
        max_age: float | timedelta | None = None,
        serializer: Serializer | EncryptedSerializer | None = None,
        compression: Literal["zstd"] | None = None,
        compression_level: int = 3,
        require_lease: bool = False,
        durability: Durability = "sync",
        telemetry: Telemetry | None = None,
        store: str = DEFAULT_STORE,
        max_state_bytes: int = MOST_BYTES,
    ) -> Settings:
        """Check `Options`; ValueError for one that makes no sense, TypeError for one that does not exist."""
        for name, value in (("refresh_on_read", refresh_on_read), ("require_lease", require_lease)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be True or False, not {quoted(value)}")
        if keep_last is not None:
            if type(keep_last) is not int or keep_last < 1:
                raise ValueError(
                    f"keep_last must be a whole number of at least 1, or None to keep all, not {quoted(keep_last)}"
                )
            keep_last = min(keep_last, MOST)
        if type(max_state_bytes) is not int or max_state_bytes < 1:
            raise ValueError(f"max_state_bytes must be a whole number of at least 1, not {quoted(max_state_bytes)}")
        encryption = serializer if isinstance(serializer, EncryptedSerializer) else None
        if isinstance(serializer, EncryptedSerializer):
            serializer = serializer.serializer
        if serializer is not None and not (hasattr(serializer, "pack") and hasattr(serializer, "unpack")):
            raise ValueError(
                f"serializer must have pack and unpack, as MsgpackSerializer has, not a {type(serializer).__name__}"
            )
        if not _is_durability(durability):
            raise ValueError(f"durability must be 'sync' or 'async', not {quoted(durability)}")
        if not isinstance(telemetry, Telemetry | None):
            raise ValueError(f"telemetry must be a Telemetry or None, not a {type(telemetry).__name__}")
        codec = None if compression is None else Compression(compression, compression_level)
        return cls(
            _milliseconds("ttl", ttl),
            refresh_on_read,
            keep_last,
            _microseconds("max_age", max_age),
            serializer or MsgpackSerializer(),
            encryption,
            codec,
            require_lease,
            durability,
            telemetry,
            store,
            max_state_bytes,
            PlainCodec(codec),
        )


class Address(NamedTuple):
    """What a config points at; ``ttl`` in ms is the config's own, or the saver's."""

    thread: str
    namespace: str
    checkpoint_id: str | None
    ttl: int | None
    token: int | None = None
    expected: Expected | None = None

    def config(self, checkpoint_id: str) -> dict[str, Any]:
        """A config for a checkpoint at this address."""
        return {
            "configurable": {
                "thread_id": self.thread,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": checkpoint_id,
            }
        }


def read_config(config: Any, settings: Settings) -> Address:
    """Find thread, namespace, checkpoint id and ttl in *config*; ConfigError for what cannot be one."""
    if type(config) is not dict and not isinstance(config, Mapping):
        raise ConfigError(f"a config is a dict with a 'configurable' dict inside, not {quoted(config)}")
    configurable = config.get("configurable", {})
    if type(configurable) is not dict and not isinstance(configurable, Mapping):
        raise ConfigError(f"config['configurable'] must be a dict, not {quoted(configurable)}")
    thread = configurable.get("thread_id", DEFAULT_THREAD)
    namespace = configurable.get("checkpoint_ns", "")
    checkpoint_id = configurable.get("checkpoint_id")
    # Most ids are plain text, and most configs have no more than these.
    if type(thread) is not str or not thread:
        thread = read_id("config['configurable']['thread_id']", thread)
    if type(namespace) is not str:
        namespace = "" if is_empty(namespace) else read_id("config['configurable']['checkpoint_ns']", namespace)
    if type(checkpoint_id) is not str or not checkpoint_id:
        what = "config['configurable']['checkpoint_id']"
        checkpoint_id = None if is_empty(checkpoint_id) else read_id(what, checkpoint_id)
    return Address(
        thread,
        namespace,
        checkpoint_id,
        _ttl(configurable["ttl"]) if "ttl" in configurable else settings.ttl,
        read_token(configurable["lease_token"]) if "lease_token" in configurable else None,
        _expected(configurable) if "expect_checkpoint_id" in configurable else None,
    )


def read_durability(config: Any, settings: Settings) -> Durability:
    """Return the durability that *config* asks for, or the saver's; what else it says is checked by `read_config`."""
    configurable = config.get("configurable") if type(config) is dict or isinstance(config, Mapping) else None
    if type(configurable) is not dict and not isinstance(configurable, Mapping):
        return settings.durability
    if "durability" not in configurable:
        return settings.durability
    value = configurable["durability"]
    if not _is_durability(value):
        raise ConfigError(f"config['configurable']['durability'] must be 'sync' or 'async', not {quoted(value)}")
    return value


def _is_durability(value: Any) -> TypeGuard[Durability]:
    return isinstance(value, str) and value in {"sync", "async"}


def read_id(what: str, value: Any) -> str:
    """Return the id that *value* spells: a non-empty str; UUIDs and ints of up to 1024 bits mean their text."""
    if type(value) is str and value:
        return value
    if isinstance(value, str) and str.__len__(value):
        return str.__str__(value)  # whatever a subclass makes of it
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and int.bit_length(value) <= _BITS:
        return int.__repr__(value)
    raise ConfigError(f"{what} must be a non-empty string, not {quoted(value)}")


def is_empty(value: Any) -> bool:
    """Tell whether a value stands for no id."""
    return value is None or (isinstance(value, str) and not str.__len__(value))


def _ttl(value: Any) -> int | None:
    try:
        return _milliseconds("config['configurable']['ttl']", value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def lease_of(thread: Any, ttl: Any) -> tuple[str, int]:
    """Check the arguments of a lease: its thread, and how long it is held in ms."""
    try:
        milliseconds = _milliseconds("ttl", ttl)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if milliseconds is None:
        raise ConfigError("ttl must be seconds or a timedelta: a lease without an end would outlive its worker")
    return read_id("thread_id", thread), milliseconds


def read_wait(value: Any) -> float | None:
    """Return for how many seconds to wait for a lease."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(f"wait must be seconds, at least 0, a timedelta, or None not to wait, not {quoted(value)}")
    return float(min(value, _LONGEST))


def read_owner(value: Any) -> str | None:
    """Return what the holder of a lease calls itself; None for the default."""
    return None if is_empty(value) else read_id("owner", value)


def read_token(value: Any) -> int | None:
    """Return the token of a lease that *value* is, or None."""
    if value is not None and (type(value) is not int or value.bit_length() > _BITS):
        raise ConfigError(f"lease_token must be the token of a lease, not {quoted(value)}")
    return value


def _expected(configurable: Mapping[str, Any]) -> Expected:
    value = configurable["expect_checkpoint_id"]
    return Expected(None if value is None else read_id("config['configurable']['expect_checkpoint_id']", value))


def read_age(what: str, value: Any) -> int | None:
    """Return the µs that seconds or a timedelta mean; ConfigError for what cannot be an age."""
    try:
        return _microseconds(what, value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _microseconds(what: str, value: Any) -> int | None:
    milliseconds = _milliseconds(what, value)
    return None if milliseconds is None else milliseconds * 1000


def _milliseconds(what: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise ValueError(f"{what} must be seconds, a timedelta, or None for never, not {quoted(value)}")
    # Compared before it is multiplied: an int may be larger than any float.
    milliseconds = int(value * 1000) if -1 < value <= _LONGEST else 0
    if not 1 <= milliseconds <= _LONGEST:
        raise ValueError(f"{what} must be from a millisecond to a hundred years, not {quoted(value)} seconds")
    return milliseconds


_BITS = 1024  # of an int that names something: longer ones have no text
_LONGEST = 100 * 366 * 24 * 3600 * 1000
