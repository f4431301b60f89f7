"""Admission: parse, verify, check, and only then apply. Whatever raises has changed nothing."""

from collections.abc import Iterator

from crypto.clock import Interval
from crypto.errors import ConstraintError, ObjectError
from crypto.identity import short_id
from crypto.objects import Device, Head, Revoke, RevokeKind, Root, Sponsor, Ticket, parse
from crypto.signing import Envelope
from crypto.trust import checks
from crypto.trust.records import Admitted, Alarm
from crypto.trust.register import KeptDevice
from crypto.trust.revocations import KeptRevoke
from crypto.trust.tables import Tables


def admit(tables: Tables, envelope: Envelope, now: Interval | None) -> Admitted:
    """Take in an object that is not a device's statement, if it is acceptable.

    Without `now` whatever depends on time is left out, for what was admitted before: the clock
    may have been set back since, and what has expired since stays known.

    Raises:
        PeerError: If it is not acceptable. State unchanged.
    """
    if tables.is_known(envelope):
        return _verdict(envelope, fresh=False)
    match parse(envelope):
        case Root() as root:
            return _admit_root(tables, envelope, root, now)
        case Head() as head:
            return _admit_head(tables, envelope, head, now)
        case Ticket() as ticket:
            return _admit_ticket(tables, envelope, ticket)
        case Device() as device:
            return _admit_device(tables, envelope, device)
        case Sponsor() as sponsor:
            return _admit_sponsor(tables, envelope, sponsor, now)
        case Revoke() as revoke:
            return _admit_revoke(tables, envelope, revoke, now)
        case _:
            raise ObjectError(f"a {envelope.type} is a device's statement, nothing to admit")


def _verdict(
    envelope: Envelope, alarms: tuple[Alarm, ...] = (), *, fresh: bool = True
) -> Admitted:
    return Admitted(envelope.type, envelope.id, fresh, alarms)


def _admit_root(tables: Tables, envelope: Envelope, root: Root, now: Interval | None) -> Admitted:
    kept = tables.roots.check(envelope, root)
    tables.roots.append(kept)
    tables.floor = max(tables.floor, root.issued)
    tables.changed()
    alarms = (*tables.heads.reconsider(), *tables.reenrol())
    expired = () if now is None else expired_root(root, now)
    return _verdict(envelope, (*alarms, *expired))


def expired_root(root: Root, now: Interval) -> tuple[Alarm, ...]:
    """Return the alarm that the newest root has expired, if it has."""
    if not now.may_have_reached(root.expires):
        return ()
    text = f"root {root.version} has expired; have the root keys sign its successor"
    return (Alarm("root-expired", text),)


def _admit_head(tables: Tables, envelope: Envelope, head: Head, now: Interval | None) -> Admitted:
    kept = tables.heads.check(envelope, head, now)
    alarms = tables.heads.apply(kept)
    fresh = tables.heads.raw(kept.id) is not None
    if fresh:
        tables.floor = max(tables.floor, head.issued)
        tables.changed()
    return _verdict(envelope, alarms, fresh=fresh)


def _admit_ticket(tables: Tables, envelope: Envelope, ticket: Ticket) -> Admitted:
    kept = checks.check_ticket(envelope, ticket, tables.roots)
    if kept.id not in tables.register.tickets:
        tables.register.check_ticket_room()
    elif not tables.has_say(kept.signers):
        return _verdict(envelope, fresh=False)
    replaces = kept.id in tables.register.tickets
    tables.register.tickets[kept.id] = kept
    tables.changed()
    if replaces:
        tables.reenrol()
    return _verdict(envelope)


def _admit_device(tables: Tables, envelope: Envelope, device: Device) -> Admitted:
    kept = checks.check_device(envelope, device, tables.roots, tables.register)
    if device.ticket is None:
        return _admit_approved(tables, envelope, kept)
    if device.device_id not in tables.enrolment.settled:
        tables.register.put_pending(kept)
        return _verdict(envelope)
    tables.register.check_device_room()
    tables.register.settle(kept)
    return _verdict(envelope, _enrol(tables, kept))


def _admit_approved(tables: Tables, envelope: Envelope, kept: KeptDevice) -> Admitted:
    known = tables.register.devices.get(kept.id)
    if known is not None and not tables.has_say(kept.signers):
        return _verdict(envelope, fresh=False)
    if tables.register.is_replaced(kept):
        return _verdict(envelope, fresh=False)
    if not tables.register.replaces(kept):
        tables.register.check_device_room()
    tables.register.put_approved(kept)
    return _verdict(envelope, _enrol(tables, kept))


def _admit_sponsor(
    tables: Tables, envelope: Envelope, sponsor: Sponsor, now: Interval | None
) -> Admitted:
    kept = checks.check_sponsor(
        envelope,
        sponsor,
        mesh_id=tables.roots.mesh_id,
        enrolment=tables.enrolment,
        register=tables.register,
        now=now,
    )
    if tables.register.is_covered(kept):
        return _verdict(envelope, fresh=False)
    if sponsor.device in tables.register.pending:
        tables.register.check_device_room()
    if tables.register.has_no_room_for(kept):
        raise ConstraintError(
            f"the ticket of {short_id(sponsor.device)} was overused long ago",
            remedy="revoke the ticket and make a new one",
        )
    disturbed = tables.register.sponsor(kept)
    device = tables.register.devices[sponsor.device]
    return _verdict(envelope, _enrol(tables, device, disturbed=disturbed))


def _enrol(tables: Tables, kept: KeptDevice, *, disturbed: bool = False) -> tuple[Alarm, ...]:
    """Take a device that has just been kept into the enrolment, and say whom it disturbs."""
    enrolment = tables.enrolment
    was_in, displaced = kept.node in enrolment.nodes, set(enrolment.displaced)
    if disturbed:
        enrolment.rebuild()
    else:
        enrolment.add(kept)
    tables.changed()
    alarms = [
        Alarm(
            "ticket-overused",
            f"{tables.name_of(node.device_id)} ({short_id(node.device_id)}) is not in force: "
            f"ticket {node.ticket.hex()[:16]} has no use left, others were sponsored before it",
        )
        for node in sorted(enrolment.displaced - displaced)
    ]
    if not was_in and kept.node in enrolment.nodes:
        alarms += _conflicts(tables, kept)
    return tuple(alarms)


def _conflicts(tables: Tables, kept: KeptDevice) -> Iterator[Alarm]:
    node = tables.enrolment.nodes[kept.node]
    for claim, winner, loser in tables.standing.contested(node):
        yield Alarm(
            "claim-conflict",
            f"{winner.device.name} ({short_id(winner.device.device_id)}) and "
            f"{loser.device.name} ({short_id(loser.device.device_id)}) both claim {claim}; "
            "the first keeps it, the second is not in force",
        )


def _admit_revoke(
    tables: Tables, envelope: Envelope, revoke: Revoke, now: Interval | None
) -> Admitted:
    kept = checks.check_revoke(
        envelope, revoke, roots=tables.roots, register=tables.register, now=now
    )
    revocations = tables.revocations
    if revocations.is_covered(kept):
        return _verdict(envelope, fresh=False)
    if revocations.get(kept.id) is not None:
        if not revocations.stands(kept):
            return _verdict(envelope, fresh=False)
        revocations.replace(kept)
    else:
        revocations.check_room(kept)
        revocations.add(kept)
    tables.changed()
    return _verdict(envelope, tables.reenrol() if _changes_enrolment(tables, kept) else ())


def _changes_enrolment(tables: Tables, kept: KeptRevoke) -> bool:
    match kept.revoke.kind, kept.revoke.subject:
        case RevokeKind.DEVICE, bytes(device_id):
            # What it says of itself touches nobody it let in.
            return bool(kept.signers) and bool(tables.register.given_by(device_id))
        case RevokeKind.GRANT, _:
            return False
        case _:
            return True
