"""hedgerow peers: the devices that a rule lets us talk to, or lets talk to us."""

from pathlib import Path

import click

from node.cli.node.options import client, state_option
from node.cli.node.status import show_peers
from node.cli.report import emit, json_option


@click.command()
@state_option
@json_option
@click.pass_context
def peers(ctx: click.Context, *, own_state: Path | None, as_json: bool) -> None:
    """List the devices that a rule lets us talk to."""
    reply = client(ctx, own_state).get("/v1/peers")
    if as_json:
        emit(reply)
    else:
        show_peers(reply["peers"])
