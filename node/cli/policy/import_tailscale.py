"""`hedgerow policy import-tailscale`: a document made of a Tailscale policy file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto.errors import LocalError
from node.cli import report
from node.cli.params import FILE

if TYPE_CHECKING:  # imported when the command runs: start-up time counts
    from policy.importers.tailscale import Imported


def _mesh(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from policy.selectors import SelectorKind, is_name, name_form

    if not is_name(value, SelectorKind.DEVICE):
        message = f"{value!r} is no mesh; it is called {name_form(SelectorKind.DEVICE)}."
        raise click.BadParameter(message, context, parameter)
    return value


@click.command(name="import-tailscale")
@click.argument("path", metavar="FILE.hujson", type=FILE)
@click.option("--out", type=FILE, help="File to write the document to; else it is printed.")
@click.option(
    "--mesh", default="mesh", show_default=True, callback=_mesh, help="Mesh that it is for."
)
@report.json_option
def import_tailscale(*, path: Path, out: Path | None, mesh: str, as_json: bool) -> None:
    """Make a policy document of a Tailscale policy file.

    Nothing that comes out allows what the file did not. What has no equivalent is left out, and
    listed at the head of the document, with its line and why.
    """
    from node.admin import files
    from policy.importers.tailscale import convert

    imported = convert(_text(path), str(path), mesh=mesh)
    if out is not None:
        files.write(out, imported.toml.encode())
    if as_json:
        report.emit(_json(imported))
        return
    if out is None:
        click.echo(imported.toml, nl=False)
    for finding in (*imported.not_imported, *imported.notes):
        report.note(f"{path}:{finding}")
    left = report.count(len(imported.not_imported), "construct")
    report.note(f"{out or path}: {left} not imported; `hedgerow policy test` runs its tests")


def _text(path: Path) -> str:
    from node.admin import files

    try:
        return files.read(path).decode()
    except UnicodeDecodeError as error:
        raise LocalError(
            f"{path} is not a Tailscale policy file: it is not UTF-8 text",
            remedy="export it again from Tailscale's console",
        ) from error


def _json(imported: "Imported") -> dict[str, object]:
    return {
        "toml": imported.toml,
        "not_imported": [
            {"line": each.line, "what": each.what, "why": each.why}
            for each in imported.not_imported
        ],
        "notes": [
            {"line": each.line, "what": each.what, "why": each.why} for each in imported.notes
        ],
    }
