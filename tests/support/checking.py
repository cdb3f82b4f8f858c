"""A checkup as a test sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from zerograph_redis.tools.diagnose.doctor import Report, check_threads, check_up
from zerograph_redis.tools.diagnose.findings import Finding, Level


@contextmanager
def silent(_what: str, _total: int | None) -> Iterator[Callable[[], None]]:
    """Show nobody how far it is."""
    yield lambda: None


def look(saver: Any, *, deep: bool = True, fix: bool = False) -> Report:
    """Look a store over."""
    return check_up(getattr(saver, "saver", saver).store, silent, deep=deep, fix=fix)


def amiss(findings: list[Finding]) -> dict[str, Finding]:
    """What is not in order, by what was looked at."""
    found = {each.check: each for each in findings if each.level is not Level.OK}
    assert len(found) == sum(each.level is not Level.OK for each in findings)
    return found


def levels(findings: list[Finding]) -> dict[str, str]:
    """How bad is what is not in order."""
    return {name: each.level.value for name, each in amiss(findings).items()}


def assert_sound(saver: Any, allowed: Collection[str] = ("order",)) -> None:
    """Read all that a saver's store holds, and assert that nothing is wrong with it; servers are not checked.

    Args:
        saver: A saver, or a face of one.
        allowed: Checks that may find something; a test may store checkpoints before their parents.
    """
    report = Report()
    check_threads(getattr(saver, "saver", saver).store, report, silent, deep=True)
    found = [
        f"{each.check}: {each.what} {each.items}"
        for each in report.within
        if each.level is not Level.OK and each.check not in allowed and not each.what.startswith("cannot scan keys")
    ]
    assert not found, f"not sound: {found}"
