"""All tables of one mesh's trust, and what is asked of several of them at once."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from crypto.identity import short_id
from crypto.objects import Directory
from crypto.signing import Envelope, ObjectType
from crypto.trust.enrolment import Enrolment
from crypto.trust.heads import Heads
from crypto.trust.records import Alarm, Limits
from crypto.trust.register import KeptSponsor, Register
from crypto.trust.revocations import Revocations
from crypto.trust.roots import Roots
from crypto.trust.standing import Standing

NAMES_SHOWN_MAX: Final = 8


class _Kept(Protocol):
    @property
    def id(self) -> bytes: ...
    @property
    def raw(self) -> bytes: ...


class Tables:
    """The tables, and a count of their changes.

    Args:
        root_v1_raw: The first root.
        limits: Bounds of what is kept.

    Raises:
        PeerError: If it is no first root, signed by enough of its own root keys.
    """

    def __init__(self, root_v1_raw: bytes, limits: Limits) -> None:
        self.roots = Roots(root_v1_raw, limits)
        self.heads = Heads(self.roots, limits)
        self.register = Register(limits)
        self.revocations = Revocations(self.roots, limits)
        self.enrolment = Enrolment(self.register, self.roots, self.revocations)
        self.standing = Standing(self.register, self.enrolment, self.revocations, self.roots)
        self.floor = self.roots.newest.issued
        self.version = 0

    def changed(self) -> None:
        """Count a change and forget what was worked out before it."""
        self.version += 1
        self.standing.changed()

    def reenrol(self) -> tuple[Alarm, ...]:
        """Work out the enrolment anew after a change, and name who fell out by it."""
        before = set(self.enrolment.nodes)
        self.enrolment.rebuild()
        lost = sorted(before.difference(self.enrolment.nodes))
        if not lost:
            return ()
        names = [f"{self.name_of(node.device_id)} ({short_id(node.device_id)})" for node in lost]
        return (
            Alarm(
                "enrolment-lost",
                f"{len(lost)} devices are no longer enrolled: {_listed(names)}; "
                "settle them in the directory, or have a registrar sign them",
            ),
        )

    def set_directory(self, directory: Directory) -> tuple[Alarm, ...]:
        """Settle, close and pin what a directory says, in place of the one before."""
        pins = {
            name: entry.device_id
            for name, entry in directory.devices.items()
            if entry.device_id is not None
        }
        self.enrolment.settled = frozenset(pins.values())
        self.enrolment.closed = frozenset(directory.closed_tickets)
        self.enrolment.owners = {
            entry.device_id or name: entry.owner
            for name, entry in directory.devices.items()
            if entry.owner is not None
        }
        self.standing.pins = pins
        for kept in list(self.register.pending.values()):
            if kept.node.device_id in self.enrolment.settled and self.register.has_device_room():
                self.register.settle(kept)
        self.changed()
        return self.reenrol()

    def name_of(self, device_id: bytes) -> str:
        """Return the name in the newest object of a device."""
        nodes = self.register.nodes_of(device_id)
        objects = [self.register.objects_of(node)[0] for node in nodes]
        return min(objects, key=lambda kept: kept.age).device.name if objects else "?"

    # Everything that is kept.

    def is_known(self, envelope: Envelope) -> bool:
        """Say whether an object is kept, by signers who still have a say.

        A copy whose signers have lost their role is no reason to refuse one by those who have it.
        """
        object_id = envelope.id
        match envelope.type:
            case ObjectType.TICKET:
                ticket = self.register.tickets.get(object_id)
                return ticket is not None and self.has_say(ticket.signers)
            case ObjectType.DEVICE:
                device = self.register.find(object_id)
                return device is not None and (not device.signers or self.has_say(device.signers))
            case ObjectType.REVOKE:
                revoke = self.revocations.get(object_id)
                return revoke is not None and self.revocations.stands(revoke)
            case ObjectType.SPONSOR:
                return self.register.sponsorship(object_id) is not None
            case ObjectType.HEAD:
                return self.heads.raw(object_id) is not None
            case ObjectType.ROOT:
                return self.roots.raw(object_id) is not None
            case _:
                return False

    def has_say(self, registrars: frozenset[bytes]) -> bool:
        """Say whether what these registrar keys have signed counts."""
        return self.enrolment.authority_end(registrars) is None

    def raw(self, object_id: bytes) -> bytes | None:
        """Return any kept object, pending devices too, as it was received."""
        kept = (
            self.register.tickets.get(object_id)
            or self.register.find(object_id)
            or self.register.sponsorship(object_id)
            or self.revocations.get(object_id)
        )
        if kept is not None:
            return kept.raw
        return self.roots.raw(object_id) or self.heads.raw(object_id)

    def objects(self) -> Iterator[tuple[ObjectType, bytes, bytes]]:
        """Give everything to keep and to pass on, each after what it rests on.

        Devices without a sponsor are among them: who waits for one has to remember himself, and
        whoever is to sponsor him has to hear of him.
        """
        yield from _typed(ObjectType.ROOT, self.roots.chain)
        yield from _typed(ObjectType.HEAD, self.heads)
        yield from _typed(ObjectType.TICKET, self.register.tickets.values())
        yield from _typed(ObjectType.DEVICE, self.register.devices.values())
        yield from _typed(ObjectType.DEVICE, self.register.pending.values())
        yield from _typed(ObjectType.SPONSOR, self._sponsorships())
        yield from _typed(ObjectType.REVOKE, self.revocations)

    def _sponsorships(self) -> list[KeptSponsor]:
        """Return the sponsorships such that a sponsor's own come before those it gives."""
        place: dict[bytes, int] = {}
        for number, node in enumerate(self.enrolment.nodes):
            place.setdefault(node.device_id, number)
        last = len(place)

        def order(kept: KeptSponsor) -> tuple[int, bool, bytes]:
            device = self.register.devices[kept.sponsor.device].node.device_id
            places = place.get(device, last), place.get(kept.sponsor.sponsor, last)
            return max(places), places[0] < places[1], kept.id

        return sorted(self.register.sponsorships(), key=order)


def _typed(
    object_type: ObjectType, kept: Iterable[_Kept]
) -> Iterator[tuple[ObjectType, bytes, bytes]]:
    return ((object_type, item.id, item.raw) for item in kept)


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
