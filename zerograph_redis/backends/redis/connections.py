"""Blocking connections that keep to a deadline at every step, and that no signal handler crashes."""

from __future__ import annotations

from functools import cache
from time import monotonic
from typing import Any

from .commands import command, packed
from .retries import OutOfTime

__all__ = ("timed",)

_SHORTEST = 0.001  # seconds; zero would mean not to wait, and not to block


class _Packer:
    """Packs what redis-py itself says, as at logging in, from bytes alone too."""

    def pack(self, name: str | bytes, *words: Any) -> list[bytes]:
        """Pack a command, whose name may be several words."""
        return [packed([command(*command(name).words[0].split(), *words)])]


class _Timed:
    """What is added to a connection of redis-py's."""

    _deadline = float("inf")
    _cut = False
    """Whether its time-outs are shorter than usual."""

    def __init__(self, **options: Any) -> None:
        """Make the connection as usual."""
        super().__init__(**{"command_packer": _Packer(), **options})
        here: Any = self
        self._usual = here.socket_timeout, here.socket_connect_timeout

    def begin(self, deadline: float) -> None:
        """Begin what must be over at *deadline*, by the clock of `monotonic`."""
        self._deadline = deadline
        self._keep_time()

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send a command."""
        self._keep_time()
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *given: Any, **options: Any) -> Any:
        """Read a reply."""
        self._keep_time()
        return super().read_response(*given, **options)  # type: ignore[misc]

    def _keep_time(self) -> None:
        """Have no step last longer than there is time left."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise OutOfTime
        reading, connecting = self._usual
        cut = reading is None or connecting is None or left < reading or left < connecting
        if not cut and not self._cut:
            return
        self._cut = cut
        here: Any = self
        left = max(left, _SHORTEST)
        here.socket_timeout = left if reading is None else min(reading, left)
        here.socket_connect_timeout = left if connecting is None else min(connecting, left)
        sock = here._sock  # noqa: SLF001 - this connection's
        if sock is not None:
            sock.settimeout(here.socket_timeout)


@cache
def timed(kind: type[Any]) -> type[Any]:
    """Return the kind of connection that does what *kind* does, and keeps to a deadline."""
    return type(f"Timed{kind.__name__}", (_Timed, kind), {})
