"""What tickets, devices and sponsorships have to keep to before anything is kept of them.

All of it follows from the object and what it rests on, never from what arrived before, so an
object that one node takes every node takes. Whether it has any effect is for `enrolment` to say.
"""

from crypto.clock import Interval
from crypto.errors import (
    ConstraintError,
    ExpiredError,
    ObjectError,
    ThresholdError,
    UnknownParentError,
)
from crypto.identity import short_id
from crypto.objects import Device, Revoke, RevokeKind, Sponsor, Ticket
from crypto.signing import Envelope, key_id, signers
from crypto.trust.enrolment import Enrolment
from crypto.trust.records import SPONSOR_SKEW_SECONDS
from crypto.trust.register import KeptDevice, KeptSponsor, KeptTicket, Register
from crypto.trust.revocations import KeptRevoke
from crypto.trust.roots import Roots


def check_ticket(envelope: Envelope, ticket: Ticket, roots: Roots) -> KeptTicket:
    """Return a ticket of a registrar that is or was, with addresses of the mesh.

    Raises:
        SignatureError: If a signature is not valid or not by a registrar.
        ThresholdError: If too few registrars have signed.
        ConstraintError: If it gives addresses outside the pool.
    """
    found = roots.authorised(envelope, "registrar")
    if not any(ticket.addresses.subnet_of(pool) for pool in roots.pools4):
        raise ConstraintError(
            f"ticket {envelope.id.hex()[:16]} gives out {ticket.addresses}, which is not in "
            f"the mesh's pool {roots.newest.pool4}"
        )
    return KeptTicket(ticket, envelope.id, envelope.raw, found)


def check_device(
    envelope: Envelope, device: Device, roots: Roots, register: Register
) -> KeptDevice:
    """Return a device that a registrar approved, or that keeps to its ticket.

    Raises:
        UnknownParentError: If its ticket is not known yet.
        SignatureError: If a signature is not valid or not by one of those it needs.
        ThresholdError: If one it needs is missing.
        ConstraintError: If it claims more than its ticket gives.
        ObjectError: If it claims addresses that are not its own or not of the mesh.
    """
    if device.ticket is None:
        found = roots.authorised(envelope, "registrar")
    else:
        ticket = register.tickets.get(device.ticket)
        if ticket is None:
            raise UnknownParentError("ticket", device.ticket)
        found = frozenset()
        _check_ticket_signed(envelope, device, ticket.ticket, roots.mesh_id)
        _check_constraints(device, ticket.ticket)
    _check_addresses(device, roots)
    return KeptDevice(device, envelope.id, envelope.raw, found)


def _check_ticket_signed(
    envelope: Envelope, device: Device, ticket: Ticket, mesh_id: bytes
) -> None:
    # The device has to sign too: an invite lets a new machine in, and must not let its holder
    # bind keys of his own to the id of another.
    needed = (ticket.public_key, device.device_id)
    if len(signers(envelope, mesh_id, needed)) < len(needed):
        raise ThresholdError(
            f"device {device.name} has to be signed by both its ticket's key and its own",
            remedy="sign it with the ticket's seed and with the device's sign_seed",
        )


def _check_constraints(device: Device, ticket: Ticket) -> None:
    """Compare a device with its ticket (Nebula's CA constraints, cert/ca_pool.go)."""
    life = ticket.ephemeral_minutes
    ends_in_time = life is None or (
        device.not_after is not None and device.not_after <= device.issued + 60 * life
    )
    rules = {
        "its tags are not those of the ticket": set(device.tags) == set(ticket.tags),
        f"its owner is not {ticket.owner}": device.owner == ticket.owner,
        f"its name is not {ticket.name}": ticket.name in (None, device.name),
        f"{device.address4} is not in {ticket.addresses}": device.address4 in ticket.addresses,
        "it was issued outside the ticket's validity": (
            ticket.issued <= device.issued < ticket.not_after
        ),
        f"it has to end within {life} minutes of its issue": ends_in_time,
    }
    for rule, holds in rules.items():
        if not holds:
            raise ConstraintError(f"device {device.name}: {rule}")


def _check_addresses(device: Device, roots: Roots) -> None:
    *older, oldest = roots.pools4
    for pool in older:
        try:
            return device.check_addresses(roots.mesh_id, pool)
        except ObjectError:
            continue
    return device.check_addresses(roots.mesh_id, oldest)


def check_sponsor(
    envelope: Envelope,
    sponsor: Sponsor,
    *,
    mesh_id: bytes,
    enrolment: Enrolment,
    register: Register,
    now: Interval | None,
) -> KeptSponsor:
    """Return a member's word that it let a device in; without `now` the future is not looked at.

    Raises:
        UnknownParentError: If the device is not known yet, or the sponsor not enrolled yet.
        SignatureError: If it is not signed by the sponsor.
        ConstraintError: If the sponsor is of the same ticket, or the ticket is another one.
        ExpiredError: If it says a time outside the ticket's validity, or in the future.
    """
    signers(envelope, mesh_id, (sponsor.sponsor,))
    kept = register.find(sponsor.device)
    if kept is None:
        raise UnknownParentError("device", sponsor.device)
    name = f"the sponsorship of {kept.device.name} by {short_id(sponsor.sponsor)}"
    if kept.node.ticket != sponsor.ticket:
        raise ConstraintError(f"{name} names another ticket than the device")
    ticket = register.tickets[sponsor.ticket].ticket
    if sponsor.sponsor == kept.node.device_id:
        raise ConstraintError(f"{name} is its own")
    _check_sponsor_times(name, sponsor, ticket, now)
    # What was admitted before is not judged by who is in now: its sponsor may be in again.
    tickets = (
        {node.ticket for node in register.claimed_by(sponsor.sponsor)}
        if now is None
        else {node.id.ticket for node in enrolment.of(sponsor.sponsor)}
    )
    if not tickets:
        raise UnknownParentError("device", sponsor.sponsor)
    if tickets == {sponsor.ticket}:
        raise ConstraintError(f"{name}: both are of one ticket")
    return KeptSponsor(sponsor, envelope.id, envelope.raw)


def _check_sponsor_times(
    name: str, sponsor: Sponsor, ticket: Ticket, now: Interval | None
) -> None:
    if not ticket.issued <= sponsor.at < ticket.not_after:
        raise ExpiredError(f"{name} is not within the validity of its ticket")
    if now is not None and sponsor.at > now.hi + SPONSOR_SKEW_SECONDS:
        raise ExpiredError(f"{name} comes from the future", remedy="check both machines' clocks")


def check_revoke(
    envelope: Envelope,
    revoke: Revoke,
    *,
    roots: Roots,
    register: Register,
    now: Interval | None,
) -> KeptRevoke:
    """Return a revocation by a revoker that is or was, or by the device that it revokes.

    Without `now`, as for what was admitted before, the device may be pending again.

    Raises:
        UnknownParentError: If a device revokes itself that is not known.
        SignatureError: If a signature is not valid or not by one of those that may.
        ThresholdError: If too few revokers have signed.
    """
    device_id = _own_revoker(envelope, revoke)
    if device_id is None:
        found = roots.authorised(envelope, "revoker")
        return KeptRevoke(revoke, envelope.id, envelope.raw, found)
    signers(envelope, roots.mesh_id, (device_id,))
    # Anybody can make keys and revoke them: only what is known is worth remembering.
    known = register.nodes_of(device_id) if now is not None else register.claimed_by(device_id)
    if not known:
        raise UnknownParentError("device", device_id)
    return KeptRevoke(revoke, envelope.id, envelope.raw, frozenset())


def _own_revoker(envelope: Envelope, revoke: Revoke) -> bytes | None:
    """Return the id of the device that says to have signed its own revocation, if it is one."""
    if revoke.kind is not RevokeKind.DEVICE or isinstance(revoke.subject, str):
        return None
    by_itself = [kid for kid, _ in envelope.signatures] == [key_id(revoke.subject)]
    return revoke.subject if by_itself else None
