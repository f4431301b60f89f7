"""Roots that are being signed: by one holder after another, until there are enough.

The first root needs the threshold of its own root role. Each later one needs that of its
predecessor too (TUF 1.0.34 section 5.3.4), so a rotation is agreed by the old holders and the new.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto import signing
from crypto.errors import LocalError, ObjectError, WrongMeshError
from crypto.objects import Role, Root
from crypto.signing import ObjectType
from node.admin import keytext, signers
from node.admin.signers import Signer


@dataclass(frozen=True, slots=True)
class Draft:
    """A root and whatever signatures it has so far.

    Attributes:
        root: What it says.
        raw: Its envelope.
        mesh_id: The mesh it is of.
        before: The root it follows; None for the first.
        signers: The keys that have signed it, each validly.
    """

    root: Root
    raw: bytes
    mesh_id: bytes
    before: Root | None
    signers: frozenset[bytes]

    @property
    def complete(self) -> bool:
        """Whether enough holders have signed, old ones and new ones."""
        return all(self._lacks(role) == 0 for role in self._roles())

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        texts = [f"signed by {self._count(r)} of the {r.threshold} needed" for r in self._roles()]
        return texts[0] if len(texts) == 1 else f"new keys: {texts[0]}, old keys: {texts[1]}"

    def _roles(self) -> Sequence[Role]:
        own = self.root.roles["root"]
        return (own,) if self.before is None else (own, self.before.roles["root"])

    def _count(self, role: Role) -> int:
        return len(self.signers.intersection(role.keys))

    def _lacks(self, role: Role) -> int:
        return max(0, role.threshold - self._count(role))


def holders(root: Root, before: Root | None) -> frozenset[bytes]:
    """Return the keys whose signatures count for a root."""
    old = () if before is None else before.roles["root"].keys
    return frozenset((*root.roles["root"].keys, *old))


def start(
    root: Root,
    keys: Iterable[Signer],
    *,
    mesh_id: bytes | None = None,
    before: Root | None = None,
) -> Draft:
    """Sign a root with those of the keys that may.

    Raises:
        LocalError: None of them may.
    """
    payload = root.to_payload()
    mesh_id = mesh_id or signing.object_id(payload)
    signing_keys = [key for key in keys if key.public in holders(root, before)]
    if not signing_keys:
        raise LocalError(
            "none of the keys given holds the root role",
            remedy="give the key of at least one holder with --key or --ssh-key",
        )
    raw = signers.seal(ObjectType.ROOT, mesh_id, payload, signing_keys)
    return read(raw, mesh_id, before)


def read(raw: bytes, mesh_id: bytes | None = None, before: Root | None = None) -> Draft:
    """Read a root that may lack signatures; without the mesh and a root before, a first one.

    Raises:
        PeerError: It is no root, does not follow the one before, or a signature is not valid.
    """
    envelope = signing.decode(raw)
    if envelope.type is not ObjectType.ROOT:
        raise ObjectError(f"this is a {envelope.type.value}, not a root")
    root = Root.from_payload(envelope.payload)
    _check_follows(root, before)
    mesh_id = mesh_id or envelope.id
    found = signing.signers(envelope, mesh_id, holders(root, before))
    return Draft(root=root, raw=raw, mesh_id=mesh_id, before=before, signers=found)


def _check_follows(root: Root, before: Root | None) -> None:
    expected = 1 if before is None else before.version + 1
    if root.version != expected:
        raise ObjectError(
            f"this is root version {root.version}, and version {expected} is the next here",
            remedy="check that it belongs to this folder, and that no root is missing",
        )
    if before is None:
        return
    if root.previous != signing.object_id(before.to_payload()):
        raise WrongMeshError(f"this root follows another root {before.version} than the one here")
    if root.mesh_name != before.mesh_name:
        raise WrongMeshError(f"this root renames the mesh {before.mesh_name}: a name stays")


def add_signature(draft: Draft, key: Signer) -> Draft:
    """Sign a root with one more key.

    Raises:
        LocalError: The key does not hold the root role, or has signed already.
    """
    if key.public not in holders(draft.root, draft.before):
        raise LocalError(
            "this key does not hold the root role in this root",
            remedy="compare its public half with the list above; sign with a key that is in it",
        )
    if key.public in draft.signers:
        raise LocalError(
            "this key has signed this root already", remedy="sign with another holder's key"
        )
    raw = signers.append(draft.raw, draft.mesh_id, key)
    return read(raw, draft.mesh_id, draft.before)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a new root changes.

    Attributes:
        added: Keys that get the roles.
        removed: Keys that lose them.
        roles: The roles this is about.
        threshold: How many keys sign a root and a policy from then on; None leaves it.
    """

    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    roles: tuple[str, ...]
    threshold: int | None = None


def turn(before: Root, change: Turn, *, issued: int, expires: int) -> Root:
    """Return the root that follows another, with other keys.

    Raises:
        LocalError: A key that is to go holds none of the roles.
        ObjectError: A threshold no longer fits, or a key comes twice.
    """
    for key in change.removed:
        if not any(key in before.roles[name].keys for name in change.roles):
            raise LocalError(
                f"the key {keytext.short_key(key)} holds none of the roles "
                f"{', '.join(change.roles)}",
                remedy="`hedgerow admin show` lists who holds which role",
            )
    return Root(
        version=before.version + 1,
        mesh_name=before.mesh_name,
        issued=issued,
        expires=expires,
        roles={name: _turned(name, role, change) for name, role in before.roles.items()},
        pool4=before.pool4,
        previous=signing.object_id(before.to_payload()),
        limits=before.limits,
    )


def _turned(name: str, role: Role, change: Turn) -> Role:
    if name not in change.roles:
        return role
    kept = (key for key in role.keys if key not in change.removed)
    threshold = role.threshold
    if change.threshold is not None and name in {"root", "policy"}:
        threshold = change.threshold
    return Role(threshold, tuple(dict.fromkeys([*kept, *change.added])))
