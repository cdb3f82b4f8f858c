"""Exceptions that a signal handler raises: at a chosen point of a call, or at any moment by a real timer."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """Raised by a signal handler; no `Exception`, like KeyboardInterrupt."""


def interrupt_at(number: int, call: Callable[[], Any], error: type[BaseException] = Interrupted) -> bool:
    """Run *call*, and raise *error* at its n-th point where Python runs signal handlers; False if it has no such point.

    Python runs them where a function starts and after calls of C functions: the events of a profiler. Counting from 0
    until this returns False tries every moment at which a signal can arrive, and is repeatable.
    """
    left = number

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal left
        if event in {"call", "c_return"}:
            left -= 1
            if left == -1:
                raise error

    with _in_callbacks(error):
        try:
            try:
                sys.setprofile(count)
                call()
            finally:
                sys.setprofile(None)
        except error:
            pass
    return left < 0


@contextmanager
def _in_callbacks(error: type[BaseException]) -> Iterator[None]:
    """Do not report what a handler raises in callbacks and during garbage collection, where Python drops it."""

    def hook(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, error):
            before(unraisable)

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def alarms() -> Iterator[None]:
    """Have SIGALRM raise `Interrupted` in the main thread."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with _in_callbacks(Interrupted):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_after(seconds: float, call: Callable[[], Any]) -> bool:
    """Run *call* within `alarms`, and send this process a SIGALRM after so many seconds; False if it ended before."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        return True
    return False
