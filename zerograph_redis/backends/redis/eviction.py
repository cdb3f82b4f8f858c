"""A server that evicts keys may take parts of a thread away: said once, when a saver first reached it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from zerograph_redis.display import about, visible

from .commands import command

_log = logging.getLogger(__name__)

QUESTION = command("INFO", "memory")
"""Not CONFIG GET, which few users of a managed server may run."""

_POLICY = re.compile(rb"^maxmemory_policy:(\S+)", re.MULTILINE)


def warn_of_eviction(answers: Sequence[Any]) -> None:
    """Warn if the server, or a node of the cluster, evicts keys."""
    for answer in answers:
        found = _POLICY.search(answer) if isinstance(answer, bytes) else None
        if found is not None and found[1] != b"noeviction":
            _log.warning(
                "the server's maxmemory-policy is %s: when its memory is full it removes keys, and with them parts of a "
                "thread, which then cannot be read. Set it to noeviction, and use ttl, keep_last or max_age",
                visible(found[1].decode(errors="replace")),
                extra=about(None),
            )
            return
