"""Heads and their parts: which state of the mesh is the newest, and who has it whole.

Heads are ordered by (epoch, version), the epoch being the version of the root whose policy keys
signed. One is *adopted*: checked, installed and in force. One may be the *candidate*: newer, and
waiting for its parts or for the node to install it. Two of equal order and different hash are
equivocation: both are kept as evidence, and the one with the lower hash wins on every node,
whichever came first and even if the other is adopted already.

**Between a rotation and the first head of the new epoch** the adopted head stays in force, even if
the new root has taken the keys from its signers: no state is lost to a rotation. A head of an old
epoch that arrives only then is taken if nothing newer is known and its signatures meet the policy
role of its own root and of the newest one. So a late joiner gets the state the others are in as
long as its signers are still trusted, and a stolen key that the rotation removed gets nowhere; if
the signers are gone the joiner waits for the first head of the new epoch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from crypto.clock import Interval
from crypto.errors import (
    ConstraintError,
    ExpiredError,
    LocalError,
    PeerError,
    RollbackError,
    UnknownParentError,
)
from crypto.objects import Head, PartRef
from crypto.signing import Envelope, signers
from crypto.trust.records import Alarm, Limits, MissingPart, ReadyBundle
from crypto.trust.roots import Roots, check_met, is_met


@dataclass(frozen=True, slots=True)
class KeptHead:
    """A verified head as it was received, and which policy keys have signed it."""

    head: Head
    id: bytes
    raw: bytes
    signers: frozenset[bytes]

    def outranks(self, other: "KeptHead | None") -> bool:
        """Say whether everybody prefers this head: a higher order, or the lower hash of equals."""
        if other is None or self.head.order != other.head.order:
            return other is None or self.head.order > other.head.order
        return self.id < other.id

    def __str__(self) -> str:
        return f"head {self.head.epoch}-{self.head.version} ({self.id.hex()[:16]})"


class Heads:
    """Every head that still matters, and the parts of the adopted one and the candidate.

    Args:
        roots: Whose policy roles decide.
        limits: How much is kept.
    """

    def __init__(self, roots: Roots, limits: Limits) -> None:
        self._roots = roots
        self._limits = limits
        self._kept: dict[bytes, KeptHead] = {}
        self._refused: dict[bytes, str] = {}
        self._parts: dict[bytes, bytes] = {}
        self.adopted: KeptHead | None = None
        self.candidate: KeptHead | None = None

    def raw(self, head_id: bytes) -> bytes | None:
        """Return the head with this id as it was received."""
        kept = self._kept.get(head_id)
        return kept.raw if kept else None

    def __iter__(self) -> Iterator[KeptHead]:
        return iter(sorted(self._kept.values(), key=lambda kept: (kept.head.order, kept.id)))

    # Admission: verify, check, then apply.

    def check(self, envelope: Envelope, head: Head, now: Interval | None) -> KeptHead:
        """Return the head, verified and fit to be kept; without `now` its times are not looked at.

        Raises:
            UnknownParentError: If its root is not known yet.
            SignatureError: If a signature is not valid or not by a policy key.
            ThresholdError: If too few policy keys have signed.
            RollbackError: If it is older than what is known, or a part of it is.
            ExpiredError: If it has expired, or comes from the future.
            ConstraintError: If its parts are too long together.
        """
        kept = self._verify(envelope, head)
        self._check_still_trusted(kept)
        self._check_order(kept)
        if now is not None:
            _check_times(kept, now)
        self._check_parts(kept)
        return kept

    def _verify(self, envelope: Envelope, head: Head) -> KeptHead:
        if head.epoch > self._roots.newest.version:
            raise UnknownParentError("root", head.epoch.to_bytes(8, "big"))
        role = self._roots.at(head.epoch).roles["policy"]
        found = signers(envelope, self._roots.mesh_id, role.keys)
        kept = KeptHead(head, envelope.id, envelope.raw, found)
        check_met(str(kept), "policy", role, found)
        return kept

    def _check_still_trusted(self, kept: KeptHead) -> None:
        newest = self._roots.newest
        if kept.head.epoch < newest.version and not is_met(newest.roles["policy"], kept.signers):
            raise RollbackError(
                f"{kept} is signed by policy keys that root {newest.version} no longer names",
                remedy=f"wait for the first head of epoch {newest.version}",
            )

    def _check_order(self, kept: KeptHead) -> None:
        for known in (self.adopted, self.candidate):
            if known and kept.head.order < known.head.order:
                raise RollbackError(f"{kept} is older than {known}")

    def _check_parts(self, kept: KeptHead) -> None:
        total = sum(ref.length for ref in kept.head.parts.values())
        if total > self._limits.bundle_bytes_max:
            raise ConstraintError(
                f"{kept}: its parts have {total} bytes, "
                f"at most {self._limits.bundle_bytes_max} allowed"
            )
        for known in (self.adopted, self.candidate):
            # Not against one of equal order: among those the lower hash wins, in any order of
            # arrival, whatever their parts are.
            if known and known.head.order < kept.head.order:
                _check_no_part_falls(kept, known)

    def apply(self, kept: KeptHead) -> tuple[Alarm, ...]:
        """Keep a head that `check` returned, and make it the candidate if it is to be preferred.

        Of more than two heads of equal order only the two that prove the most may stay.
        """
        rivals = [other for other in self._kept.values() if other.head.order == kept.head.order]
        self._kept[kept.id] = kept
        if all(kept.outranks(rival) for rival in rivals):
            self.candidate = kept
        self._prune()
        if not rivals or kept.id not in self._kept:
            return ()
        lowest = min((kept, *rivals), key=lambda known: known.id)
        return (
            Alarm(
                "equivocation",
                f"the policy keys have signed {len(rivals) + 1} heads of one version, "
                f"{' and '.join(map(str, (*rivals, kept)))}; every node takes {lowest}",
            ),
        )

    def reconsider(self) -> tuple[Alarm, ...]:
        """Drop a candidate whose signers the newest root no longer trusts; the adopted one stays.

        A cached object is verified against the current delegator (tuf-conformance,
        `test_cached_role_is_verified_against_current_delegator`).
        """
        dropped = self.candidate
        if dropped is None:
            return ()
        try:
            self._check_still_trusted(dropped)
        except RollbackError as error:
            self.candidate = None
            self._prune()
            return (Alarm("head-withdrawn", error.message),)
        return ()

    def load(
        self, found: Iterable[tuple[Envelope, Head]], adopted: bytes | None
    ) -> dict[bytes, PeerError]:
        """Take over heads that were kept before, and return those that do not verify, and why.

        What was adopted is adopted again: its expiry or a rotation since do not undo that.
        """
        refused: dict[bytes, PeerError] = {}
        for envelope, head in found:
            try:
                kept = self._verify(envelope, head)
                if kept.id != adopted:
                    self._check_still_trusted(kept)
            except PeerError as error:
                refused[envelope.raw] = error
            else:
                self._kept[kept.id] = kept
        self.adopted = self._kept.get(adopted) if adopted else None
        best: KeptHead | None = None
        for kept in self._kept.values():
            best = kept if kept.outranks(best) else best
        self.candidate = best if best and best.outranks(self.adopted) else None
        self._prune()
        return refused

    # Parts.

    def missing(self) -> tuple[MissingPart, ...]:
        """Return what the candidate still lacks, and then what the adopted head lacks."""
        return tuple(
            MissingPart(name, ref.version, ref.hash, ref.length)
            for name, ref in self._wanted().values()
            if ref.hash not in self._parts
        )

    def admit_part(self, data: bytes) -> bool:
        """Keep a part if a head names its hash and length; say whether it is one that lacked."""
        digest = sha256(data).digest()
        if (digest, len(data)) not in self._wanted() or digest in self._parts:
            return False
        self._parts[digest] = data
        return True

    def part(self, digest: bytes) -> bytes | None:
        """Return the part with this hash, of the candidate or of the adopted head."""
        return self._parts.get(digest)

    def ready(self) -> ReadyBundle | None:
        """Return the candidate if all its parts are here."""
        if self.candidate is None:
            return None
        refs = self.candidate.head.parts
        parts = {n: self._parts[ref.hash] for n, ref in refs.items() if ref.hash in self._parts}
        if len(parts) < len(refs):
            return None
        return ReadyBundle(self.candidate.id, self.candidate.head, parts)

    def _wanted(self) -> dict[tuple[bytes, int], tuple[str, PartRef]]:
        wanted: dict[tuple[bytes, int], tuple[str, PartRef]] = {}
        for kept in (self.candidate, self.adopted):
            for name, ref in kept.head.parts.items() if kept else ():
                wanted.setdefault((ref.hash, ref.length), (name, ref))
        return wanted

    # What the node decides.

    def adopt(self, head_id: bytes) -> None:
        """Make the candidate, installed by the node, the head in force.

        Raises:
            LocalError: If it is not the candidate, or parts are missing.
        """
        ready = self.ready()
        if ready is None or ready.head_id != head_id:
            raise LocalError(f"head {head_id.hex()[:16]} is not the candidate with all its parts")
        self.adopted, self.candidate = self.candidate, None
        self._prune()

    def refuse(self, head_id: bytes, reason: str) -> None:
        """Never take this head for a candidate again; the adopted one stays in force.

        Raises:
            LocalError: If it is not the candidate.
        """
        if self.candidate is None or self.candidate.id != head_id:
            raise LocalError(f"head {head_id.hex()[:16]} is not the candidate: {reason}")
        self.candidate = None
        self._refused[head_id] = reason
        if len(self._refused) > self._limits.refused_heads_max:
            self._refused.pop(next(iter(self._refused)))
        self._prune()

    def conflicts(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the evidence of equivocation: pairs of raw heads, the newest first."""
        by_order: dict[tuple[int, int], list[KeptHead]] = {}
        for kept in self:
            by_order.setdefault(kept.head.order, []).append(kept)
        pairs = [kept[:2] for _, kept in sorted(by_order.items(), reverse=True) if len(kept) > 1]
        return tuple((a.raw, b.raw) for a, b in pairs[: self._limits.conflicts_max])

    def _prune(self) -> None:
        """Forget heads that were followed by newer ones and prove nothing, and unnamed parts.

        Two heads prove an equivocation; the two with the lowest hashes are the same everywhere.
        """
        evidence = {raw for pair in self.conflicts() for raw in pair}
        named = {kept.id for kept in (self.adopted, self.candidate) if kept}
        self._kept = {
            kept.id: kept
            for kept in self._kept.values()
            if kept.id in named or kept.id in self._refused or kept.raw in evidence
        }
        hashes = {digest for digest, _ in self._wanted()}
        self._parts = {digest: data for digest, data in self._parts.items() if digest in hashes}


def _check_times(kept: KeptHead, now: Interval) -> None:
    if now.may_have_reached(kept.head.expires):
        raise ExpiredError(f"{kept} has expired", remedy="have the policy keys sign a new head")
    if kept.head.issued > now.hi:
        raise ExpiredError(f"{kept} comes from the future", remedy="check this machine's clock")


def _check_no_part_falls(kept: KeptHead, known: KeptHead) -> None:
    if kept.head.epoch != known.head.epoch:
        return
    for name, ref in kept.head.parts.items():
        before = known.head.parts.get(name)
        if before and ref.version < before.version:
            raise RollbackError(
                f"{kept}: its {name} is version {ref.version}, after {before.version} in {known}"
            )
