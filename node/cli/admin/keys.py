"""What a command signs with: key files, keys that ssh holds, signatures from elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto.errors import LocalError
from node.cli import report
from node.cli.params import FILE
from node.cli.passphrase import Passphrases

if TYPE_CHECKING:  # imported when a command runs: they pull in the cryptography
    from crypto.signing import Envelope
    from node.admin.folder import Folder
    from node.admin.signers import Signer

key_option = click.option(
    "--key",
    "key_paths",
    type=FILE,
    multiple=True,
    help="Key file to sign with; else the first fitting one in the folder.",
)

holder_key_option = click.option(
    "--key", "key_paths", type=FILE, multiple=True, help="A holder's key file, to sign with."
)

ssh_key_option = click.option(
    "--ssh-key",
    "ssh_paths",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="SSH key to sign with: FILE.pub of one in ssh-agent, or a private key's file.",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys the command line names.

    Attributes:
        files: Key files of ours.
        ssh: Files to name to ssh-keygen.
        passphrases: Files with the passphrases of the key files.
        signatures: Signatures that ssh-keygen made elsewhere.
        asks: Ask whether to sign, after all has been shown and before any key is touched.
    """

    files: tuple[Path, ...]
    ssh: tuple[Path, ...]
    passphrases: tuple[Path, ...]
    signatures: tuple[Path, ...] = ()
    asks: bool = False

    @property
    def named(self) -> tuple[Path, ...]:
        """Every key that is named, by its file."""
        return (*self.files, *self.ssh, *self.signatures)

    def require_some(self) -> None:
        """Raise a usage error unless one is named."""
        if not self.named:
            raise click.UsageError("Missing option '--key' or '--ssh-key'.")


def unlock(keys: Keys) -> "list[Signer]":
    """Make these keys ready to sign: key files are opened, the others found.

    Raises:
        LocalError: A file is none of a key, one key comes twice, a passphrase does not fit, or
            who was asked does not want to sign.
    """
    from node.admin import keyfile, signers, sshkeys

    if keys.asks and not click.confirm("Sign it?", err=True):
        raise LocalError("nothing was signed", remedy="talk to who proposed it")
    loaded = [keyfile.load(path) for path in keys.files]
    others: list[Signer] = [*map(sshkeys.load, keys.ssh)]
    others += map(sshkeys.load_signature, keys.signatures)
    signers.require_distinct([key.public for key in loaded] + [key.public for key in others])
    if not loaded:
        return others
    found = Passphrases(keys.passphrases).find([str(path) for path in keys.files])
    opened = [keyfile.unlock(key, text) for key, text in zip(loaded, found, strict=True)]
    return [*opened, *others]


def unlock_role(folder: "Folder", role: str, keys: Keys) -> "Signer":
    """Make one key of a role ready: the one named, or the first key file in the folder that fits.

    Raises:
        LocalError: More than one key is named, or none fits the role.
    """
    from node.admin import keyfile, layout

    allowed = folder.trust.root.roles[role].keys
    if len(keys.named) > 1:
        raise LocalError(
            f"a single {role} key signs this, not {len(keys.named)}",
            remedy="give --key or --ssh-key once",
        )
    if keys.ssh:
        (signer,) = unlock(keys)
        if signer.public in allowed:
            return signer
    else:
        for path in keys.files or layout.key_files(folder.path):
            if keyfile.load(path).public in allowed:
                return unlock(Keys((path,), (), keys.passphrases))[0]
    here = folder.path / layout.KEYS
    where = f"{keys.named[0]} is no" if keys.named else f"no key file in {here} is a"
    raise LocalError(
        f"{where} {role} key of this mesh",
        remedy="name one with --key or --ssh-key; `hedgerow admin show` lists who holds which "
        "role",
    )


def export(
    path: Path, envelope: "Envelope", mesh_id: bytes, *, added: Path, as_json: bool
) -> None:
    """Write what ssh-keygen is to sign on another machine, and say what to do there.

    Raises:
        LocalError: It cannot be written.
    """
    from crypto import signing
    from node.admin import files

    files.write(path, signing.to_be_signed_by_ssh(envelope.type, mesh_id, envelope.payload))
    namespace = signing.ssh_namespace(envelope.type)
    if as_json:
        report.emit({"to_be_signed": path, "namespace": namespace})
        return
    click.echo(f"{path}: the bytes to sign; nothing is signed yet")
    click.echo("\nNext, where the key is:")
    click.echo(f"  ssh-keygen -Y sign -n {namespace} -f KEY {path.name}")
    click.echo("and then here:")
    click.echo(f"  hedgerow admin sign --add {added} --add-sshsig {path.name}.sig")
