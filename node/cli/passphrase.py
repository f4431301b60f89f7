"""Passphrases: from a file, from the file that the environment names, or from the keyboard.

Never from an argument: arguments stand in `ps` and in the shell's history.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from crypto.errors import LocalError
from node.cli.params import FILE

ENVIRONMENT = "HEDGEROW_PASSPHRASE_FILE"

passphrase_option = click.option(
    "--passphrase-file",
    "passphrase_files",
    type=FILE,
    multiple=True,
    help=f"First line is the passphrase; one for all keys, or one for each in order. "
    f"Else {ENVIRONMENT}, else a prompt.",
)


class Passphrases:
    """Where the passphrases of one command come from."""

    def __init__(self, given: Sequence[Path]) -> None:
        named = os.environ.get(ENVIRONMENT)
        self._files = list(given) or ([Path(named)] if named else [])

    def find(self, names: Sequence[str], *, new: bool = False) -> list[str]:
        """Return one passphrase for each of these keys; a new one is asked for twice.

        Raises:
            LocalError: A file cannot be read or is empty, or nobody is there to ask.
            click.UsageError: There are several files, and not one for each key.
        """
        if not self._files:
            return [_ask(name, new=new) for name in names]
        if len(self._files) not in {1, len(names)}:
            raise click.UsageError(
                f"{len(self._files)} passphrase files for {len(names)} keys: "
                "give one for all, or one for each"
            )
        read = [_read(path) for path in self._files]
        return read * len(names) if len(read) == 1 else read


def _read(path: Path) -> str:
    from node.admin import files

    try:
        lines = files.read(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise LocalError(
            f"{path} is not text", remedy="write the passphrase on its first line"
        ) from error
    if not lines or not lines[0]:
        raise LocalError(f"the first line of {path} is empty", remedy="write the passphrase on it")
    return lines[0]


def _ask(name: str, *, new: bool) -> str:
    label = f"New passphrase for {name}" if new else f"Passphrase for {name}"
    try:
        answer: str = click.prompt(label, hide_input=True, confirmation_prompt=new, err=True)
    except click.Abort as error:
        raise LocalError(
            f"no passphrase was given for {name}",
            remedy=f"type it when asked, or name a file with --passphrase-file or {ENVIRONMENT}",
        ) from error
    return answer
