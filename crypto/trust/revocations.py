"""What was taken away: a set that only grows, in which no order of arrival matters.

A revocation counts if its signers had the revoker role under any root of the chain, or if it is a
device's word about itself. It does not lapse with a rotation, or replacing a revoker key would
bring stolen machines back. But a revoker that the roots have removed binds only what was enrolled
before its removal: so a stolen revoker key can deny, and a rotation ends that too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from crypto.errors import ConstraintError
from crypto.objects import Revoke, RevokeKind
from crypto.trust.records import Limits
from crypto.trust.roots import NEVER, Roots, earliest

Subject: TypeAlias = "tuple[RevokeKind, bytes | str]"


@dataclass(frozen=True, slots=True)
class KeptRevoke:
    """A verified revocation as it was received.

    Attributes:
        revoke: What it says.
        id: Its object id.
        raw: Its envelope.
        signers: The revoker keys that signed it; none if the subject itself did.
    """

    revoke: Revoke
    id: bytes
    raw: bytes
    signers: frozenset[bytes]

    @property
    def subject(self) -> Subject:
        """What it takes away."""
        return self.revoke.kind, self.revoke.subject

    @property
    def rank(self) -> tuple[int, bytes]:
        """The lowest one by the same signers about the same subject is kept."""
        return self.revoke.issued, self.id


class Revocations:
    """Every revocation, by subject and signers.

    Of several by the same signers about one subject the earliest says all that the others say.
    Which one that is does not depend on which came first.

    Args:
        roots: Who is and was a revoker.
        limits: How many subjects one revoker may name.
    """

    def __init__(self, roots: Roots, limits: Limits) -> None:
        self._roots = roots
        self._limits = limits
        self._by_subject: dict[Subject, dict[frozenset[bytes], KeptRevoke]] = {}
        self._by_id: dict[bytes, KeptRevoke] = {}
        self._counts: dict[frozenset[bytes], int] = {}

    def __iter__(self) -> Iterator[KeptRevoke]:
        return iter(self._by_id.values())

    def get(self, object_id: bytes) -> KeptRevoke | None:
        """Return the revocation with this id."""
        return self._by_id.get(object_id)

    def stands(self, kept: KeptRevoke) -> bool:
        """Say whether its signers are revokers still, or it needs none."""
        return not kept.signers or self._roots.lapse("revoker", kept.signers) is None

    def is_covered(self, kept: KeptRevoke) -> bool:
        """Say whether what is known says all of it already."""
        known = self._by_subject.get(kept.subject, {}).get(kept.signers)
        return known is not None and known.rank <= kept.rank

    def check_room(self, kept: KeptRevoke) -> None:
        """Raise if its signers have named as many subjects as one revoker may.

        Devices that revoke themselves share one bound, that of devices.

        Raises:
            ConstraintError: If so. A new revoker key can go on.
        """
        limits = self._limits
        most = limits.revokes_per_signer_max if kept.signers else limits.devices_max
        is_new = kept.signers not in self._by_subject.get(kept.subject, {})
        if is_new and self._counts.get(kept.signers, 0) >= most:
            raise ConstraintError(
                f"revoke {kept.id.hex()[:16]}: its signer has named {most} others, the most kept",
                remedy="name a new revoker key in the next root and sign with it",
            )

    def add(self, kept: KeptRevoke) -> None:
        """Keep a revocation that is not covered, in place of a later one by the same signers."""
        same = self._by_subject.setdefault(kept.subject, {})
        replaced = same.get(kept.signers)
        if replaced is not None:
            del self._by_id[replaced.id]
        else:
            self._counts[kept.signers] = self._counts.get(kept.signers, 0) + 1
        same[kept.signers] = kept
        self._by_id[kept.id] = kept

    def replace(self, kept: KeptRevoke) -> None:
        """Keep the same revocation as signed by others, who have a say; it is not covered."""
        old = self._by_id.pop(kept.id)
        del self._by_subject[kept.subject][old.signers]
        self._counts[old.signers] -= 1
        self.add(kept)

    def is_revoked(self, kind: RevokeKind, subject: bytes | str, since: float = NEVER) -> bool:
        """Say whether something that exists since then is revoked."""
        return any(self._binding(kind, subject, since))

    def proof(self, kind: RevokeKind, subject: bytes | str) -> bytes | None:
        """Return the earliest revocation of a subject, as it was received."""
        found = self._by_subject.get((kind, subject), {}).values()
        return min(found, key=lambda kept: kept.rank).raw if found else None

    def cut(self, kind: RevokeKind, subject: bytes | str, since: float = NEVER) -> float | None:
        """Return from when the revokers deny what the subject vouches for; None if they do not.

        What it vouched for before stays, so revoking a machine does not take those along that it
        once let in; a revoker dates the revocation back to the theft to cut these too. A device's
        word about itself, which may be years old and on paper, cuts nothing but itself.
        """
        return earliest(
            kept.revoke.issued for kept in self._binding(kind, subject, since) if kept.signers
        )

    def _binding(
        self, kind: RevokeKind, subject: bytes | str, since: float
    ) -> Iterator[KeptRevoke]:
        for kept in self._by_subject.get((kind, subject), {}).values():
            lapsed = self._roots.lapse("revoker", kept.signers) if kept.signers else None
            if lapsed is None or since < lapsed:
                yield kept
