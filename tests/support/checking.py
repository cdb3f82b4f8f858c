"""Checkups, as a test runs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from zerograph_redis.tools.diagnose.doctor import Diagnosis, check_threads, check_up
from zerograph_redis.tools.diagnose.findings import Finding, Level


def assert_sound(saver: Any, allowed: Collection[str] = ("order",)) -> None:
    """Read all that a saver's store holds, and assert that nothing is wrong with it; servers are not checked.

    Args:
        saver: A saver, or a face of one.
        allowed: Checks that may find something; a test may store checkpoints before their parents.
    """
    diagnosis = Diagnosis()
    check_threads(_store_of(saver), diagnosis, silent, deep=True)
    found = [
        f"{each.check}: {each.message} {each.items}"
        for each in diagnosis.stored
        if each.level is not Level.OK and each.check not in allowed and not each.message.startswith("cannot scan keys")
    ]
    assert not found, f"not sound: {found}"


def check(saver: Any, *, deep: bool = True, fix: bool = False) -> Diagnosis:
    """Run a whole checkup of a saver's store."""
    return check_up(_store_of(saver), silent, deep=deep, fix=fix)


def amiss(findings: list[Finding]) -> dict[str, Finding]:
    """What is not ok, by check, which must be unique."""
    found = [each for each in findings if each.level is not Level.OK]
    by_check = {each.check: each for each in found}
    assert len(by_check) == len(found)
    return by_check


def levels(findings: list[Finding]) -> dict[str, str]:
    """The levels of what is not ok."""
    return {name: each.level.value for name, each in amiss(findings).items()}


@contextmanager
def silent(_what: str, _total: int | None) -> Iterator[Callable[[], None]]:
    """Show no progress."""
    yield lambda: None


def _store_of(saver: Any) -> Any:
    return getattr(saver, "saver", saver).store
