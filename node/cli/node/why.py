"""hedgerow why: explain one decision, as this node would take it now."""

from pathlib import Path
from urllib.parse import urlencode

import click

from node.cli.node.options import client, state_option
from node.cli.report import emit, json_option, moment

KEYS = ("decision", "rule", "reason", "valid_until")


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST:PROTO/PORT")
@state_option
@json_option
@click.pass_context
def why(
    ctx: click.Context,
    *,
    source: str,
    target: str,
    own_state: Path | None,
    as_json: bool,
) -> None:
    """Explain whether SRC may reach DST, and which rule or condition says so.

    SRC and DST are names: of a device, or user:NAME, group:NAME, tag:NAME. Exit code 1 is deny.

        hedgerow why alice-laptop db1:tcp/5432
    """
    destination, colon, service = target.rpartition(":")
    if not (colon and destination and service):
        raise click.BadParameter("write it like db1:tcp/22 or tag:prod:icmp", param_hint="DST")
    query = {"source": source, "destination": destination, "service": service}
    reply = client(ctx, own_state).get(f"/v1/why?{urlencode(query)}")
    if as_json:
        emit({key: reply[key] for key in KEYS})
    else:
        _show(reply)
    if reply["decision"] != "allow":
        ctx.exit(1)


def _show(reply: dict[str, str | float | None]) -> None:
    rule = f" by {reply['rule']}" if reply["rule"] else ""
    until = reply["valid_until"]
    ends = f", until {moment(float(until))}" if until is not None else ""
    click.echo(f"{reply['decision']}{rule}: {reply['reason']}{ends}")
    if reply["condition"]:
        click.echo(f"  not so: {reply['condition']}")
    if reply["remedy"]:
        click.echo(f"  {reply['remedy']}")
