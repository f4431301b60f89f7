"""`hedgerow admin publish`: hand signed files to a running node, which passes them on."""

from pathlib import Path

import click

from node.cli import report
from node.cli.admin.options import publish_to, socket_option, state_option
from node.cli.params import FILE


@click.command()
@click.argument("paths", metavar="FILE...", type=FILE, nargs=-1, required=True)
@state_option
@socket_option
@report.json_option
def publish(
    *, paths: tuple[Path, ...], state: Path | None, socket: Path | None, as_json: bool
) -> None:
    """Hand bundles, roots, devices and revocations to the node on this machine.

    The node verifies them as it does anything from anywhere: publishing needs no key, and any
    node of the mesh will do.
    """
    from node.admin import files

    loaded = [(path, files.read(path)) for path in paths]
    admitted = [entry for _, data in loaded for entry in publish_to(data, state, socket)]
    if as_json:
        report.emit({"admitted": admitted})
        return
    for entry in admitted:
        news = "published" if entry["fresh"] else "known already"
        click.echo(f"{entry['type']} {entry['id'][:16]}: {news}")
