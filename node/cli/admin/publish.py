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
    answers = {str(path): publish_to(data, state, socket) for path, data in loaded}
    if as_json:
        report.emit({"published": answers})
        return
    for path, answer in answers.items():
        said = ", ".join(f"{key} {value}" for key, value in answer.items())
        click.echo(f"{path}: {said or 'taken'}")
