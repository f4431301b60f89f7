"""The demo's outcome as a table of who reached what."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from node.lab.showcase.report import Check, Report

ARROW, COLON = " -> ", ":tcp/"


def render(report: Report) -> None:
    """Print who reached which port of whom, then the other checks."""
    console = Console(width=None if Console().is_terminal else 110)
    pairs = [check for check in report.checks if ARROW in check.name]
    console.print(_matrix(pairs))
    others = _table("check", "expected", "observed", "", title="What else was tried")
    for check in report.checks:
        if ARROW not in check.name:
            others.add_row(check.name, check.expected, check.observed, _mark(check))
    console.print(others)


def _matrix(pairs: list[Check]) -> Table:
    """Rows are sources, columns destinations, cells the ports that answered."""
    cells: dict[str, dict[str, list[str]]] = {}
    for check in pairs:
        source, _, rest = check.name.partition(ARROW)
        target, _, port = rest.partition(COLON)
        cell = cells.setdefault(source, {}).setdefault(target, [])
        if check.observed == "allow" or not check.ok:
            cell.append(port if check.ok else f"{port}!")
    names = list(cells)
    table = _table(
        "from \\ to",
        *(name.replace("-", "-\n", 1) for name in names),
        title="TCP ports that answered (! = not as the policy says)",
    )
    for source in names:
        table.add_row(source, *(" ".join(cells[source].get(name, [])) or "-" for name in names))
    return table


def _table(*headers: str, title: str) -> Table:
    """Return a table so narrow that the six machines fit on a terminal of 80 columns."""
    return Table(*headers, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _mark(check: Check) -> str:
    return "ok" if check.ok else "FAILED"
