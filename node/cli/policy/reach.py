"""`hedgerow policy who-can` and `what-can`: one column, or one row, of the matrix in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli import documents, report
from node.cli.clock import at_or_now
from node.cli.params import FILE, MOMENT

if TYPE_CHECKING:  # imported when a command runs: start-up time counts
    from policy.model import PortRange
    from policy.reach import Reach


@click.command(name="who-can")
@click.argument("path", metavar="POLICY", type=FILE)
@click.argument("what", metavar="RESOURCE[:PROTO/PORT]")
@click.option("--at", type=MOMENT, help="The instant to judge; else now.")
@report.json_option
def who_can(*, path: Path, what: str, at: float | None, as_json: bool) -> None:
    """Show who can reach RESOURCE, and under which conditions.

    RESOURCE is resource:NAME, tag:NAME, device:NAME, site:NAME or an address at a site; a bare
    name will do.
    """
    from policy.reach import who_can as found

    loaded = documents.load(path)
    name, ports = _split(what)
    reach = found(loaded.policy, loaded.directory, name, at_or_now(at), ports=ports)
    _show(
        reach, ["from", "ports", "if", "rule"], nothing=f"Nobody can reach {what}.", asked=as_json
    )


@click.command(name="what-can")
@click.argument("path", metavar="POLICY", type=FILE)
@click.argument("who", metavar="WHO")
@click.option("--at", type=MOMENT, help="The instant to judge; else now.")
@report.json_option
def what_can(*, path: Path, who: str, at: float | None, as_json: bool) -> None:
    """Show what WHO can reach, and under which conditions.

    WHO is user:NAME, group:NAME, tag:NAME, device:NAME or site:NAME; a bare name is a device, or
    else a user.
    """
    from policy.reach import what_can as found

    loaded = documents.load(path)
    reach = found(loaded.policy, loaded.directory, who, at_or_now(at))
    _show(reach, ["to", "ports", "if", "rule"], nothing=f"{who} can reach nothing.", asked=as_json)


def _split(text: str) -> "tuple[str, Sequence[PortRange]]":
    """Read `NAME` or `NAME:PORTS`, where NAME may have a colon of its own.

    Raises:
        UsageError: What stands for the ports is none.
    """
    import ipaddress

    from policy.ports import parse_ports
    from policy.selectors import SelectorKind

    name, colon, ports = text.rpartition(":")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        return text, ()
    if not colon or name in {kind.word for kind in SelectorKind}:
        return text, ()
    try:
        return name, parse_ports(ports)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error


def _show(reach: "Sequence[Reach]", columns: Sequence[str], *, nothing: str, asked: bool) -> None:
    from policy.ports import describe

    if asked:
        report.emit({"reach": [each.as_json() for each in reach]})
        return
    if not reach:
        click.echo(nothing)
        return
    report.table(
        columns,
        (
            [
                str(each.source if columns[0] == "from" else each.destination),
                describe(each.entry.ports),
                each.conditions,
                each.entry.rule,
            ]
            for each in reach
        ),
    )
