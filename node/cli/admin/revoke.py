"""`hedgerow admin revoke`: take something out of the mesh, for good."""

from pathlib import Path

import click

from node.cli import report
from node.cli.admin.keys import Keys, key_option, ssh_key_option, unlock_role
from node.cli.admin.options import (
    dir_option,
    open_folder,
    publish_to,
    socket_option,
    state_option,
)
from node.cli.params import FILE, MOMENT
from node.cli.passphrase import passphrase_option

KINDS = ("device", "user", "ticket", "registrar", "grant")


@click.command()
@click.argument("subject")
@click.option("--kind", type=click.Choice(KINDS), default="device", show_default=True)
@click.option(
    "--since",
    type=MOMENT,
    help="When it went wrong, if earlier: what it vouched for from then on goes with it.",
)
@click.option("--reason", default="", help="For people to read; part of what is signed.")
@click.option("--out", type=FILE, help="Write the revocation here too.")
@click.option("--publish", is_flag=True, help="Hand it to the node on this machine at once.")
@state_option
@socket_option
@key_option
@ssh_key_option
@dir_option
@passphrase_option
@report.json_option
def revoke(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    subject: str,
    kind: str,
    since: float | None,
    reason: str,
    out: Path | None,
    publish: bool,
    state: Path | None,
    socket: Path | None,
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    folder_path: Path,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Revoke SUBJECT: a device's name or id, a user, a ticket's id, a registrar's public key.

    One revoker key is enough, and nothing undoes it. It takes effect where it arrives, so publish
    it at any node; every other one has it within seconds.
    """
    from crypto.objects import Revoke, RevokeKind
    from node.admin import files, revocation

    with files.locked(folder_path):
        folder = open_folder(folder_path)
        what = Revoke(
            kind=RevokeKind(kind),
            subject=revocation.subject(folder, RevokeKind(kind), subject),
            issued=folder.issued if since is None else int(since),
            reason=reason,
        )
        revocation.require_new(folder, what)
        keys = Keys(key_paths, ssh_paths, passphrase_files)
        revoker = unlock_role(folder, "revoker", keys)
        raw = revocation.revoke(folder, revoker, what)
        folder.admit(raw)
        with folder.kept(raw) as path:
            if out is not None:
                files.write(out, raw)
    answer = publish_to(raw, state, socket) if publish else None
    if as_json:
        report.emit(
            {
                "kind": kind,
                "subject": what.subject,
                "file": out or path,
                "revocation": path.stem,
                "reason": reason,
                "published": answer,
            }
        )
        return
    report.note(f"{kind} {subject} is revoked, and that is for good")
    click.echo(str(out or path))
    if answer is None:
        report.note(f"It is not in force yet: hedgerow admin publish {out or path}")
