"""The beginning of a mesh: the roles of its first root, and the folder made around it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto.errors import LocalError
from crypto.objects import Role
from node.admin import files, layout
from node.admin.drafts import Draft


def roles(
    holders: Sequence[bytes],
    threshold: int,
    *,
    registrars: Sequence[bytes] = (),
    revokers: Sequence[bytes] = (),
) -> Mapping[str, Role]:
    """Return the four roles: every holder in all, unless others are named for the last two.

    Raises:
        ObjectError: The threshold does not fit the holders, or a key is no key or comes twice.
    """
    return {
        "root": Role(threshold, tuple(holders)),
        "policy": Role(threshold, tuple(holders)),
        "registrar": Role(1, tuple(registrars or holders)),
        "revoker": Role(1, tuple(revokers or holders)),
    }


def write_folder(path: Path, draft: Draft, key_files: Mapping[str, bytes]) -> None:
    """Make the admin folder with root and key files, all of it or nothing.

    Raises:
        LocalError: Something is there already, or the place cannot be written to.
    """
    check_vacant(path)
    with files.explained("make", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(aside, draft, key_files)
        with files.explained("make", path):
            aside.rename(path)  # onto an empty folder at most: rename(2) refuses a full one
            files.sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_vacant(path: Path) -> None:
    """Make sure that a new folder can be made here.

    Raises:
        LocalError: Something is there already.
    """
    with files.explained("read", path):
        occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied:
        raise LocalError(
            f"{path} exists and is not an empty folder",
            remedy="nothing is ever overwritten here: name a new folder with --dir",
        )


def _fill(path: Path, draft: Draft, key_files: Mapping[str, bytes]) -> None:
    with files.explained("write", path):
        for name in layout.FOLDERS:
            (path / name).mkdir(mode=files.FOLDER_MODE)
    files.write(layout.root_path(path, 1, partial=not draft.complete), draft.raw)
    for name, data in key_files.items():
        files.write(path / layout.KEYS / name, data, mode=files.SECRET_MODE)
    with files.explained("write", path):
        files.sync_folder(path)
