"""The configs and other arguments of calls, checked: which thread and checkpoint they name, and how to write there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import ConfigError

from .requests import Expected
from .settings import LONGEST, Durability, Settings, is_durability, milliseconds

_log = logging.getLogger(__name__)

DEFAULT_THREAD = "__default__"  # ZeroGraph's name for the thread of a config that names none
_BITS = 1024  # an int that is an id has at most so many: the text of a longer one takes long


class Address(NamedTuple):
    """What a config names; ``ttl`` in ms is the config's own, or the saver's."""

    thread: str
    namespace: str
    checkpoint_id: str | None
    ttl: int | None
    token: int | None = None
    expected: Expected | None = None

    def key(self, checkpoint_id: str) -> tuple[str, str, str]:
        """Return the thread, the namespace and the id of a checkpoint in these."""
        return self.thread, self.namespace, checkpoint_id

    def config(self, checkpoint_id: str) -> dict[str, Any]:
        """Return the config of a checkpoint in this thread and namespace."""
        return {
            "configurable": {
                "thread_id": self.thread,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": checkpoint_id,
            }
        }


def read_config(config: Any, settings: Settings, thread: str | None = None) -> Address:
    """Read a config; ConfigError if it is wrong. One without a thread id names *thread*, if that is given."""
    if type(config) is not dict and not isinstance(config, Mapping):
        raise ConfigError(f"a config is a dict with a 'configurable' dict inside, not {quoted(config)}")
    configurable = config.get("configurable", {})
    if type(configurable) is not dict and not isinstance(configurable, Mapping):
        raise ConfigError(f"config['configurable'] must be a dict, not {quoted(configurable)}")
    thread = configurable.get("thread_id", thread)
    namespace = configurable.get("checkpoint_ns", "")
    checkpoint_id = configurable.get("checkpoint_id")
    # Most ids are plain text, and most configs have no more than these.
    if type(thread) is not str or not thread or thread == DEFAULT_THREAD:
        thread = _read_thread(thread, config, configurable, settings)
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


def _read_thread(thread: Any, config: Mapping[str, Any], configurable: Mapping[str, Any], settings: Settings) -> str:
    """Read a thread id that is not plain text, or missing."""
    if thread is not None or "thread_id" in configurable:
        thread = read_id("config['configurable']['thread_id']", thread)
        if thread == DEFAULT_THREAD and settings.require_thread_id:
            # The engine writes it into the configs of workflows that were called without a thread id.
            raise ConfigError(
                f"the thread {DEFAULT_THREAD!r} is what configs without a thread_id share, and require_thread_id refuses "
                f"it: write {{'configurable': {{'thread_id': ...}}}}"
            )
        return str(thread)
    is_flat = "thread_id" in config
    wanted = f"{{'configurable': {{'thread_id': {quoted(config['thread_id']) if is_flat else '...'}}}}}"
    if settings.require_thread_id:
        raise ConfigError(
            f"config has a thread_id outside of 'configurable': write {wanted}"
            if is_flat
            else f"config has no configurable.thread_id, and require_thread_id is set: write {wanted}"
        )
    if is_flat not in _warned:
        _warned.add(is_flat)
        _log.warning(
            "config has no configurable.thread_id: checkpoints go to the thread %r, which everybody shares; %s",
            DEFAULT_THREAD,
            f"did you mean {wanted}?"
            if is_flat
            else f"write {wanted}, or set require_thread_id to refuse such configs",
            extra=about(DEFAULT_THREAD),
        )
    return DEFAULT_THREAD


_warned: set[bool] = set()
"""Which configs without a thread id this process has warned of: those with the id in the wrong place, and others."""


def read_durability(config: Any, settings: Settings) -> Durability:
    """Return the durability of a config, or the saver's. `read_config` checks the rest."""
    configurable = config.get("configurable") if type(config) is dict or isinstance(config, Mapping) else None
    if type(configurable) is not dict and not isinstance(configurable, Mapping):
        return settings.durability
    if "durability" not in configurable:
        return settings.durability
    value = configurable["durability"]
    if not is_durability(value):
        raise ConfigError(f"config['configurable']['durability'] must be 'sync' or 'async', not {quoted(value)}")
    return value


def read_id(what: str, value: Any) -> str:
    """Return an id: a non-empty str; UUIDs and ints of up to 1024 bits mean their text. ConfigError for anything else."""
    if type(value) is str and value:
        return value
    if isinstance(value, str) and str.__len__(value):
        return str.__str__(value)  # not the __str__ of a subclass
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and int.bit_length(value) <= _BITS:
        return int.__repr__(value)
    raise ConfigError(f"{what} must be a non-empty string, not {quoted(value)}")


def is_empty(value: Any) -> bool:
    """Tell whether a value stands for no id."""
    return value is None or (isinstance(value, str) and not str.__len__(value))


def lease_of(thread: Any, ttl: Any) -> tuple[str, int]:
    """Read the thread and the ttl of a lease, in ms."""
    found = _ttl(ttl, "ttl")
    if found is None:
        raise ConfigError("ttl must be seconds or a timedelta: a lease without an end would outlive its worker")
    return read_id("thread_id", thread), found


def read_wait(value: Any) -> float:
    """Read how many seconds to wait for a lease, 0 for None."""
    if value is None:
        return 0.0
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(f"wait must be seconds, at least 0, a timedelta, or None not to wait, not {quoted(value)}")
    return float(min(value, LONGEST))


def read_owner(value: Any) -> str | None:
    """Read the name of the holder of a lease; None for the default."""
    return None if is_empty(value) else read_id("owner", value)


def read_token(value: Any) -> int | None:
    """Read the token of a lease, or None."""
    if value is not None and (type(value) is not int or value.bit_length() > _BITS):
        raise ConfigError(f"lease_token must be the token of a lease, not {quoted(value)}")
    return value


def read_age(what: str, value: Any) -> int | None:
    """Read an age: µs of seconds or a timedelta."""
    found = _ttl(value, what)
    return None if found is None else found * 1000


def _ttl(value: Any, what: str = "config['configurable']['ttl']") -> int | None:
    try:
        return milliseconds(what, value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _expected(configurable: Mapping[str, Any]) -> Expected:
    value = configurable["expect_checkpoint_id"]
    return Expected(None if value is None else read_id("config['configurable']['expect_checkpoint_id']", value))
