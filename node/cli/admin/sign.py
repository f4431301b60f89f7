"""`hedgerow admin sign`: make a bundle of a policy, or add a holder's signature to one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from crypto.errors import LocalError
from node.cli import documents, report
from node.cli.admin.describe import bundle_facts, bundle_json, tell_changes
from node.cli.admin.keys import Keys, export, holder_key_option, ssh_key_option, unlock
from node.cli.admin.options import dir_option, open_folder
from node.cli.admin.roots import cosign_root, root_in
from node.cli.params import DURATION, FILE
from node.cli.passphrase import passphrase_option

if TYPE_CHECKING:  # imported when the command runs: they pull in the cryptography
    from node.admin.bundles import Inspected
    from node.admin.folder import Folder


ASKS: Final = "hedgerow.sign.asks"


@dataclass(frozen=True, slots=True)
class _Order:
    """What the command line asks for."""

    keys: Keys
    exported: Path | None
    out: Path | None
    base: Path | None
    as_json: bool


@click.command()
@click.argument("policy", type=FILE, required=False)
@click.option("--add", "added", type=FILE, help="Add signatures to this bundle or root.")
@holder_key_option
@ssh_key_option
@click.option(
    "--export-tbs",
    "exported",
    type=FILE,
    help="With --add: sign nothing, write what ssh-keygen is to sign elsewhere.",
)
@click.option(
    "--add-sshsig",
    "signatures",
    type=FILE,
    multiple=True,
    help="With --add: the file that ssh-keygen wrote elsewhere.",
)
@click.option("--out", type=FILE, help="Write the result here too.")
@click.option("--on", "base", type=FILE, help="The newest bundle, if the folder may not have it.")
@click.option("--abandon", is_flag=True, help="Go on without an older bundle's signatures.")
@click.option("--stale-after", type=DURATION, default="7d", show_default=True)
@click.option("--expires", type=DURATION, default="30d", show_default=True)
@dir_option
@passphrase_option
@report.json_option
def sign(  # noqa: PLR0913 - a click command has a parameter for each of its options
    *,
    policy: Path | None,
    added: Path | None,
    key_paths: tuple[Path, ...],
    ssh_paths: tuple[Path, ...],
    exported: Path | None,
    signatures: tuple[Path, ...],
    out: Path | None,
    base: Path | None,
    abandon: bool,
    stale_after: int,
    expires: int,
    folder_path: Path,
    passphrase_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compile POLICY, run its tests, and sign it as the next bundle.

    With fewer keys than the mesh demands the bundle is written unfinished; another holder
    completes it with --add on a machine of his own, where everything in it is checked again.
    """
    # `cosign` is this command with a question before it signs, and says so in its context.
    asks = click.get_current_context().meta.get(ASKS, False)
    keys = Keys(key_paths, ssh_paths, passphrase_files, signatures, asks=asks)
    order = _Order(keys, exported, out, base, as_json)
    if (policy is None) == (added is None):
        raise click.UsageError("Name a policy to sign, or a file to add to with --add: not both.")
    _check_keys(order, adding=added is not None)
    if out is not None and out.exists():
        raise LocalError(f"{out} exists", remedy="nothing is overwritten: choose another name")
    if policy is not None:
        _propose(policy, folder_path, order, terms=(stale_after, expires), abandon=abandon)
    elif added is not None and (root := root_in(added)) is not None:
        cosign_root(
            added,
            root,
            folder_path,
            keys=keys,
            exported=exported,
            out=out,
            as_json=as_json,
        )
    elif added is not None:
        _cosign(added, folder_path, order)


def _check_keys(order: _Order, *, adding: bool) -> None:
    if order.exported is None:
        order.keys.require_some()
    elif order.keys.named or order.out is not None:
        raise click.UsageError("--export-tbs signs nothing: give no key and no --out with it.")
    if not adding and (order.exported or order.keys.signatures):
        raise click.UsageError("--export-tbs and --add-sshsig go with --add.")


def _propose(
    path: Path, folder_path: Path, order: _Order, *, terms: tuple[int, int], abandon: bool
) -> None:
    from node.admin import bundles, files
    from policy.diff import Side

    with files.locked(folder_path):
        folder = open_folder(folder_path)
        before = _newest(folder, order.base)
        version = _next_version(folder, before, abandon=abandon)
        compiled = documents.compile_file(path, expires_seconds=terms[1])
        loaded = documents.decoded(compiled)
        _check_mesh(path, loaded.policy.mesh, folder)
        documents.require_tests(path, loaded)
        for warning in compiled.warnings:
            report.note(f"warning: {warning}")
        said = bundles.Terms(
            version=version,
            previous=bundles.newest_head_id(folder),
            issued=folder.issued,
            stale_after_seconds=terms[0],
            expires_seconds=terms[1],
            parts_before=before.head.parts if before else {},
        )
        tell_changes(bundles.newest_side(folder), Side(loaded.policy, loaded.directory))
        signed = bundles.propose(compiled.parts, said, folder, unlock(order.keys))
        _finish(bundles.inspect(signed.encode(), folder), folder, order)


def _newest(folder: "Folder", base: Path | None) -> "Inspected | None":
    """Return the newest complete bundle, after taking up the one given."""
    from node.admin import bundles, files

    before = bundles.newest(folder)
    if base is None:
        return before
    given = bundles.inspect(files.read(base), folder)
    given.require_complete()
    bundles.require_newest(given, before)
    folder.save_roots()
    bundles.keep(given, folder)
    return given


def _next_version(folder: "Folder", before: "Inspected | None", *, abandon: bool) -> int:
    """Return the version after everything that was ever signed here, finished or not."""
    from node.admin import layout

    epoch = folder.root.version
    newest = before.head.version if before else 0
    unfinished = [
        bundle
        for bundle in layout.bundles(folder.path)
        if bundle.partial and bundle.order > (epoch, newest)
    ]
    if unfinished and not abandon:
        raise LocalError(
            f"{unfinished[-1].path} still lacks signatures",
            remedy="add them with --add, or name the finished bundle with --on, "
            "or go on without it with --abandon",
        )
    return max([newest, *(bundle.version for bundle in unfinished)]) + 1


def _check_mesh(path: Path, mesh: str, folder: "Folder") -> None:
    if mesh != folder.root.mesh_name:
        raise LocalError(
            f"{path} is written for the mesh {mesh}, and this folder is of "
            f"{folder.root.mesh_name}",
            remedy="name the folder of that mesh with --dir, or change `mesh` in the document",
        )


def _cosign(path: Path, folder_path: Path, order: _Order) -> None:
    from node.admin import bundles, files
    from policy.diff import Side

    with files.locked(folder_path):
        folder = open_folder(folder_path)
        before = _newest(folder, order.base)
        inspected = bundles.inspect(files.read(path), folder)
        bundles.require_newest(inspected, before)
        _require_follows(inspected, folder)
        inspected.require_tests()
        report.note(f"bundle {bundles.name(inspected.head)}, read in full; its tests pass")
        tell_changes(bundles.newest_side(folder), Side(inspected.policy, inspected.directory))
        if order.exported is not None:
            _export(order.exported, path, inspected, folder, as_json=order.as_json)
            return
        for key in unlock(order.keys):
            signed = bundles.add_signature(inspected, folder, key)
            inspected = bundles.inspect(signed.encode(), folder)
        _finish(inspected, folder, order)


def _export(
    path: Path, added: Path, inspected: "Inspected", folder: "Folder", *, as_json: bool
) -> None:
    from crypto import signing

    envelope = signing.decode(inspected.bundle.head)
    export(path, envelope, folder.mesh_id, added=added, as_json=as_json)


def _require_follows(inspected: "Inspected", folder: "Folder") -> None:
    """Refuse to sign on a head that is not the newest this folder was given."""
    from node.admin import bundles

    known = bundles.newest_head_id(folder)
    if known not in {None, inspected.head.previous, inspected.head_id}:
        raise LocalError(
            f"bundle {bundles.name(inspected.head)} does not build on the newest bundle here",
            remedy="give the bundle that is in force with --on, or have this one signed anew",
        )


def _finish(inspected: "Inspected", folder: "Folder", order: _Order) -> None:
    from node.admin import bundles, files

    if order.out is not None:
        files.write(order.out, inspected.bundle.encode())
    folder.save_roots()
    stored = bundles.keep(inspected, folder)
    where = order.out or stored.path
    if order.as_json:
        report.emit({"bundle": where, **bundle_json(inspected)})
        return
    report.facts([("bundle", where), *bundle_facts(inspected)])
    if inspected.complete:
        click.echo(f"\nNext: hedgerow admin publish {where}")
    else:
        click.echo(
            f"\nNext: have {inspected.missing} more of the holders run "
            f"hedgerow admin cosign {where.name} --key FILE"
        )
