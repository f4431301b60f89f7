"""What `sign --add` and `rotate-root` share: showing a root, signing it, writing it down."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto.errors import PeerError
from node.cli import report
from node.cli.admin.keys import Keys, export, unlock
from node.cli.admin.options import open_folder

if TYPE_CHECKING:  # imported when a command runs: they pull in the cryptography
    from node.admin.drafts import Draft
    from node.admin.folder import Folder


def root_in(path: Path) -> bytes | None:
    """Return a file's bytes if it holds a root, signed by however many."""
    from crypto import signing
    from node.admin import files

    raw = files.read(path)
    try:
        return raw if signing.decode(raw).type is signing.ObjectType.ROOT else None
    except PeerError:
        return None


def cosign_root(
    path: Path,
    raw: bytes,
    folder_path: Path,
    *,
    keys: Keys,
    exported: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Add signatures to a root that lacks some, or export what one would cover.

    The first root of a mesh stands for itself; for a later one the folder has to know those
    before it.
    """
    from crypto import signing
    from crypto.objects import Root
    from node.admin import drafts, files

    if Root.from_payload(signing.decode(raw).payload).version == 1:
        draft = drafts.read(raw)
        tell_content(draft)
        if exported is not None:
            _export(exported, path, draft, as_json=as_json)
            return
        draft = _signed(draft, keys)
        _tell(_write_first(path, draft, out), draft, as_json=as_json)
        return
    with files.locked(folder_path):
        folder = open_folder(folder_path)
        draft = drafts.read(raw, folder.mesh_id, folder.root)
        tell_content(draft)
        if exported is not None:
            _export(exported, path, draft, as_json=as_json)
            return
        draft = _signed(draft, keys)
        where = keep(draft, folder, out)
    _tell(where, draft, as_json=as_json)


def _export(path: Path, added: Path, draft: "Draft", *, as_json: bool) -> None:
    from crypto import signing

    export(path, signing.decode(draft.raw), draft.mesh_id, added=added, as_json=as_json)


def _signed(draft: "Draft", keys: Keys) -> "Draft":
    from node.admin import drafts

    for key in unlock(keys):
        draft = drafts.add_signature(draft, key)
    return draft


def _write_first(path: Path, draft: "Draft", out: Path | None) -> Path:
    from node.admin import files

    finished = draft.complete and path.suffix == ".partial"
    where = out or (path.with_suffix(".root") if finished else path)
    files.write(where, draft.raw, replace=where == path)
    if out is None and finished:
        path.unlink()
    return where


def keep(draft: "Draft", folder: "Folder", out: Path | None) -> Path:
    """Write a later root into the folder, and where it was asked for, and return where to."""
    from node.admin import files, layout

    if draft.complete:
        folder.trust.admit(draft.raw, folder.now)
    if out is not None:
        files.write(out, draft.raw)
    partial = layout.root_path(folder.path, draft.root.version, partial=True)
    path = layout.root_path(folder.path, draft.root.version) if draft.complete else partial
    files.write(path, draft.raw, replace=not draft.complete)
    if draft.complete:
        partial.unlink(missing_ok=True)
    return out or path


def tell_content(draft: "Draft") -> None:
    """Show what is about to be signed: who holds which role from then on."""
    from node.admin import keytext

    root = draft.root
    report.note(f"mesh {root.mesh_name} {draft.mesh_id.hex()}, root {root.version}")
    report.note(f"expires {report.moment(root.expires)}")
    for name, role in root.roles.items():
        old = role.keys if draft.before is None else draft.before.roles[name].keys
        report.note(f"{name}: {role.threshold} of {report.count(len(role.keys), 'key')}")
        for key in dict.fromkeys([*role.keys, *old]):
            sign = " " if key in role.keys and key in old else "+" if key in role.keys else "-"
            report.note(f"  {sign} {keytext.format_key(key)}")


def _tell(where: Path, draft: "Draft", *, as_json: bool) -> None:
    if as_json:
        report.emit(root_json(where, draft))
    else:
        click.echo(f"{where}: {draft.progress}")


def root_json(where: Path, draft: "Draft") -> dict[str, object]:
    """Return what programs may want to know of a root that is being signed."""
    return {
        "root": where,
        "mesh": draft.root.mesh_name,
        "mesh_id": draft.mesh_id,
        "version": draft.root.version,
        "complete": draft.complete,
        "signatures": len(draft.signers),
        "threshold": draft.root.roles["root"].threshold,
        "expires": report.moment(draft.root.expires),
    }
