"""``doctor``: checks servers, files and threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from zerograph_redis.errors import BackendUnavailableError
from zerograph_redis.tools.diagnose.findings import Finding, Level, problem

from .exits import Code
from .output import console, print_json
from .parameters import Json
from .progress import progress
from .session import Session
from .text import count, shown

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


SHOWN = 5
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "fixed": "cyan"}


def doctor(
    context: typer.Context,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Check keys and counts only; do not read what threads hold.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair the thread index and TTLs, and remove what unfinished copies left. "
            "Changes no checkpoint, so it needs no --yes.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Check the server, or the file, and every thread on it. Exits with 1 if there is a problem."""
    from zerograph_redis.tools.diagnose.doctor import Diagnosis, check_up  # with redis-py, which the help does without

    session: Session = context.obj
    try:
        diagnosis = check_up(session.unchecked, progress, deep=not quick, fix=fix)
    except BackendUnavailableError as error:
        diagnosis = Diagnosis([problem("reachable", str(error))])
    problems, warnings = len(diagnosis.of(Level.PROBLEM)), len(diagnosis.of(Level.WARNING))
    if json:
        print_json(
            {
                "store": session.place,
                "prefix": session.prefix if session.is_redis else None,
                "quick": quick,
                "fix": fix,
                "problems": problems,
                "warnings": warnings,
                "threads": diagnosis.tally.threads,
                "checkpoints": diagnosis.tally.checkpoints,
                "bytes": diagnosis.tally.bytes,
                "findings": [
                    asdict(each) | {"level": each.level.value, "fix": each.fix or None} for each in diagnosis.findings
                ],
            }
        )
    else:
        for findings in filter(None, (diagnosis.place, diagnosis.stored)):
            console().print(_table(findings, diagnosis.nodes))
            console().print()
        result = (
            f"{count(problems, 'problem')}, {count(warnings, 'warning')}" if problems or warnings else "All is well"
        )
        fixed = sum(each.fixed for each in diagnosis.findings)
        console().print(shown(f"{result}{f', {fixed} fixed' if fixed else ''}.", "bold"))
    if not diagnosis.is_reachable:
        raise typer.Exit(Code.UNAVAILABLE)
    if problems:
        raise typer.Exit(Code.ERROR)


def _table(findings: list[Finding], nodes: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, min_width=max(map(len, _STYLES)))
    rows.add_column(no_wrap=True, min_width=len("pending_writes"))
    rows.add_column(overflow="fold")
    for each in findings:
        word = "fixed" if each.fixed else each.level.value
        rows.add_row(Text(word, _STYLES[word]), each.check, Text("\n").join(_lines(each, nodes)))
    return rows


def _lines(finding: Finding, nodes: int) -> Iterator[Text]:
    yield shown(finding.message + _where(finding, nodes))
    if finding.level is Level.OK:
        return
    for item in finding.items[:SHOWN]:
        yield shown(f"  {item}", "dim")
    if len(finding.items) > SHOWN:
        yield shown(f"  … and {len(finding.items) - SHOWN:,} more", "dim")
    if finding.fix and not finding.fixed:
        yield shown(f"→ {finding.fix}", "italic")


def _where(finding: Finding, nodes: int) -> str:
    """Name the servers that a finding is about: only of several, and not if several are ok."""
    if nodes == 1 or not finding.nodes:
        return ""
    if finding.level is Level.OK and len(finding.nodes) > 1:
        return f" ({len(finding.nodes)} servers)"
    return f" ({', '.join(finding.nodes)})"
