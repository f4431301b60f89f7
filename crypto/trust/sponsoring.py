"""What an honest member asks before it vouches for somebody, and whether something is revoked."""

from crypto.clock import Interval
from crypto.identity import short_id
from crypto.objects import RevokeKind
from crypto.trust.register import KeptDevice, KeptTicket
from crypto.trust.tables import Tables

_YES = "may be sponsored"


def may_sponsor(tables: Tables, device: bytes, sponsor: bytes, now: Interval) -> tuple[bool, str]:
    """Return whether this member should sponsor this device object now, and why not."""
    kept = tables.register.find(device)
    if kept is None:
        return False, "unknown"
    ticket = tables.register.tickets.get(kept.node.ticket)
    if ticket is None:
        return False, "a registrar signed it, so it needs no sponsor"
    reason = (
        _why_not_ticket(tables, kept, ticket, now)
        or _why_not_device(tables, kept)
        or _why_not_sponsor(tables, kept, sponsor, now)
    )
    return reason is None, reason or _YES


def _why_not_ticket(
    tables: Tables, kept: KeptDevice, ticket: KeptTicket, now: Interval
) -> str | None:
    head = tables.heads.adopted
    if head is not None and now.may_have_reached(head.head.expires):
        return "the newest head has expired, and nobody is enrolled until there is another"
    if not now.covers_validity(ticket.ticket.issued, ticket.ticket.not_after):
        return "its ticket is not valid now"
    if ticket.id in tables.enrolment.closed:
        return "its ticket is closed"
    end = tables.enrolment.ticket_end(ticket)
    if end is not None and now.may_have_reached(end):
        return "its ticket or the ticket's registrar is revoked"
    if kept.node not in tables.enrolment.nodes and tables.enrolment.uses_left(ticket) <= 0:
        return "its ticket has no use left"
    return None


def _why_not_device(tables: Tables, kept: KeptDevice) -> str | None:
    device = kept.device
    if is_revoked(tables, RevokeKind.DEVICE, device.device_id):
        return "it is revoked"
    if device.owner and is_revoked(tables, RevokeKind.USER, device.owner):
        return f"its owner {device.owner} is revoked"
    return None


def _why_not_sponsor(
    tables: Tables, kept: KeptDevice, sponsor: bytes, now: Interval
) -> str | None:
    in_force, reason = tables.standing.state(sponsor, now)
    if not in_force:
        return f"its sponsor {short_id(sponsor)} is not in force: {reason}"
    if all(node.id.ticket == kept.node.ticket for node in tables.enrolment.of(sponsor)):
        return "its sponsor came with the same ticket"
    return None


def is_revoked(tables: Tables, kind: RevokeKind, subject: bytes | str) -> bool:
    """Say whether something is revoked, known or not.

    Of a device or ticket that is known it matters how old it is: a revoker that the roots have
    removed binds only what was there before.
    """
    enrolment, revocations = tables.enrolment, tables.revocations
    if isinstance(subject, bytes):
        match kind:
            case RevokeKind.DEVICE if nodes := enrolment.of(subject):
                return all(enrolment.is_revoked(node) for node in nodes)
            case RevokeKind.TICKET if ticket := tables.register.tickets.get(subject):
                names = (ticket.id, ticket.ticket.public_key)
                issued = ticket.ticket.issued
                return any(revocations.is_revoked(kind, name, issued) for name in names)
            case RevokeKind.REGISTRAR:
                since = tables.roots.first_listed("registrar", subject)
                return revocations.is_revoked(kind, subject, since)
            case _:
                pass
    return revocations.is_revoked(kind, subject)
