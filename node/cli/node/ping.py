"""hedgerow ping: measure the path to a device, by its name in the mesh."""

from pathlib import Path

import click

from node.cli.node.options import client, state_option
from node.cli.report import emit, json_option


@click.command()
@click.argument("name")
@state_option
@json_option
@click.pass_context
def ping(ctx: click.Context, *, name: str, own_state: Path | None, as_json: bool) -> None:
    """Measure the path to the device NAME with one question over gossip.

    It asks the other daemon, not its services, so it works for any member we have a path to.
    """
    reply = client(ctx, own_state).post("/v1/ping", {"name": name})
    answered = reply["rtt_ms"] is not None
    if as_json:
        emit(reply)
    elif answered:
        click.echo(f"{reply['name']} answered in {reply['rtt_ms']:.1f} ms from {reply['path']}")
    else:
        click.echo(f"hedgerow: {reply['name']} did not answer", err=True)
    if not answered:
        ctx.exit(1)
