"""`hedgerow admin approve`: sign a device that asked to join."""

from contextlib import nullcontext
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli import report
from node.cli.admin.keys import Keys, key_option, ssh_key_option, unlock_role
from node.cli.admin.options import (
    dir_option,
    open_folder,
    via_members,
    via_node_option,
    via_option,
)
from node.cli.params import DURATION, FILE, NETWORK
from node.cli.passphrase import passphrase_option

if TYPE_CHECKING:  # imported when the command runs: they pull in the cryptography
    from crypto.invite import Approval, Request


@click.command()
@click.argument("request", required=False)
@click.option("--again", help="Print the approval of this device once more; signs nothing.")
@click.option("--name", help="Its name, if not the one it asks for.")
@click.option("--tag", "tags", multiple=True, help="A tag it gets.")
@click.option("--owner", help="The user it belongs to.")
@click.option("--address", type=NETWORK, help="Its IPv4 address; else the lowest free one.")
@click.option("--lifetime", type=DURATION, help="How long it is good for; else until revoked.")
@click.option("--out", type=FILE, help="Write the approval to a file.")
@via_option
@via_node_option
@key_option
@ssh_key_option
@dir_option
@passphrase_option
@report.json_option
def approve(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    request: str | None,
    again: str | None,
    name: str | None,
    tags: tuple[str, ...],
    owner: str | None,
    address: IPv4Network | None,
    lifetime: int | None,
    out: Path | None,
    via: tuple[str, ...],
    via_files: tuple[Path, ...],
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    folder_path: Path,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Sign the device of REQUEST, a line hgq1… or a file with it, and print the approval hga1….

    The approval carries the roots and the newest bundle, so the first device of a mesh needs
    nothing else; it holds no secret.
    """
    from node.admin import enrol, files

    if (request is None) == (again is None):
        raise click.UsageError("Give a request, or a device with --again: not both.")
    with files.locked(folder_path):
        folder = open_folder(folder_path)
        members = via_members(folder, via, via_files)
        if again is not None:
            made = enrol.approve_again(folder, again, members)
        else:
            asked = _read(request or "")
            wish = enrol.Wish(name, tags, owner, address, lifetime)
            keys = Keys(key_paths, ssh_paths, passphrase_files)
            registrar = unlock_role(folder, "registrar", keys)
            made = enrol.approve(folder, registrar, asked, wish, bootstrap=members)
        text = made.encode()
        with nullcontext() if again else folder.kept(made.device_raw):
            if out is not None:
                files.write(out, f"{text}\n".encode())
    _tell(made, None if out else text, out, as_json=as_json)


def _read(request: str) -> "Request":
    """Read a request given as text or as the name of a file that holds it."""
    from crypto.invite import Request
    from node.admin import files

    if not request.startswith(("hgq1", "hgr1", "hga1")):
        request = files.read(Path(request)).decode(errors="replace")
    return Request.decode(request)


def _tell(made: "Approval", text: str | None, out: Path | None, *, as_json: bool) -> None:
    device = made.device
    if as_json:
        report.emit(
            {
                "approval": text,
                "file": out,
                "device_id": device.device_id,
                "name": device.name,
                "tags": device.tags,
                "owner": device.owner,
                "address4": device.address4,
                "address6": device.address6,
                "not_after": report.moment(device.not_after),
                "bundle": bool(made.parts),
            }
        )
        return
    report.note(
        f"device {device.name} {device.device_id.hex()[:16]}: {device.address4}, "
        f"{device.address6}, until {report.moment(device.not_after, never='revoked')}"
    )
    if text is not None:
        click.echo(text)
