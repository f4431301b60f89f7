"""The beginning of a mesh: its first root, and the folder made around it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto import signing
from crypto.errors import LocalError
from crypto.objects import Role, Root
from crypto.signing import ObjectType
from node.admin import files, layout
from node.admin.keyfile import OpenKey


@dataclass(frozen=True, slots=True)
class Genesis:
    """A first root and whatever signatures it has so far.

    Attributes:
        root: What it says.
        raw: Its envelope.
        signers: The root keys that have signed it.
    """

    root: Root
    raw: bytes
    signers: frozenset[bytes]

    @property
    def mesh_id(self) -> bytes:
        """The id of the mesh it founds."""
        return signing.object_id(self.root.to_payload())

    @property
    def complete(self) -> bool:
        """Whether enough keys have signed."""
        return len(self.signers) >= self.root.roles["root"].threshold


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


def found(root: Root, keys: Sequence[OpenKey]) -> Genesis:
    """Sign a first root with those of the keys that hold the root role.

    Raises:
        LocalError: None of them does.
    """
    payload = root.to_payload()
    signing_keys = [key for key in keys if key.public in root.roles["root"].keys]
    if not signing_keys:
        raise LocalError(
            "none of the keys given holds the root role",
            remedy="give the key file of at least one holder with --key",
        )
    mesh_id = signing.object_id(payload)
    raw = signing.seal(ObjectType.ROOT, mesh_id, payload, [key.seed for key in signing_keys])
    return Genesis(root=root, raw=raw, signers=frozenset(key.public for key in signing_keys))


def read(raw: bytes) -> Genesis:
    """Read a first root that may lack signatures.

    Raises:
        PeerError: It is no root, not a first one, or one of its signatures is not valid.
    """
    envelope = signing.decode(raw)
    if envelope.type is not ObjectType.ROOT:
        raise LocalError(f"this is a {envelope.type.value}, not a root")
    root = Root.from_payload(envelope.payload)
    if root.version != 1:
        raise LocalError(f"this is root version {root.version}, not the first of a mesh")
    signers = signing.signers(envelope, envelope.id, root.roles["root"].keys)
    return Genesis(root=root, raw=raw, signers=signers)


def write_folder(path: Path, genesis: Genesis, key_files: Mapping[str, bytes]) -> None:
    """Make the admin folder with root and key files, all of it or nothing.

    Raises:
        LocalError: Something is there already, or the place cannot be written to.
    """
    check_vacant(path)
    with files.explained("make", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(aside, genesis, key_files)
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


def _fill(path: Path, genesis: Genesis, key_files: Mapping[str, bytes]) -> None:
    with files.explained("write", path):
        for name in layout.FOLDERS:
            (path / name).mkdir(mode=files.FOLDER_MODE)
    files.write(layout.root_path(path, 1, partial=not genesis.complete), genesis.raw)
    for name, data in key_files.items():
        files.write(path / layout.KEYS / name, data, mode=files.SECRET_MODE)
    with files.explained("write", path):
        files.sync_folder(path)


def add_signature(genesis: Genesis, key: OpenKey) -> Genesis:
    """Sign a first root with one more key.

    Raises:
        LocalError: The key does not hold the root role, or has signed already.
    """
    if key.public not in genesis.root.roles["root"].keys:
        raise LocalError(
            "this key does not hold the root role in this root",
            remedy="compare its public half with the list above; sign with the key that is in it",
        )
    if key.public in genesis.signers:
        raise LocalError(
            "this key has signed this root already", remedy="sign with another holder's key"
        )
    raw = signing.append_signature(genesis.raw, genesis.mesh_id, key.seed)
    return read(raw)
