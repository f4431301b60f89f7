"""`hedgerow admin keygen`: one holder makes a key, and hands on only its public half."""

from pathlib import Path

import click

from node.cli.params import FILE
from node.cli.passphrase import Passphrases, passphrase_option


@click.command()
@click.option("--out", "path", type=FILE, required=True, help="Where to write the key file.")
@passphrase_option
def keygen(path: Path, passphrase_files: tuple[Path, ...]) -> None:
    """Make a key, sealed under a passphrase, and print its public half."""
    from node.admin import files, keyfile

    (passphrase,) = Passphrases(passphrase_files).find([str(path)], new=True)
    key = keyfile.generate()
    files.write(path, keyfile.encode(key, passphrase), mode=files.SECRET_MODE)
    click.echo(keyfile.format_key(key.public))
