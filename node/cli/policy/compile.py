"""`hedgerow policy compile`: the parts of a bundle, before anyone signs them."""

from hashlib import sha256
from pathlib import Path

import click

from node.cli import documents, report
from node.cli.params import FILE, FOLDER


@click.command(name="compile")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--out", type=FOLDER, required=True, help="Folder to write the parts to.")
@report.json_option
def compile_(*, path: Path, out: Path, as_json: bool) -> None:
    """Compile a policy document: the same bytes on any machine, named by their hashes."""
    from node.admin import files

    compiled = documents.compile_file(path)
    parts = compiled.parts
    with files.explained("make", out):
        out.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        files.write(out / f"{name}.cbor", data, replace=True)
    described = {
        name: {
            "file": out / f"{name}.cbor",
            "hash": sha256(data).hexdigest(),
            "length": len(data),
        }
        for name, data in parts.items()
    }
    if as_json:
        report.emit({"source": compiled.source_sha256, "parts": described})
        return
    for part in described.values():
        click.echo(f"{part['hash']}  {part['file']}")
