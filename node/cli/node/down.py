"""hedgerow down: leave the mesh for now, and remove interface, routes and rules."""

from pathlib import Path

import click

from node.api.client import Client, NotRunningError
from node.cli.node.options import places, state_option
from node.paths import Paths


@click.command()
@state_option
@click.pass_context
def down(ctx: click.Context, own_state: Path | None) -> None:
    """Leave the mesh and remove interface, routes and rules. `hedgerow up` comes back."""
    found = places(ctx, own_state)
    try:
        Client(found.socket).post("/v1/down", {})
        click.echo("left the mesh; interface and rules are removed", err=True)
    except NotRunningError:
        import asyncio

        asyncio.run(_remove(found))
        click.echo("no daemon was running; interface and rules are removed", err=True)


async def _remove(found: Paths) -> None:
    """Remove what a daemon that is gone has left in the kernel."""
    from node import lock, teardown

    with lock.held(found.lock):
        await teardown.remove(found)
