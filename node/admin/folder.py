"""The admin's folder: what it holds, read and verified anew by every command.

Only the folder's first root is taken on trust. All the rest has to verify under it, so a file that
was changed, or carried in from another mesh, is never built upon. There is no index: what is in
force and which address is taken follows from the signed objects, which are written once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from crypto import signing
from crypto.clock import Interval
from crypto.errors import LocalError, PeerError
from crypto.objects import Device, Revoke, RevokeKind, Root, Ticket, parse
from crypto.signing import ObjectType
from crypto.trust import Trust
from node.admin import files, layout
from node.admin.layout import StoredBundle


@dataclass(slots=True)
class Folder:
    """An open admin folder.

    Attributes:
        path: Where it is.
        now: The time at which it was opened, and at which it judges.
        trust: The mesh as this folder knows it, all of it verified.
        roots: The raw roots, in order.
        tickets: Every ticket in the folder that verifies, by object id, in force or not.
        devices: Every device in the folder that verifies, by object id, in force or not.
        revokes: Every revocation in the folder by object id.
        taken: Every address and range that was ever handed out; none comes back.
        problems: Files that do not verify, each with the reason; they are not built upon.
    """

    path: Path
    now: Interval
    trust: Trust
    roots: tuple[bytes, ...]
    tickets: dict[bytes, Ticket] = field(default_factory=dict)
    devices: dict[bytes, Device] = field(default_factory=dict)
    revokes: dict[bytes, Revoke] = field(default_factory=dict)
    taken: list[IPv4Network] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def root(self) -> Root:
        """The newest root."""
        return self.trust.root

    @property
    def issued(self) -> int:
        """The time to write into what is signed now: the early end, so that it is not the future.

        A node that is a little behind, or asked at once, takes it as having been issued.
        """
        return int(self.now.lo)

    @property
    def mesh_id(self) -> bytes:
        """The mesh this folder is of."""
        return self.trust.mesh_id

    def newest_bundle(self) -> StoredBundle | None:
        """Return the newest bundle that has all its signatures."""
        return next((b for b in reversed(layout.bundles(self.path)) if not b.partial), None)

    def in_force(self) -> dict[str, Device]:
        """Return the devices signed here that nobody has revoked, by name."""
        return {
            device.name: device
            for device in self.devices.values()
            if not self.trust.is_revoked(RevokeKind.DEVICE, device.device_id)
        }

    def take_root(self, raw: bytes, root: Root) -> None:
        """Take up a root that has been admitted, if it is the next one."""
        if root.version == len(self.roots) + 1:
            self.roots = (*self.roots, raw)

    def registrars(self) -> list[bytes]:
        """Return every key that ever was a registrar, the oldest first."""
        chain = (Root.from_payload(signing.decode(raw).payload) for raw in self.roots)
        return list(dict.fromkeys(k for root in chain for k in root.roles["registrar"].keys))

    def save_roots(self) -> None:
        """Write the roots that were taken up and are not in the folder yet."""
        for version, raw in enumerate(self.roots, 1):
            path = layout.root_path(self.path, version)
            if not path.exists():
                files.write(path, raw)

    def admit(self, raw: bytes) -> None:
        """Verify a ticket, device or revocation that was just signed; nothing is written yet.

        Raises:
            PeerError: It does not verify under this mesh's root.
        """
        envelope = signing.decode(raw)
        self.trust.admit(raw, self.now)
        self._remember(envelope.id, parse(envelope))

    @contextmanager
    def kept(self, raw: bytes) -> Iterator[Path]:
        """Write an object that was admitted, and take it back if what follows fails.

        It is written first, so that no crash can leave a copy elsewhere of something that the
        folder does not know, and hands out again.

        Raises:
            LocalError: It cannot be written.
        """
        envelope = signing.decode(raw)
        path = layout.object_path(self.path, envelope.type, envelope.id)
        files.write(path, raw)
        try:
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def load_objects(self) -> None:
        """Read and verify every ticket, device and revocation; note what does not verify."""
        for object_type, name in layout.OBJECTS.items():
            for path in sorted((self.path / name).glob(f"*.{object_type.value}")):
                self._load(path, object_type)

    def _load(self, path: Path, object_type: ObjectType) -> None:
        raw = files.read(path)
        try:
            envelope = signing.decode(raw)
            if envelope.type is not object_type:
                self.problems.append(f"{path}: it holds a {envelope.type.value}")
                return
            found = parse(envelope)
            self._reserve(found)
            self.trust.admit(raw, self.now)
            self._remember(envelope.id, found)
        except PeerError as error:
            self.problems.append(f"{path}: {error.message}")

    def _reserve(self, value: object) -> None:
        # Before it is verified: an address too many out of use does no harm, one given twice does.
        match value:
            case Ticket():
                self.taken.append(value.addresses)
            case Device():
                self.taken.append(IPv4Network(value.address4))
            case _:
                pass

    def _remember(self, object_id: bytes, value: object) -> None:
        match value:
            case Ticket():
                self.tickets[object_id] = value
            case Device():
                self.devices[object_id] = value
            case Revoke():
                self.revokes[object_id] = value
            case _:
                pass


def open_folder(path: Path, now: Interval) -> Folder:
    """Read an admin folder and verify all of it.

    Raises:
        LocalError: It is no admin folder, or its first root is not signed by enough keys yet.
        PeerError: One of its roots does not verify.
    """
    roots = _read_roots(path)
    trust = Trust(roots[0])
    for raw in roots[1:]:
        trust.admit(raw, now)
    folder = Folder(path=path, now=now, trust=trust, roots=tuple(roots))
    folder.load_objects()
    return folder


def _read_roots(path: Path) -> list[bytes]:
    first = layout.root_path(path, 1)
    partial = layout.root_path(path, 1, partial=True)
    if not first.exists() and partial.exists():
        raise LocalError(
            f"the root of this mesh lacks signatures: {partial}",
            remedy=f"have other holders run `hedgerow admin sign --add {partial} --key FILE`",
        )
    if not first.exists():
        raise LocalError(
            f"{path} is not an admin folder: it has no {first.relative_to(path)}",
            remedy="name it with --dir or HEDGEROW_ADMIN_DIR; `hedgerow admin init` makes one",
        )
    roots = [files.read(first)]
    while (following := layout.root_path(path, len(roots) + 1)).exists():
        roots.append(files.read(following))
    return roots
