"""`hedgerow policy matrix`: who may reach what, and under which conditions."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli import documents, report
from node.cli.clock import at_or_now
from node.cli.params import FILE, MOMENT

if TYPE_CHECKING:  # imported when the command runs: start-up time counts
    from policy.matrix import Cell, Entry, Matrix
    from policy.model import Selector


@click.command()
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--at", type=MOMENT, help="The instant to judge; else now.")
@click.option(
    "--by",
    type=click.Choice(["people", "groups", "devices"]),
    help="Rows: users, groups, or devices, tags and sites; else all of them.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a row for each grant, as CSV.")
@click.option("--html", "as_html", is_flag=True, help="Print a page that needs nothing else.")
@report.json_option
def matrix(
    *,
    path: Path,
    at: float | None,
    by: str | None,
    as_csv: bool,
    as_html: bool,
    as_json: bool,
) -> None:
    """Show the access matrix of a policy document or a bundle.

    A cell names the ports; what does not hold at the moment, or hangs on a condition, says so.
    """
    from node.cli.policy.page import page
    from policy.matrix import default_rows
    from policy.matrix import matrix as made

    if as_csv + as_html + as_json > 1:
        raise click.UsageError("Choose one of --csv, --html and --json.")
    loaded = documents.load(path)
    now = at_or_now(at)
    rows = [each for each in default_rows(loaded.policy, loaded.directory) if _asked(each, by)]
    table = made(loaded.policy, loaded.directory, now, rows=rows)
    if as_json:
        report.emit(table.as_json())
    elif as_csv:
        _write_csv(table)
    elif as_html:
        click.echo(page(loaded.policy.mesh, now.hi, *grid(table)), nl=False)
    else:
        _draw(table)


def _asked(row: "Selector", by: str | None) -> bool:
    word = row.kind.word
    return by is None or by == {"user": "people", "group": "groups"}.get(word, "devices")


def _draw(table: "Matrix") -> None:
    head, rows = grid(table)
    if rows:
        report.table(head, rows)
    else:
        click.echo("Nobody may reach anything.")


def grid(table: "Matrix") -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the head and the rows of a table as texts; what would be empty is left out."""
    columns = [each for each in table.columns if any(key[1] == each for key in table.cells)]
    rows = [each for each in table.rows if any(key[0] == each for key in table.cells)]
    return ["from", *map(str, columns)], [
        [str(row), *(_cell(table.cells.get((row, column))) for column in columns)] for row in rows
    ]


def _cell(cell: "Cell | None") -> str:
    if cell is None:
        return ""
    if cell.block is not None:
        return f"blocked by {cell.block}"
    return "\n".join(_entry(entry) for entry in cell.entries)


def _entry(entry: "Entry") -> str:
    from policy.ports import describe

    text = describe(entry.ports)
    if entry.conditions:
        text += f" if {', '.join(entry.conditions)}"
    return text if entry.allow else f"({text}: {entry.reason.value})"


def _write_csv(table: "Matrix") -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["from", "to", "ports", "allow", "rule", "reason", "conditions", "until"])
    writer.writerows(_csv_rows(table))


def _csv_rows(table: "Matrix") -> Iterator[Sequence[str]]:
    from policy.ports import describe

    for (row, column), cell in table.cells.items():
        for entry in cell.entries:
            allow = entry.allow and cell.block is None
            yield [
                str(row),
                str(column),
                describe(entry.ports),
                "yes" if allow else "no",
                entry.rule if cell.block is None else cell.block,
                entry.reason.value if cell.block is None else "block",
                "; ".join(entry.conditions),
                report.moment(entry.until, never=""),
            ]
