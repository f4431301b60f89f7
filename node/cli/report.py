"""What a command says: JSON for programs, a table or a few lines for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, with keys that stay."
)


def emit(value: Mapping[str, Any]) -> None:
    """Print one JSON object; bytes become hexadecimal, other values their text."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def note(text: str) -> None:
    """Say something to the person at the terminal without disturbing what is printed."""
    click.echo(text, err=True)


def count(number: int, noun: str) -> str:
    """Write a number of things: "1 rule", "3 rules"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print named values, one a line, the values under each other."""
    rows = [(name, str(value)) for name, value in pairs]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{name + ':':<{width + 1}} {value}")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, or as wide as it likes where there is none."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else 500
    Console(width=width, highlight=False).print(drawn)


def moment(seconds: float | None, *, never: str = "never") -> str:
    """Write a time in Unix seconds the way RFC 3339 does, in UTC."""
    if seconds is None:
        return never
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
