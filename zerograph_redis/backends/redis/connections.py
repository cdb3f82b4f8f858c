"""Blocking connections that are made ready within a deadline, step by step, and that no signal handler crashes."""

from __future__ import annotations

from functools import cache
from time import monotonic
from typing import Any

from .commands import command, packed
from .retries import OutOfTime

SHORTEST = 0.001  # seconds; zero would mean not to wait, and not to block


class _Packer:
    """Packs what redis-py itself says, as at logging in, from bytes alone too."""

    def pack(self, name: str | bytes, *words: Any) -> list[bytes]:
        """Pack a command, whose name may be several words."""
        return [packed([command(*command(name).words[0].split(), *words)])]


class _Timed:
    """What is added to a connection of redis-py's."""

    _deadline: float | None = None

    def __init__(self, **options: Any) -> None:
        """Make the connection as usual."""
        super().__init__(**{"command_packer": _Packer(), **options})
        here: Any = self
        self._usual = here.socket_timeout, here.socket_connect_timeout
        self.patience: float | None = here.socket_timeout
        """Seconds for which the socket waits by itself at each step."""

    def prepare(self, deadline: float) -> None:
        """Do all that redis-py does before it sends a command: connect, log in, look whether the server is well.

        Raises:
            OutOfTime: It was not over at *deadline*, by the clock of `monotonic`.
        """
        self._deadline = deadline
        self.send_packed_command(())
        self._deadline = None
        self._set_time_outs(*self._usual)

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
        if self._deadline is None:
            return
        left = self._deadline - monotonic()
        if left <= 0:
            raise OutOfTime
        left = max(left, SHORTEST)
        self._set_time_outs(*(left if each is None else min(each, left) for each in self._usual))

    def _set_time_outs(self, reading: float | None, connecting: float | None) -> None:
        here: Any = self
        here.socket_timeout, here.socket_connect_timeout = reading, connecting
        sock = here._sock  # noqa: SLF001 - this connection's
        if sock is not None:
            sock.settimeout(reading)


@cache
def timed(kind: type[Any]) -> type[Any]:
    """Return the kind of connection that does what *kind* does, and is made ready within a deadline."""
    return type(f"Timed{kind.__name__}", (_Timed, kind), {})
