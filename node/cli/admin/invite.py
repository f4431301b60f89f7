"""`hedgerow admin invite`: a ticket, in a line of text that a new device pastes."""

from ipaddress import IPv4Network
from pathlib import Path

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


@click.command()
@click.option("--name", help="The exact name of the device; else it chooses one itself.")
@click.option("--tag", "tags", multiple=True, help="A tag its devices get.")
@click.option("--owner", help="The user its devices belong to.")
@click.option("--uses", type=click.IntRange(1, 65_535), default=1, show_default=True)
@click.option("--expires", type=DURATION, default="24h", show_default=True)
@click.option("--address", type=NETWORK, help="An address, or a range for many uses.")
@click.option(
    "--ephemeral", type=click.IntRange(1), help="Forget its devices after MIN minutes unseen."
)
@click.option("--out", type=FILE, help="Write the invite to a file that only you may read.")
@via_option
@via_node_option
@key_option
@ssh_key_option
@dir_option
@passphrase_option
@report.json_option
def invite(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    name: str | None,
    tags: tuple[str, ...],
    owner: str | None,
    uses: int,
    expires: int,
    address: IPv4Network | None,
    ephemeral: int | None,
    out: Path | None,
    via: tuple[str, ...],
    via_files: tuple[Path, ...],
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    folder_path: Path,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Sign a ticket and print the invite: who reads it can enrol, so send it as a secret.

    It needs at least one member to join through: --via NAME=HOST:PORT for a device approved in
    this folder, or the line that `hedgerow status` prints on any member.
    """
    from node.admin import addresses, enrol, files

    if not (via or via_files):
        raise click.UsageError("Name a member to join through with --via or --via-node.")
    with files.locked(folder_path):
        folder = open_folder(folder_path)
        members = via_members(folder, via, via_files)
        wish = enrol.Wish(name, tags, owner, address, expires)
        keys = Keys(key_paths, ssh_paths, passphrase_files)
        registrar = unlock_role(folder, "registrar", keys)
        made = enrol.invite(
            folder,
            registrar,
            wish,
            uses=uses,
            ephemeral_minutes=ephemeral,
            bootstrap=members,
        )
        text = made.encode()
        with folder.kept(made.ticket_raw) as path:
            if out is not None:
                files.write(out, f"{text}\n".encode(), mode=files.SECRET_MODE)
    ticket = made.ticket
    if as_json:
        report.emit(
            {
                "invite": None if out else text,
                "file": out,
                "ticket": path.stem,
                "name": ticket.name,
                "tags": ticket.tags,
                "owner": ticket.owner,
                "uses": ticket.uses,
                "addresses": addresses.show(ticket.addresses),
                "not_after": report.moment(ticket.not_after),
                "ephemeral_minutes": ticket.ephemeral_minutes,
            }
        )
        return
    report.note(
        f"ticket {path.stem[:16]}: {report.count(ticket.uses, 'use')}, "
        f"{addresses.show(ticket.addresses)}, until {report.moment(ticket.not_after)}"
    )
    if out is None:
        click.echo(text)
