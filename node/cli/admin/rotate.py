"""`hedgerow admin rotate-root`: other keys, the same mesh."""

from pathlib import Path

import click

from crypto.errors import LocalError
from node.cli import report
from node.cli.admin.keys import Keys, holder_key_option, ssh_key_option, unlock
from node.cli.admin.options import dir_option, open_folder
from node.cli.admin.roots import keep, root_json, tell_content
from node.cli.params import DURATION, FILE
from node.cli.passphrase import passphrase_option

ROLES = ("root", "policy", "registrar", "revoker")


@click.command(name="rotate-root")
@click.option("--add", "added", multiple=True, help="Public key that gets the roles.")
@click.option("--remove", "removed", multiple=True, help="Public key that loses them.")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="Default: all.")
@click.option("--threshold", type=click.IntRange(1), help="How many sign a root and a policy.")
@click.option("--lifetime", type=DURATION, default="2y", show_default=True, help="Of the root.")
@holder_key_option
@ssh_key_option
@click.option("--out", type=FILE, help="Write the root here too.")
@dir_option
@passphrase_option
@report.json_option
def rotate(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    roles: tuple[str, ...],
    threshold: int | None,
    lifetime: int,
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    out: Path | None,
    folder_path: Path,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Sign the next root: replace a lost key, change a threshold, or renew the root in time.

    It needs the threshold of the old root keys and of the new. With fewer it is written
    unfinished; other holders complete it with `sign --add`. Devices stay; the policy is signed
    again under the new root.
    """
    from node.admin import drafts, files, keytext

    keys = Keys(key_paths, ssh_paths, passphrase_files)
    keys.require_some()
    with files.locked(folder_path):
        folder = open_folder(folder_path)
        _check_none_waits(folder_path, folder.root.version + 1)
        change = drafts.Turn(
            added=tuple(keytext.find_key(text) for text in added),
            removed=tuple(keytext.find_key(text) for text in removed),
            roles=roles or ROLES,
            threshold=threshold,
        )
        issued = folder.issued
        root = drafts.turn(folder.root, change, issued=issued, expires=issued + lifetime)
        draft = drafts.Draft(root, b"", folder.mesh_id, folder.root, frozenset())
        tell_content(draft)
        draft = drafts.start(root, unlock(keys), mesh_id=folder.mesh_id, before=folder.root)
        where = keep(draft, folder, out)
    if as_json:
        report.emit(root_json(where, draft))
        return
    click.echo(f"{where}: {draft.progress}")
    click.echo("\nNext:")
    if draft.complete:
        click.echo(f"  hedgerow admin publish {where}")
        click.echo("  hedgerow admin sign POLICY.toml: the new root begins a new epoch")
    else:
        click.echo(f"  Have other holders run: hedgerow admin sign --add {where} --key FILE")


def _check_none_waits(folder_path: Path, version: int) -> None:
    from node.admin import layout

    waiting = layout.root_path(folder_path, version, partial=True)
    if waiting.exists():
        raise LocalError(
            f"{waiting} still lacks signatures",
            remedy="add them with `hedgerow admin sign --add`; if it was given to nobody, "
            "remove it: two roots of one version would split the mesh",
        )
