"""Where things lie in an admin folder.

roots/1.root …             every root in order; 1.partial while the first lacks signatures
keys/*.key                 key files, for as long as they are kept here
tickets/ devices/ revokes/ one signed object a file, named by its id
bundles/1-4.hgb            signed bundles by epoch and version; *.partial.hgb lack signatures
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crypto.signing import ObjectType

ROOTS: Final = "roots"
KEYS: Final = "keys"
BUNDLES: Final = "bundles"
OBJECTS: Final = {
    ObjectType.TICKET: "tickets",
    ObjectType.DEVICE: "devices",
    ObjectType.REVOKE: "revokes",
}
FOLDERS: Final = (ROOTS, KEYS, BUNDLES, *OBJECTS.values())

_BUNDLE_NAME: Final = re.compile(r"(\d{1,18})-(\d{1,18})(\.partial)?\.hgb")


@dataclass(frozen=True, slots=True, order=True)
class StoredBundle:
    """A bundle file in the folder, by what its name says.

    Attributes:
        epoch: Version of the root it is signed under.
        version: Version of its head.
        partial: It lacks signatures.
        path: The file.
    """

    epoch: int
    version: int
    partial: bool
    path: Path

    @property
    def order(self) -> tuple[int, int]:
        """What decides which of two is newer."""
        return self.epoch, self.version


def bundles(folder: Path) -> Sequence[StoredBundle]:
    """Return the bundle files, oldest first."""
    found = (_stored(path) for path in (folder / BUNDLES).glob("*.hgb"))
    return sorted(bundle for bundle in found if bundle is not None)


def _stored(path: Path) -> StoredBundle | None:
    found = _BUNDLE_NAME.fullmatch(path.name)
    if found is None:
        return None
    return StoredBundle(int(found[1]), int(found[2]), partial=bool(found[3]), path=path)


def key_files(folder: Path) -> Sequence[Path]:
    """Return the key files that lie in the folder, by name."""
    return sorted((folder / KEYS).glob("*.key"))


def bundle_path(folder: Path, order: tuple[int, int], *, partial: bool) -> Path:
    """Return the file of a bundle."""
    epoch, version = order
    return folder / BUNDLES / f"{epoch}-{version}{'.partial' if partial else ''}.hgb"


def root_path(folder: Path, version: int, *, partial: bool = False) -> Path:
    """Return the file of a root."""
    return folder / ROOTS / f"{version}.{'partial' if partial else 'root'}"


def object_path(folder: Path, object_type: ObjectType, object_id: bytes) -> Path:
    """Return the file of a ticket, a device or a revocation."""
    return folder / OBJECTS[object_type] / f"{object_id.hex()}.{object_type.value}"
