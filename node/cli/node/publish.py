"""hedgerow publish: hand signed objects to the mesh, through this node."""

from pathlib import Path

import click

from node.admin import files
from node.api.client import Client, Reply
from node.cli.node.options import client, state_option
from node.cli.report import emit, json_option


def send(daemon: Client, data: bytes) -> Reply:
    """Hand a bundle, or one signed object, to a daemon; return what it made of it.

    Raises:
        LocalError: no daemon listens, or it refused: then nothing was changed.
    """
    return daemon.post("/v1/publish", data)


@click.command()
@click.argument("file", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@state_option
@json_option
@click.pass_context
def publish(
    ctx: click.Context,
    *,
    file: tuple[str, ...],
    own_state: Path | None,
    as_json: bool,
) -> None:
    """Hand the signed objects in FILE to the mesh: a bundle (*.hgb), a revocation, a device.

    The node verifies them as it does everything it hears, and passes on what holds.
    """
    daemon = client(ctx, own_state)
    admitted = [
        entry for name in file for entry in send(daemon, files.read(Path(name)))["admitted"]
    ]
    if as_json:
        emit({"admitted": admitted})
        return
    for entry in admitted:
        news = "published" if entry["fresh"] else "known already"
        click.echo(f"{entry['type']} {entry['id'][:16]}: {news}")
