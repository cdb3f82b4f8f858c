"""``doctor``: is the store in order?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerograph_redis.errors import BackendUnavailableError
from zerograph_redis.tools.diagnose.doctor import Report, check_up
from zerograph_redis.tools.diagnose.findings import Finding, Level

from .exits import Code
from .output import console, print_json
from .parameters import Json
from .progress import progress
from .session import Session
from .tables import shown
from .text import count

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


SHOWN = 5
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "fixed": "cyan"}


def doctor(
    context: typer.Context,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Look at facts alone; do not read what threads hold.")] = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Mend the list of threads, deadlines and left-overs; never what a thread says."),
    ] = False,
    json: Json = False,
) -> None:
    """Look over the server, or the file, and every thread on it. Ends with 1 if there is a problem."""
    session: Session = context.obj
    try:
        report = check_up(session.unchecked, progress, deep=not quick, fix=fix)
    except BackendUnavailableError as error:
        report = Report([Finding("reachable", Level.PROBLEM, str(error))])
    problems, warnings = len(report.of(Level.PROBLEM)), len(report.of(Level.WARNING))
    if json:
        print_json(
            {
                "store": session.place,
                "prefix": session.prefix if session.is_redis else None,
                "quick": quick,
                "fix": fix,
                "problems": problems,
                "warnings": warnings,
                "threads": report.tally.threads,
                "checkpoints": report.tally.checkpoints,
                "bytes": report.tally.bytes,
                "findings": [_as_json(each) for each in report.findings],
            }
        )
    else:
        for findings in filter(None, (report.around, report.within)):
            console().print(_shown(findings, report.nodes))
            console().print()
        told = f"{count(problems, 'problem')}, {count(warnings, 'warning')}" if problems or warnings else "All is well"
        fixed = sum(each.fixed for each in report.findings)
        console().print(shown(f"{told}{f', {fixed} fixed' if fixed else ''}.", "bold"))
    if not report.is_reachable:
        raise typer.Exit(Code.UNAVAILABLE)
    if problems:
        raise typer.Exit(Code.ERROR)


def _shown(findings: list[Finding], nodes: int) -> Table:
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
    yield shown(finding.what + _where(finding, nodes))
    if finding.level is Level.OK:
        return
    for item in finding.items[:SHOWN]:
        yield shown(f"  {item}", "dim")
    if len(finding.items) > SHOWN:
        yield shown(f"  … and {len(finding.items) - SHOWN:,} more", "dim")
    if finding.mend and not finding.fixed:
        yield shown(f"→ {finding.mend}", "italic")


def _where(finding: Finding, nodes: int) -> str:
    """Name the servers that something is about, if it is not about the only one, or about all that are well."""
    if nodes == 1 or not finding.nodes:
        return ""
    if finding.level is Level.OK and len(finding.nodes) > 1:
        return f" ({len(finding.nodes)} servers)"
    return f" ({', '.join(finding.nodes)})"


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "what": finding.what,
        "mend": finding.mend or None,
        "nodes": finding.nodes,
        "items": finding.items,
        "fixable": finding.fixable,
        "fixed": finding.fixed,
    }
