"""A server that evicts keys may take parts of a thread away: said once, when a saver first reached it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from zerograph_redis.display import about, visible

__all__ = ("QUESTION", "warn_of_eviction")

_log = logging.getLogger(__name__)

QUESTION = ("INFO", "memory")
"""Not CONFIG GET, which few users of a managed server may run."""


def warn_of_eviction(answer: Any) -> None:
    """Warn if the server, or a node of the cluster, evicts keys."""
    nodes = answer.values() if isinstance(answer, Mapping) and "maxmemory_policy" not in answer else [answer]
    for node in nodes:
        policy = node.get("maxmemory_policy", "noeviction") if isinstance(node, Mapping) else "noeviction"
        if policy != "noeviction":
            _log.warning(
                "the server's maxmemory-policy is %s: when its memory is full it removes keys, and with them parts of a "
                "thread, which then cannot be read. Set it to noeviction, and use ttl, keep_last or max_age",
                visible(str(policy)),
                extra=about(None),
            )
            return
