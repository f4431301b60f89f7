"""Bundles: made from a compiled policy, read with suspicion, signed by one holder after another.

Nobody signs a bare hash. Whoever adds a signature has first read the whole bundle: roots under
the folder's own first root, head under the newest of them, parts against the hashes in the head,
policy and directory decoded, and the policy's own tests run again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from crypto import signing
from crypto.bundle import Bundle
from crypto.errors import (
    EquivocationError,
    LocalError,
    ObjectError,
    RollbackError,
    ThresholdError,
    WrongMeshError,
)
from crypto.objects import Directory, Head, PartRef, Root
from crypto.signing import ObjectType
from node.admin import files, keytext, layout, signers
from node.admin.folder import Folder
from node.admin.signers import Signer
from policy.checks import TestFailure, run_tests
from policy.diff import Side
from policy.model import Policy

POLICY, DIRECTORY = "policy", "directory"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A bundle that was read to the last byte. It may lack signatures, and its tests may fail.

    Attributes:
        bundle: As it came.
        head: What its head says.
        head_id: The head's object id.
        signers: The policy keys that have signed the head, each of them validly.
        threshold: How many it takes.
        policy: The compiled policy.
        directory: The directory.
        failures: Tests of the policy that fail.
    """

    bundle: Bundle
    head: Head
    head_id: bytes
    signers: frozenset[bytes]
    threshold: int
    policy: Policy
    directory: Directory
    failures: tuple[TestFailure, ...]

    @property
    def complete(self) -> bool:
        """Whether enough holders have signed."""
        return len(self.signers) >= self.threshold

    @property
    def missing(self) -> int:
        """How many signatures it still needs."""
        return max(0, self.threshold - len(self.signers))

    def require_complete(self) -> None:
        """Raise unless enough holders have signed.

        Raises:
            ThresholdError: They have not.
        """
        if not self.complete:
            raise ThresholdError(
                f"bundle {name(self.head)} is signed by {len(self.signers)} of the "
                f"{self.threshold} keys it needs",
                remedy="have another holder run `hedgerow admin sign --add BUNDLE --key FILE`",
            )

    def require_tests(self) -> None:
        """Raise unless every test of the policy passes.

        Raises:
            LocalError: One fails.
        """
        if self.failures:
            raise LocalError(
                f"{len(self.failures)} of its own tests fail: {self.failures[0].message}",
                remedy="have it changed and signed anew; do not add a signature",
            )


def name(head: Head) -> str:
    """Return how people call a head: epoch and version."""
    return f"{head.epoch}-{head.version}"


def inspect(data: bytes, folder: Folder) -> Inspected:
    """Read a bundle and check everything about it but who still has to sign and what was before.

    Newer roots in it are taken up, once verified.

    Raises:
        PeerError: It is damaged, of another mesh, under another root than the newest, signed by
            somebody else, or its parts are not what a bundle holds.
    """
    bundle = Bundle.decode(data)
    take_roots(bundle.roots, folder)
    envelope = signing.decode(bundle.head)
    head = Head.from_payload(envelope.payload)
    root = folder.root
    if head.epoch != root.version:
        raise RollbackError(
            f"bundle {name(head)} is signed under root {head.epoch}, and the newest root is "
            f"{root.version}",
            remedy="sign the policy again under the newest root",
        )
    role = root.roles["policy"]
    policy, directory = _parts(bundle, root)
    return Inspected(
        bundle=bundle,
        head=head,
        head_id=envelope.id,
        signers=signing.signers(envelope, folder.mesh_id, role.keys),
        threshold=role.threshold,
        policy=policy,
        directory=directory,
        failures=run_tests(policy, directory),
    )


def take_roots(roots: Iterable[bytes], folder: Folder) -> None:
    """Verify roots that came with something, and take up those that are new.

    Raises:
        PeerError: One does not verify, or is of another mesh.
    """
    for raw in roots:
        envelope = signing.decode(raw)
        root = Root.from_payload(envelope.payload)
        if root.version == 1 and envelope.id != folder.mesh_id:
            raise WrongMeshError(
                f"this is of the mesh {root.mesh_name} {envelope.id.hex()[:16]}, and the folder "
                f"is of {folder.root.mesh_name} {folder.mesh_id.hex()[:16]}",
                remedy="name the folder of that mesh with --dir",
            )
        if folder.trust.admit(raw, folder.now).fresh:
            folder.take_root(raw, root)
        elif raw not in folder.roots:
            _check_copy(envelope, root, folder)


def _check_copy(envelope: signing.Envelope, root: Root, folder: Folder) -> None:
    """Verify another copy of a known root: its payload is known, its signatures are not.

    Others who do not know the root yet would have to verify this copy.
    """
    own = root.roles["root"]
    before = Root.from_payload(
        signing.decode(folder.roots[max(root.version - 2, 0)]).payload
    ).roles["root"]
    found = signing.signers(envelope, folder.mesh_id, {*own.keys, *before.keys})
    for role in (own, before):
        if len(found.intersection(role.keys)) < role.threshold:
            raise ThresholdError(f"root {root.version} in it lacks signatures")


def _parts(bundle: Bundle, root: Root) -> tuple[Policy, Directory]:
    if not {POLICY, DIRECTORY} <= bundle.parts.keys():
        raise ObjectError("bundle: it has to carry the parts policy and directory")
    policy = Policy.decode(bundle.parts[POLICY])
    if policy.mesh != root.mesh_name:
        raise WrongMeshError(
            f"its policy is written for the mesh {policy.mesh}, not for {root.mesh_name}"
        )
    return policy, Directory.from_payload(bundle.parts[DIRECTORY])


def newest(folder: Folder) -> Inspected | None:
    """Return the newest complete bundle under the newest root, read as if it came from elsewhere.

    Raises:
        PeerError: It does not verify any more.
    """
    stored = folder.newest_bundle()
    if stored is None or stored.epoch < folder.root.version:
        return None
    inspected = inspect(files.read(stored.path), folder)
    inspected.require_complete()
    return inspected


def newest_head_id(folder: Folder) -> bytes | None:
    """Return the id of the newest complete head, whatever root it is under.

    Raises:
        PeerError: Its file is damaged.
    """
    bundle = _newest_stored(folder)
    return None if bundle is None else signing.decode(bundle.head).id


def newest_side(folder: Folder) -> Side | None:
    """Return policy and directory of that head, to compare with what is to follow them."""
    bundle = _newest_stored(folder)
    if bundle is None:
        return None
    directory = Directory.from_payload(bundle.parts[DIRECTORY])
    return Side(Policy.decode(bundle.parts[POLICY]), directory)


def _newest_stored(folder: Folder) -> Bundle | None:
    stored = folder.newest_bundle()
    return None if stored is None else Bundle.decode(files.read(stored.path))


@dataclass(frozen=True, slots=True)
class Terms:
    """What a head says besides its parts.

    Attributes:
        version: Its version.
        previous: The head before it.
        issued: When it is made.
        stale_after_seconds: How long until its age is an alarm.
        expires_seconds: How long until only what survives expiry stays allowed.
        parts_before: The parts of the head before, if it is under the same root.
    """

    version: int
    previous: bytes | None
    issued: int
    stale_after_seconds: int
    expires_seconds: int
    parts_before: Mapping[str, PartRef]


def propose(
    parts: Mapping[str, bytes], terms: Terms, folder: Folder, keys: Sequence[Signer]
) -> Bundle:
    """Make a bundle, signed by those keys; it may lack signatures of others.

    Raises:
        LocalError: A key does not hold the policy role, or none is given.
        ObjectError: The terms contradict each other.
    """
    allowed = folder.root.roles["policy"].keys
    for key in keys:
        require_holder(key, allowed)
    head = Head(
        epoch=folder.root.version,
        version=terms.version,
        issued=terms.issued,
        stale_after=terms.issued + terms.stale_after_seconds,
        expires=terms.issued + terms.expires_seconds,
        previous=terms.previous,
        parts={part: _part_ref(part, data, terms) for part, data in parts.items()},
    )
    raw = signers.seal(ObjectType.HEAD, folder.mesh_id, head.to_payload(), keys)
    return Bundle(roots=folder.roots, head=raw, parts=dict(parts))


def _part_ref(part: str, data: bytes, terms: Terms) -> PartRef:
    """Return how the head names a part; one that has not changed keeps its version."""
    digest = sha256(data).digest()
    before = terms.parts_before.get(part)
    same = before is not None and before.hash == digest
    return PartRef(before.version if before and same else terms.version, digest, len(data))


def require_holder(key: Signer, allowed: Iterable[bytes]) -> None:
    """Raise unless a key is one of these.

    Raises:
        LocalError: It is not.
    """
    if key.public not in allowed:
        raise LocalError(
            f"the key {keytext.short_key(key.public)} does not hold the policy role in this mesh",
            remedy="`hedgerow admin show` lists the keys that do",
        )


def add_signature(inspected: Inspected, folder: Folder, key: Signer) -> Bundle:
    """Sign a bundle that was inspected, with one more key.

    Raises:
        LocalError: The key does not hold the policy role, or has signed already.
    """
    require_holder(key, folder.root.roles["policy"].keys)
    if key.public in inspected.signers:
        raise LocalError(
            f"the key {keytext.short_key(key.public)} has signed bundle {name(inspected.head)} "
            "already",
            remedy="sign with another holder's key",
        )
    raw = signers.append(inspected.bundle.head, folder.mesh_id, key)
    return Bundle(roots=inspected.bundle.roots, head=raw, parts=inspected.bundle.parts)


def require_newest(inspected: Inspected, before: Inspected | None) -> None:
    """Make sure that a bundle may follow the newest one that the folder knows.

    Raises:
        RollbackError: It is older.
        EquivocationError: It has the same version and says something else.
    """
    if before is None:
        return
    if inspected.head.order < before.head.order:
        raise RollbackError(
            f"bundle {name(inspected.head)} is older than {name(before.head)} in this folder",
            remedy="build on the newest bundle; `hedgerow admin show` names it",
        )
    if inspected.head.order == before.head.order and inspected.head_id != before.head_id:
        raise EquivocationError(
            f"two different bundles claim the version {name(inspected.head)}",
            remedy="find out who signed both; sign a later version that replaces them",
        )


def keep(inspected: Inspected, folder: Folder) -> layout.StoredBundle:
    """Write a bundle into the folder, in place of one of the same version with less signatures."""
    order = inspected.head.order
    path = layout.bundle_path(folder.path, order, partial=not inspected.complete)
    files.write(path, inspected.bundle.encode(), replace=True)
    if inspected.complete:
        layout.bundle_path(folder.path, order, partial=True).unlink(missing_ok=True)
    return layout.StoredBundle(*order, partial=not inspected.complete, path=path)
