"""Which devices are in force at an instant, and why the others are not.

In force is a device that is enrolled, not revoked, inside its validity, inside the address pool,
and whose address and authoritative name no better device in force by itself claims. Better is
whom the directory settles, then whom a registrar approved, then who was sponsored earlier, then
the lower id. A name is authoritative if the mesh's admins gave it: as the registrar, by the
ticket, or in the directory; names that devices chose themselves may repeat and prove nothing.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from crypto.clock import Interval
from crypto.identity import short_id
from crypto.objects import Device, RevokeKind
from crypto.trust.enrolment import Enrolment, Node
from crypto.trust.register import Claim, KeptDevice, Register
from crypto.trust.revocations import Revocations
from crypto.trust.roots import Roots

Precedence: TypeAlias = tuple[bool, bool, int, float, bytes]

IN_FORCE: Final = "in force"
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
NOT_YET: Final = "not valid yet"


@dataclass(frozen=True, slots=True)
class Live:
    """A device that would be in force if nobody contested its address or name."""

    device: Device
    node: Node
    precedence: Precedence
    claims: tuple[Claim, ...]


class Standing:
    """Answers for every device and instant, from what the other tables hold.

    Args:
        register: What is known of enrolment.
        enrolment: Who belongs to the mesh.
        revocations: What was taken away.
        roots: Whose pool counts.

    Attributes:
        pins: Which device the directory means by a name.
    """

    def __init__(
        self,
        register: Register,
        enrolment: Enrolment,
        revocations: Revocations,
        roots: Roots,
    ) -> None:
        self._register = register
        self._enrolment = enrolment
        self._revocations = revocations
        self._roots = roots
        self.pins: Mapping[str, bytes] = {}
        self._starts: list[int] | None = None
        self._ends: list[int] = []
        self._view: tuple[tuple[int, int], Mapping[bytes, Device]] | None = None

    def changed(self) -> None:
        """Forget what was worked out: something that decides has changed."""
        self._starts = None
        self._view = None

    def devices(self, now: Interval) -> Mapping[bytes, Device]:
        """Return every device in force by id. Nothing is worked out twice while nothing changes.

        Between two starts or ends of a validity the answer cannot change by time alone.
        """
        starts, ends = self._edges()
        between = bisect_right(starts, now.lo), bisect_right(ends, now.hi)
        if self._view is None or self._view[0] != between:
            self._view = between, MappingProxyType(self._resolve_all(now))
        return self._view[1]

    def state(self, device_id: bytes, now: Interval) -> tuple[bool, str]:
        """Return whether a device is in force, and what says so or not."""
        found = self._resolve(device_id, now)
        return (True, IN_FORCE) if isinstance(found, Live) else (False, found)

    def seconds_to_change(self, now: Interval) -> float | None:
        """Return how long no device comes or goes by time alone; None if none ever does."""
        starts, ends = self._edges()
        start, end = bisect_right(starts, now.lo), bisect_right(ends, now.hi)
        waits = [at - now.lo for at in starts[start : start + 1]]
        waits += [at - now.hi for at in ends[end : end + 1]]
        return min(waits, default=None)

    def contested(self, node: Node) -> Iterator[tuple[str, KeptDevice, KeptDevice]]:
        """Give what this enrolment and others both claim: the claim, the winner, the loser.

        Of many others the best is named: a ticket's devices may all claim one address.
        """
        if self._enrolment.is_revoked(node):
            return
        for claim in self._claims(node):
            other = min(self._rivals(node, claim), key=self._precedence, default=None)
            if other is not None:
                first, second = sorted((node, other), key=self._precedence)
                yield f"{claim}", first.newest, second.newest

    def has_authoritative_name(self, node: Node) -> bool:
        """Say whether the mesh's admins gave the device its name."""
        device = node.newest.device
        pinned = self.pins.get(device.name) == device.device_id
        return pinned or self._enrolment.has_given_name(node)

    # How it is worked out.

    def _edges(self) -> tuple[list[int], list[int]]:
        if self._starts is None:
            devices = [node.newest.device for node in self._enrolment.nodes.values()]
            self._starts = sorted(d.not_before for d in devices)
            self._ends = sorted(d.not_after for d in devices if d.not_after is not None)
        return self._starts, self._ends

    def _resolve(self, device_id: bytes, now: Interval) -> Live | str:
        """Return the device if it is in force, and otherwise why not."""
        live = self._live(device_id, now)
        if isinstance(live, str):
            return live
        for claim in live.claims:
            reason = self._why_lost(live, claim, now)
            if reason is not None:
                return reason
        return live

    def _resolve_all(self, now: Interval) -> dict[bytes, Device]:
        """Return every device in force: as `_resolve` one by one, but comparing each claim once.

        Ten thousand devices of one ticket may all claim one address.
        """
        found = (self._live(device_id, now) for device_id in self._register.device_ids())
        lives = [live for live in found if isinstance(live, Live)]
        best: dict[Claim, Precedence] = {}
        for live in lives:
            for claim in live.claims:
                best[claim] = min(live.precedence, best.get(claim, live.precedence))
        return {
            live.node.id.device_id: live.device
            for live in lives
            if all(
                best[claim] == live.precedence and self._given_to_other(live, claim) is None
                for claim in live.claims
            )
        }

    def _given_to_other(self, live: Live, claim: Claim) -> bytes | None:
        """Return the other device to which the directory gives a name that this one claims."""
        pinned = self.pins.get(claim) if isinstance(claim, str) else None
        return pinned if pinned != live.device.device_id else None

    def _why_lost(self, live: Live, claim: Claim, now: Interval) -> str | None:
        pinned = self._given_to_other(live, claim)
        if pinned is not None:
            return f"the directory gives the name {claim} to {short_id(pinned)}"
        for rival_id in self._register.claiming(claim) - {live.device.device_id}:
            rival = self._live(rival_id, now)
            if not isinstance(rival, Live) or claim not in rival.claims:
                continue
            if rival.precedence < live.precedence:
                return f"{claim} belongs to {rival.device.name} ({short_id(rival_id)})"
        return None

    def _live(self, device_id: bytes, now: Interval) -> Live | str:
        nodes = self._enrolment.of(device_id)
        reasons = []
        for node in nodes:
            reason = self._why_not(node, now)
            if reason is None:
                device = node.newest.device
                return Live(device, node, self._precedence(node), self._claims(node))
            reasons.append(reason)
        return reasons[0] if reasons else self._why_not_enrolled(device_id)

    def _why_not(self, node: Node, now: Interval) -> str | None:
        device = node.newest.device
        if self._enrolment.is_revoked(node):
            return REVOKED
        for owner in self._enrolment.owners_of(node):
            if self._revocations.is_revoked(RevokeKind.USER, owner):
                return f"its owner {owner} is revoked"
        if device.address4 not in self._roots.newest.pool4:
            return f"{device.address4} is outside the mesh's pool {self._roots.newest.pool4}"
        if device.not_after is not None and now.may_have_reached(device.not_after):
            return EXPIRED
        return None if now.has_reached(device.not_before) else NOT_YET

    def _why_not_enrolled(self, device_id: bytes) -> str:
        nodes = self._register.nodes_of(device_id)
        if any(node in self._enrolment.displaced for node in nodes):
            return "others came before it with the same ticket, which has no use left"
        if any(node.ticket in self._enrolment.closed for node in nodes):
            return "its ticket is closed, and the directory does not settle it"
        if nodes:
            return "its ticket, registrar or sponsor has no say any more"
        known = any(k.device.device_id == device_id for k in self._register.pending.values())
        return "no member has sponsored it" if known else "unknown"

    def _claims(self, node: Node) -> tuple[Claim, ...]:
        device = node.newest.device
        named = (device.name,) if self.has_authoritative_name(node) else ()
        return (device.address4, *named)

    def _rivals(self, node: Node, claim: Claim) -> Iterator[Node]:
        for device_id in self._register.claiming(claim) - {node.id.device_id}:
            for other in self._enrolment.of(device_id):
                if claim in self._claims(other) and not self._enrolment.is_revoked(other):
                    yield other

    def _precedence(self, node: Node) -> Precedence:
        since = self._enrolment.exists_since(node)
        return not node.settled, bool(node.id.ticket), node.rank[0], since, node.id.device_id
