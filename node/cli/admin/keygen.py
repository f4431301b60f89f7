"""`hedgerow admin keygen`: one holder makes a key, and hands on only its public half."""

from pathlib import Path

import click

from node.cli.params import FILE
from node.cli.passphrase import Passphrases, passphrase_option


@click.command()
@click.option("--out", "path", type=FILE, help="Where to write the key file.")
@click.option("--holder", help="An SSH key or its .pub file; then none is made.")
@passphrase_option
def keygen(path: Path | None, holder: str | None, passphrase_files: tuple[Path, ...]) -> None:
    """Make a key, sealed under a passphrase, and print its public half.

    With --holder no key is made: the public half of one that ssh holds is printed as this program
    writes it everywhere.
    """
    from node.admin import files, keyfile, keytext

    if holder is not None and path is None:
        click.echo(keytext.format_key(keytext.find_key(holder)))
        return
    if path is None or holder is not None:
        raise click.UsageError("Name a file to make with --out, or a key with --holder: not both.")
    (passphrase,) = Passphrases(passphrase_files).find([str(path)], new=True)
    key = keyfile.generate()
    files.write(path, keyfile.encode(key, passphrase), mode=files.SECRET_MODE)
    click.echo(keytext.format_key(key.public))
