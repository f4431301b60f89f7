"""`hedgerow admin init`: found a mesh."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli import report
from node.cli.admin.keys import Keys, holder_key_option, ssh_key_option, unlock
from node.cli.clock import now
from node.cli.params import DURATION, FOLDER, NETWORK
from node.cli.passphrase import Passphrases, passphrase_option

if TYPE_CHECKING:  # imported when the command runs: they pull in the cryptography
    from node.admin.drafts import Draft
    from node.admin.signers import Signer


@dataclass(frozen=True, slots=True)
class _Holders:
    """The keys of a new mesh: all their public halves, and those that sign now."""

    public: tuple[bytes, ...]
    signing: tuple["Signer", ...]
    files: dict[str, bytes]


@click.command()
@click.argument("mesh")
@click.option("--dir", "path", type=FOLDER, required=True, help="The admin folder to make.")
@click.option("--keys", "count", default=3, show_default=True, help="How many keys to make.")
@click.option("--threshold", default=2, show_default=True, help="How many of them must sign.")
@click.option(
    "--holder",
    "holders",
    multiple=True,
    help="A holder's public key, or an SSH key's .pub file; then none are made.",
)
@holder_key_option
@ssh_key_option
@click.option("--registrar", "registrars", multiple=True, help="Only these keys let devices in.")
@click.option("--revoker", "revokers", multiple=True, help="Only these keys take devices out.")
@click.option("--pool", type=NETWORK, default="100.64.0.0/10", show_default=True)
@click.option("--lifetime", type=DURATION, default="2y", show_default=True, help="Of the root.")
@passphrase_option
@report.json_option
def init(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    mesh: str,
    path: Path,
    count: int,
    threshold: int,
    holders: tuple[str, ...],
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    registrars: tuple[str, ...],
    revokers: tuple[str, ...],
    pool: IPv4Network,
    lifetime: int,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Found the mesh MESH: make or collect its keys, and sign its first root.

    By default three keys are made, each with all four roles, and any two of them sign together.
    For holders on machines of their own, each runs `hedgerow admin keygen` there, or has an SSH
    key of type Ed25519, in ssh-agent or on a security key; their public keys come in with
    --holder, and those that are at hand to sign with --key and --ssh-key.
    """
    from crypto.objects import Root
    from node.admin import drafts, genesis, keytext

    genesis.check_vacant(path)
    if holders or key_paths or ssh_paths:
        keys = _given(holders, Keys(key_paths, ssh_paths, passphrase_files))
    else:
        keys = _made(count, passphrase_files)
    moment = int(now().lo)
    root = Root(
        version=1,
        mesh_name=mesh,
        issued=moment,
        expires=moment + lifetime,
        roles=genesis.roles(
            keys.public,
            threshold,
            registrars=[keytext.find_key(text) for text in registrars],
            revokers=[keytext.find_key(text) for text in revokers],
        ),
        pool4=pool,
    )
    founded = drafts.start(root, keys.signing)
    genesis.write_folder(path, founded, keys.files)
    _tell(path, founded, sorted(keys.files), as_json=as_json)


def _given(holders: Sequence[str], keys: Keys) -> _Holders:
    from node.admin import keytext

    opened = unlock(keys)
    named = [keytext.find_key(text) for text in holders]
    public = dict.fromkeys([*named, *(key.public for key in opened)])
    return _Holders(tuple(public), tuple(opened), {})


def _made(count: int, passphrases: Sequence[Path]) -> _Holders:
    from node.admin import keyfile

    if not 1 <= count <= 32:
        raise click.UsageError(f"--keys is 1 to 32, not {count}.")
    names = [f"{number}.key" for number in range(1, count + 1)]
    found = Passphrases(passphrases).find(names, new=True)
    keys = [keyfile.generate() for _ in names]
    sealed = {
        name: keyfile.encode(key, text) for name, key, text in zip(names, keys, found, strict=True)
    }
    return _Holders(tuple(key.public for key in keys), tuple(keys), sealed)


def _tell(path: Path, founded: "Draft", key_names: Sequence[str], *, as_json: bool) -> None:
    from node.admin import keytext, layout

    root = founded.root
    role = root.roles["root"]
    where = layout.root_path(path, 1, partial=not founded.complete)
    if as_json:
        report.emit(
            {
                "mesh": root.mesh_name,
                "mesh_id": founded.mesh_id,
                "root": where,
                "complete": founded.complete,
                "signatures": len(founded.signers),
                "threshold": role.threshold,
                "keys": [keytext.format_key(key) for key in role.keys],
                "key_files": [path / layout.KEYS / name for name in key_names],
                "expires": report.moment(root.expires),
            }
        )
        return
    report.facts(
        [
            ("mesh", f"{root.mesh_name} {founded.mesh_id.hex()}"),
            ("root", f"{where}, signed by {len(founded.signers)} of {len(role.keys)} keys"),
            ("needed", f"{role.threshold} signatures for a root or a policy"),
            ("expires", report.moment(root.expires)),
            *((f"key {n}", keytext.format_key(key)) for n, key in enumerate(role.keys, 1)),
        ]
    )
    click.echo("\nNext:")
    for step in _next_steps(path, where, complete=founded.complete, made=bool(key_names)):
        click.echo(f"  {step}")


def _next_steps(path: Path, where: Path, *, complete: bool, made: bool) -> list[str]:
    steps = []
    if made:
        steps.append(f"Give each file in {path / 'keys'} to its holder, on a medium of its own.")
    if not complete:
        steps.append(f"Have other holders sign: hedgerow admin sign --add {where} --key FILE")
    return [
        *steps,
        f"Back up {path}: nobody but the holders can make this mesh again.",
        f"Let the first device in: hedgerow admin approve --dir {path} REQUEST",
        f"Sign a policy: hedgerow admin sign --dir {path} POLICY.toml --key FILE --key FILE",
    ]
