"""What is known of enrolment: tickets, devices, and who sponsored whom. Storage only.

A device that came with a ticket is *pending* until a member has sponsored it or a directory has
settled it. Of those the oldest make room for newer ones, as they cost nobody but their makers. All
other bounds drop the last by an order that every node shares, so that full tables agree too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, TypeAlias

from crypto.errors import ConstraintError
from crypto.objects import Device, Sponsor, Ticket
from crypto.trust.records import Limits

Claim: TypeAlias = "IPv4Address | str"
"""What two devices cannot both have: an address, or a name that others rely on."""


class NodeId(NamedTuple):
    """One enrolment of one device: by a ticket, or by a registrar where `ticket` is empty."""

    device_id: bytes
    ticket: bytes


@dataclass(frozen=True, slots=True)
class KeptTicket:
    """A verified ticket as it was received, and which registrar keys signed it."""

    ticket: Ticket
    id: bytes
    raw: bytes
    signers: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class KeptSponsor:
    """A verified sponsorship as it was received."""

    sponsor: Sponsor
    id: bytes
    raw: bytes

    @property
    def rank(self) -> tuple[int, bytes]:
        """The earliest are kept."""
        return self.sponsor.at, self.id


@dataclass(slots=True, eq=False)
class KeptDevice:
    """A verified device as it was received.

    Attributes:
        device: What it says.
        id: Its object id.
        raw: Its envelope.
        signers: The registrar keys that signed it; none if it came with a ticket.
        sponsors: By sponsoring device id, the earliest word of each.
    """

    device: Device
    id: bytes
    raw: bytes
    signers: frozenset[bytes]
    sponsors: dict[bytes, KeptSponsor] = field(default_factory=dict)

    @property
    def node(self) -> NodeId:
        """The enrolment it speaks of; a later object of the same one replaces it."""
        return NodeId(self.device.device_id, self.device.ticket or b"")

    @property
    def age(self) -> tuple[int, bytes]:
        """Orders the objects of one enrolment: the least is the newest."""
        return -self.device.issued, self.id


class Register:
    """Every ticket, device and sponsorship that is kept.

    Args:
        limits: How much that may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.tickets: dict[bytes, KeptTicket] = {}
        self.devices: dict[bytes, KeptDevice] = {}
        self.pending: dict[bytes, KeptDevice] = {}
        self._nodes: dict[NodeId, dict[bytes, KeptDevice]] = {}
        self._by_device: dict[bytes, set[NodeId]] = {}
        self._by_ticket: dict[bytes, dict[bytes, KeptDevice]] = {}
        self._pending_of: dict[bytes, dict[bytes, KeptDevice]] = {}
        self._claims: dict[Claim, dict[bytes, KeptDevice]] = {}
        self._given: dict[bytes, dict[bytes, tuple[KeptSponsor, KeptDevice]]] = {}
        self._sponsors: dict[bytes, KeptSponsor] = {}

    # Lookup.

    def sponsorships(self) -> Iterator[KeptSponsor]:
        """Give every sponsorship."""
        return iter(self._sponsors.values())

    def sponsorship(self, object_id: bytes) -> KeptSponsor | None:
        """Return the sponsorship with this id."""
        return self._sponsors.get(object_id)

    def find(self, object_id: bytes) -> KeptDevice | None:
        """Return the device object with this id, sponsored or pending."""
        return self.devices.get(object_id) or self.pending.get(object_id)

    def nodes(self) -> Iterator[NodeId]:
        """Give every enrolment that any kept device object speaks of."""
        return iter(self._nodes)

    def objects_of(self, node: NodeId) -> list[KeptDevice]:
        """Return the device objects of one enrolment, the newest first."""
        return sorted(self._nodes.get(node, {}).values(), key=lambda kept: kept.age)

    def nodes_of(self, device_id: bytes) -> set[NodeId]:
        """Return the enrolments of one device."""
        return self._by_device.get(device_id, set())

    def claimed_by(self, device_id: bytes) -> set[NodeId]:
        """Return the enrolments of one device, those that are pending too."""
        pending = (kept.node for kept in self.pending.values())
        return self.nodes_of(device_id) | {node for node in pending if node.device_id == device_id}

    def device_ids(self) -> Iterator[bytes]:
        """Give the id of every device with a kept object."""
        return iter(self._by_device)

    def given_by(self, device_id: bytes) -> list[tuple[KeptSponsor, KeptDevice]]:
        """Return what a device has said as a sponsor, and about which device object."""
        return list(self._given.get(device_id, {}).values())

    def claiming(self, claim: Claim) -> set[bytes]:
        """Return the ids of the devices that claim this address or this name in some object."""
        found = self._claims.get(claim, {}).values()
        return {kept.device.device_id for kept in found}

    # Tickets.

    def check_ticket_room(self) -> None:
        """Raise if no ticket can be kept any more.

        Raises:
            ConstraintError: If so.
        """
        if len(self.tickets) >= self._limits.tickets_max:
            raise ConstraintError(f"the mesh has {len(self.tickets)} tickets, the most kept")

    # Devices.

    def has_device_room(self) -> bool:
        """Say whether one more device object can be kept."""
        return len(self.devices) < self._limits.devices_max

    def check_device_room(self) -> None:
        """Raise if no device object can be kept any more.

        Raises:
            ConstraintError: If so.
        """
        if not self.has_device_room():
            raise ConstraintError(f"the mesh has {len(self.devices)} devices, the most kept")

    def is_replaced(self, kept: KeptDevice) -> bool:
        """Say whether the same registrars have signed a newer object of this enrolment."""
        return any(other.age < kept.age for other in self._same_approval(kept))

    def replaces(self, kept: KeptDevice) -> bool:
        """Say whether it takes the place of others, and so no more room."""
        return kept.id in self.devices or bool(self._same_approval(kept))

    def put_approved(self, kept: KeptDevice) -> None:
        """Keep a registrar's device in place of the older ones by the same registrars.

        Those by others stay: if these registrars turn out to be thieves, theirs still hold.
        """
        same = {known.id: known for known in self._same_approval(kept)}
        if kept.id in self.devices:
            same[kept.id] = self.devices[kept.id]
        for older in same.values():
            self._drop(older)
        self._store(kept)

    def _same_approval(self, kept: KeptDevice) -> list[KeptDevice]:
        return [known for known in self.objects_of(kept.node) if known.signers == kept.signers]

    def put_pending(self, kept: KeptDevice) -> None:
        """Keep a ticket's device until somebody sponsors it, or until newer ones need the room."""
        self.pending[kept.id] = kept
        same = self._pending_of.setdefault(kept.node.ticket, {})
        same[kept.id] = kept
        if len(same) > self._room_of(kept):
            self._take_pending(next(iter(same)))
        elif len(self.pending) > self._limits.pending_devices_max:
            self._take_pending(next(iter(self.pending)))

    def settle(self, kept: KeptDevice) -> None:
        """Keep a ticket's device that needs no sponsor."""
        if kept.id in self.pending:
            self._take_pending(kept.id)
        self._store(kept)

    # Sponsorships.

    def is_covered(self, kept: KeptSponsor) -> bool:
        """Say whether it adds nothing: the same sponsor spoke earlier, or enough others did."""
        device = self.find(kept.sponsor.device)
        sponsors = device.sponsors if device else {}
        known = sponsors.get(kept.sponsor.sponsor)
        if known is not None:
            return known.rank <= kept.rank
        full = len(sponsors) >= self._limits.sponsors_per_device_max
        return full and max(known.rank for known in sponsors.values()) <= kept.rank

    def has_no_room_for(self, kept: KeptSponsor) -> bool:
        """Say whether its device comes after as many of the same ticket as are kept."""
        device = self.pending.get(kept.sponsor.device)
        if device is None:
            return False
        same = self._by_ticket.get(kept.sponsor.ticket, {}).values()
        if len(same) < self._room_of(device):
            return False
        return max(map(_first_sponsored, same)) < (kept.sponsor.at, device.id)

    def sponsor(self, kept: KeptSponsor) -> bool:
        """Keep a sponsorship that is not covered, and its device for good.

        Returns:
            Whether anything was dropped for it.
        """
        device = self.devices.get(kept.sponsor.device)
        if device is None:
            device = self._take_pending(kept.sponsor.device)
            self._store(device)
        replaced = device.sponsors.get(kept.sponsor.sponsor)
        if replaced is not None:
            self._forget_sponsor(device, replaced)
        device.sponsors[kept.sponsor.sponsor] = kept
        self._sponsors[kept.id] = kept
        self._given.setdefault(kept.sponsor.sponsor, {})[kept.id] = (kept, device)
        crowded = len(device.sponsors) > self._limits.sponsors_per_device_max
        if crowded:
            self._forget_sponsor(device, max(device.sponsors.values(), key=lambda k: k.rank))
        same = self._by_ticket[device.node.ticket]
        full = len(same) > self._room_of(device)
        if full:
            self._drop(max(same.values(), key=_first_sponsored))
        return replaced is not None or crowded or full

    # Keeping the tables.

    def _room_of(self, kept: KeptDevice) -> int:
        ticket = self.tickets[kept.node.ticket].ticket
        return ticket.uses + self._limits.spare_devices_per_ticket

    def _take_pending(self, object_id: bytes) -> KeptDevice:
        kept = self.pending.pop(object_id)
        same = self._pending_of[kept.node.ticket]
        del same[object_id]
        if not same:
            del self._pending_of[kept.node.ticket]
        return kept

    def _store(self, kept: KeptDevice) -> None:
        self.devices[kept.id] = kept
        self._nodes.setdefault(kept.node, {})[kept.id] = kept
        self._by_device.setdefault(kept.node.device_id, set()).add(kept.node)
        if kept.node.ticket:
            self._by_ticket.setdefault(kept.node.ticket, {})[kept.id] = kept
        for claim in _claims(kept.device):
            self._claims.setdefault(claim, {})[kept.id] = kept

    def _drop(self, kept: KeptDevice) -> None:
        del self.devices[kept.id]
        del self._nodes[kept.node][kept.id]
        if not self._nodes[kept.node]:
            del self._nodes[kept.node]
            self._by_device[kept.node.device_id].discard(kept.node)
        if kept.node.ticket:
            del self._by_ticket[kept.node.ticket][kept.id]
        for claim in _claims(kept.device):
            del self._claims[claim][kept.id]
            if not self._claims[claim]:
                del self._claims[claim]
        for sponsor in list(kept.sponsors.values()):
            self._forget_sponsor(kept, sponsor)

    def _forget_sponsor(self, device: KeptDevice, kept: KeptSponsor) -> None:
        del device.sponsors[kept.sponsor.sponsor]
        del self._sponsors[kept.id]
        del self._given[kept.sponsor.sponsor][kept.id]


def _claims(device: Device) -> tuple[Claim, Claim]:
    return device.address4, device.name


def _first_sponsored(kept: KeptDevice) -> tuple[float, bytes]:
    """Order the devices of one ticket: settled ones without a sponsor first, then by time."""
    first = min((known.sponsor.at for known in kept.sponsors.values()), default=float("-inf"))
    return first, kept.id
