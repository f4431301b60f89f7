"""The chain of roots: who may sign what, now and ever before.

TUF 1.0.34 section 5.3: version N+1 exactly after N, signed by the threshold of N's root keys and
of its own, each key counted once. Expiry in the middle of the chain does not matter, and at its
end it is only reported: an expired root still brings in its successor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from crypto.errors import (
    ConstraintError,
    EquivocationError,
    ObjectError,
    ThresholdError,
    UnknownParentError,
    WrongMeshError,
)
from crypto.objects import Role, Root
from crypto.signing import Envelope, ObjectType, decode, signers
from crypto.trust.records import Limits

NEVER = float("-inf")
"""When a right lapsed that never was."""


@dataclass(frozen=True, slots=True)
class KeptRoot:
    """A verified root as it was received."""

    root: Root
    id: bytes
    raw: bytes


def is_met(role: Role, keys: frozenset[bytes]) -> bool:
    """Say whether these distinct keys reach the role's threshold."""
    return len(keys.intersection(role.keys)) >= role.threshold


def check_met(what: str, role_name: str, role: Role, keys: frozenset[bytes]) -> None:
    """Raise unless these distinct keys reach the role's threshold.

    Raises:
        ThresholdError: If they do not.
    """
    if not is_met(role, keys):
        have = len(keys.intersection(role.keys))
        raise ThresholdError(
            f"{what} is signed by {have} of the {role.threshold} {role_name} keys it needs",
            remedy=f"have more holders of {role_name} keys sign it",
        )


class Roots:
    """The verified chain, from version 1 to the newest.

    Args:
        raw: Root version 1, whose payload's hash is the mesh id.
        limits: How long the chain may get.

    Raises:
        PeerError: If `raw` is no version 1 signed by its own threshold.
    """

    def __init__(self, raw: bytes, limits: Limits) -> None:
        envelope = decode(raw)
        if envelope.type is not ObjectType.ROOT:
            raise ObjectError(f"a mesh begins with its root, not with a {envelope.type}")
        root = Root.from_payload(envelope.payload)
        if root.version != 1:
            raise ObjectError(f"a mesh begins with root version 1, not {root.version}")
        own = root.roles["root"]
        check_met("root 1", "root", own, signers(envelope, envelope.id, own.keys))
        self._limits = limits
        self._chain = [KeptRoot(root, envelope.id, raw)]
        self._by_id = {envelope.id: self._chain[0]}
        # Both follow from the chain alone and are asked for with every object.
        self._lapses: dict[tuple[str, frozenset[bytes]], float | None] = {}
        self._keys: dict[str, frozenset[bytes]] = {}

    @property
    def mesh_id(self) -> bytes:
        """Object id of version 1."""
        return self._chain[0].id

    @property
    def newest(self) -> Root:
        """The root in force."""
        return self._chain[-1].root

    @property
    def chain(self) -> tuple[KeptRoot, ...]:
        """Every root, in order."""
        return tuple(self._chain)

    @property
    def pools4(self) -> tuple[IPv4Network, ...]:
        """Every IPv4 pool the mesh ever had, the newest first."""
        return tuple(dict.fromkeys(kept.root.pool4 for kept in reversed(self._chain)))

    def at(self, version: int) -> Root:
        """Return one version of the chain."""
        return self._chain[version - 1].root

    def raw(self, object_id: bytes) -> bytes | None:
        """Return the root with this id as it was received."""
        kept = self._by_id.get(object_id)
        return kept.raw if kept else None

    def keys(self, role_name: str) -> frozenset[bytes]:
        """Return every key that ever had this role."""
        if role_name not in self._keys:
            roles = (kept.root.roles[role_name] for kept in self._chain)
            self._keys[role_name] = frozenset(key for role in roles for key in role.keys)
        return self._keys[role_name]

    def lapse(self, role_name: str, keys: frozenset[bytes]) -> float | None:
        """Return from when these keys together no longer fill the role.

        None while they do under the newest root, `NEVER` if they never did, and otherwise when
        the root was issued that took the role from them.
        """
        known = (role_name, keys)
        if known not in self._lapses:
            self._lapses[known] = self._find_lapse(role_name, keys)
        return self._lapses[known]

    def _find_lapse(self, role_name: str, keys: frozenset[bytes]) -> float | None:
        since: float | None = None
        for kept in reversed(self._chain):
            if is_met(kept.root.roles[role_name], keys):
                return since
            since = kept.root.issued
        return NEVER

    def first_listed(self, role_name: str, key: bytes) -> float:
        """Return when the first root was issued that gives this key the role; `NEVER` if none."""
        listing = (k.root.issued for k in self._chain if key in k.root.roles[role_name].keys)
        return next(listing, NEVER)

    def authorised(self, envelope: Envelope, role_name: str) -> frozenset[bytes]:
        """Return who signed, if together they had the role under some root of the chain.

        Whether they still have it is `lapse`. It is asked whenever the object is used, not when
        it arrives: so the order of arrival of a root and an older object does not matter.

        Raises:
            SignatureError: If a signature is not valid or not by a key that ever had the role.
            ThresholdError: If there never was a root for which these keys were enough.
        """
        found = signers(envelope, self.mesh_id, self.keys(role_name))
        if self.lapse(role_name, found) == NEVER:
            role = self.newest.roles[role_name]
            check_met(f"{envelope.type} {envelope.id.hex()[:16]}", role_name, role, found)
        return found

    def check(self, envelope: Envelope, root: Root) -> KeptRoot:
        """Return the next root, verified, or raise if it is not the next one of this chain.

        Raises:
            UnknownParentError: If a version between is missing.
            WrongMeshError: If it begins another mesh.
            EquivocationError: If its signers contradict the chain.
            ThresholdError: If the old or the new root keys are too few.
            SignatureError: If a signature is not valid.
            ConstraintError: If the mesh name changes or the chain is at its bound.
        """
        newest = self.newest.version
        if root.previous is None:
            raise WrongMeshError(f"root {envelope.id.hex()[:16]} begins another mesh")
        if root.version > newest + 1:
            raise UnknownParentError("root", root.previous)
        self._verify(envelope, root, self._chain[root.version - 2])
        if root.version <= newest:
            raise EquivocationError(f"a second root {root.version} is signed by enough root keys")
        if newest > self._limits.rotations_max:
            raise ConstraintError(f"root {root.version} is beyond the {newest} kept of one mesh")
        return KeptRoot(root, envelope.id, envelope.raw)

    def _verify(self, envelope: Envelope, root: Root, before: KeptRoot) -> None:
        old, new = before.root.roles["root"], root.roles["root"]
        found = signers(envelope, self.mesh_id, frozenset((*old.keys, *new.keys)))
        check_met(f"root {root.version}", f"root (version {before.root.version})", old, found)
        check_met(f"root {root.version}", f"root (version {root.version})", new, found)
        if root.previous != before.id:
            raise EquivocationError(f"root {root.version} follows another root than the one here")
        if root.mesh_name != before.root.mesh_name:
            raise ConstraintError(
                f"root {root.version} renames the mesh {before.root.mesh_name} "
                f"to {root.mesh_name}; a mesh keeps its name"
            )

    def append(self, kept: KeptRoot) -> None:
        """Make a root that `check` returned the newest."""
        self._chain.append(kept)
        self._by_id[kept.id] = kept
        self._lapses.clear()
        self._keys.clear()


def earliest(times: Iterable[float | None]) -> float | None:
    """Return the earliest of the times that are set, or None."""
    return min((time for time in times if time is not None), default=None)
