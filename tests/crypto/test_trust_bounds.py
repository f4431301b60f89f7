"""Attacks on memory: every table has a bound, reached here, and an honest way out."""

from __future__ import annotations

import pytest

from crypto.errors import ConstraintError, UnknownParentError
from crypto.objects import RevokeKind
from crypto.trust import Limits, Trust
from tests.forge import NOW, Forged, Mesh, at, refused, seed, settling

LATER = at(NOW + 100)


def bounded(mesh: Mesh, *objects: Forged, **limits: int) -> Trust:  # type: ignore[type-arg]
    """Return a trust with these bounds that has admitted these objects."""
    trust = Trust(mesh.roots[0], limits=Limits(**limits))
    for raw in (*mesh.roots[1:], *(item.raw for item in objects)):
        trust.admit(raw, LATER)
    return trust


def test_tickets_max() -> None:
    """A registrar cannot fill the memory with tickets; known ones stay known."""
    mesh = Mesh()
    tickets = [mesh.ticket(n) for n in range(3)]
    trust = bounded(mesh, *tickets[:2], tickets_max=2)
    refused(trust, tickets[2].raw, ConstraintError)
    assert not trust.admit(tickets[0].raw, LATER).fresh


def test_devices_max_for_approved_devices() -> None:
    """A registrar cannot approve more devices than are kept, however many it signs."""
    mesh = Mesh()
    trust = bounded(mesh, mesh.device("a"), mesh.device("b"), devices_max=2)
    refused(trust, mesh.device("c").raw, ConstraintError)
    changed = mesh.device("a", issued=NOW + 5)
    assert trust.admit(changed.raw, LATER).fresh, "what is there can still be changed"
    assert trust.admit(mesh.revoke(RevokeKind.DEVICE, changed.device_id).raw, LATER).fresh


def test_devices_max_for_sponsored_and_settled_devices() -> None:
    """Nor do sponsors or a directory go beyond it."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    guests = [mesh.device(f"g{n}", ticket) for n in range(3)]
    words = [mesh.sponsor(guest, founder) for guest in guests]
    trust = bounded(mesh, founder, ticket, *guests[:2], words[0], devices_max=2)
    refused(trust, words[1].raw, ConstraintError)
    trust.set_directory(settling(*guests))
    assert set(trust.devices(LATER)) == {founder.device_id, guests[0].device_id}
    refused(trust, guests[2].raw, ConstraintError)
    assert not trust.admit(guests[1].raw, LATER).fresh


def test_pending_devices_max() -> None:
    """Devices without a sponsor make room for newer ones, whatever tickets they come with."""
    mesh = Mesh()
    tickets = [mesh.ticket(n) for n in range(3)]
    guests = [mesh.device(f"g{n}", ticket) for n, ticket in enumerate(tickets)]
    founder = mesh.device("founder")
    trust = bounded(mesh, founder, *tickets, *guests, pending_devices_max=2)
    assert [trust.raw(guest.id) is None for guest in guests] == [True, False, False]
    error = refused(trust, mesh.sponsor(guests[0], founder).raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert error.parent_id == guests[0].id, "it can be fetched again"


def test_spare_devices_per_ticket_of_pending_devices() -> None:
    """The holder of one invite pushes out only devices of the same invite."""
    mesh = Mesh()
    flooded, quiet = mesh.ticket("flooded", uses=1), mesh.ticket("quiet", uses=1)
    honest = mesh.device("honest", quiet)
    flood = [mesh.device(f"f{n}", flooded) for n in range(6)]
    trust = bounded(mesh, flooded, quiet, honest, *flood, spare_devices_per_ticket=2)
    assert [trust.raw(device.id) is None for device in flood] == [True] * 3 + [False] * 3
    assert trust.raw(honest.id) == honest.raw


@pytest.mark.parametrize("reverse", [False, True])
def test_spare_devices_per_ticket_of_sponsored_devices(*, reverse: bool) -> None:
    """Of an overused ticket the earliest sponsored are kept, in any order of arrival."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket(uses=1)
    flood = [mesh.device(f"f{n}", ticket) for n in range(5)]
    words = [mesh.sponsor(device, founder, at=NOW + n) for n, device in enumerate(flood)]
    trust = bounded(mesh, founder, ticket, spare_devices_per_ticket=1)
    pairs = list(zip(flood, words, strict=True))
    late = 0
    for device, word in reversed(pairs) if reverse else pairs:
        trust.admit(device.raw, LATER)
        try:
            trust.admit(word.raw, LATER)
        except ConstraintError:
            late += 1
    assert late == (0 if reverse else 3)
    assert [trust.raw(word.id) is None for word in words] == [False] * 2 + [True] * 3
    assert set(trust.devices(LATER)) == {founder.device_id, flood[0].device_id}


def test_the_last_sponsored_of_a_full_ticket_makes_room() -> None:
    """Who comes between is kept in place of the last, by each one's earliest sponsor."""
    mesh = Mesh()
    founders, ticket = mesh.company(2), mesh.ticket(uses=1)
    devices = {when: mesh.device(f"at {when}", ticket) for when in (1, 5, 3, 4)}
    trust = bounded(mesh, *founders, ticket, spare_devices_per_ticket=1)

    def sponsor(when: int) -> bool:
        device = devices[when]
        trust.admit(device.raw, LATER)
        return trust.admit(mesh.sponsor(device, founders[0], at=NOW + when).raw, LATER).fresh

    assert all(sponsor(when) for when in (1, 5, 3))
    assert [trust.raw(device.id) is None for device in devices.values()] == [
        *(False, True, False, True)
    ]
    trust.admit(mesh.sponsor(devices[1], founders[1], at=NOW + 9).raw, LATER)
    with pytest.raises(ConstraintError):
        sponsor(4)
    assert {d.name for d in trust.devices(LATER).values()} == {"n0", "n1", "at-1"}


def test_a_sponsor_that_is_crowded_out_takes_its_word_along() -> None:
    """The state follows from what is kept, also when the kept word is worth less."""
    mesh = Mesh()
    founder, stolen, ticket = mesh.device("founder"), mesh.device("stolen"), mesh.ticket()
    guest = mesh.device("guest", ticket)
    revoke = mesh.revoke(RevokeKind.DEVICE, stolen.device_id, issued=NOW)
    words = [mesh.sponsor(guest, founder, at=NOW + 9), mesh.sponsor(guest, stolen, at=NOW + 5)]
    trust = bounded(
        mesh, founder, stolen, ticket, guest, revoke, *words, sponsors_per_device_max=1
    )
    assert set(trust.devices(LATER)) == {founder.device_id}
    restored = Trust.restore([raw for _, _, raw in trust.objects()], LATER)
    assert restored.trust.devices(LATER) == trust.devices(LATER)


@pytest.mark.parametrize("reverse", [False, True])
def test_sponsors_per_device_max(*, reverse: bool) -> None:
    """Of many sponsors of one device the earliest are kept, in any order of arrival."""
    mesh = Mesh()
    ticket = mesh.ticket()
    founders, guest = mesh.company(5), mesh.device("guest", ticket)
    words = [mesh.sponsor(guest, by, at=NOW + n) for n, by in enumerate(founders)]
    trust = bounded(mesh, *founders, ticket, guest, sponsors_per_device_max=2)
    fresh = [trust.admit(w.raw, LATER).fresh for w in (words[::-1] if reverse else words)]
    assert fresh == ([True] * 5 if reverse else [True] * 2 + [False] * 3)
    assert [trust.raw(word.id) is None for word in words] == [False] * 2 + [True] * 3
    assert guest.device_id in trust.devices(LATER)


def test_revokes_per_signer_max() -> None:
    """A stolen revoker fills its own share; another revoker, and a next one, can go on."""
    mesh = Mesh()
    mesh.signers["revoker"] = ["v0", "v1"]
    mesh.next_root()
    subjects = [bytes([n]) * 32 for n in range(4)]

    def revoke(label: str, subject: bytes, issued: int = NOW) -> bytes:
        return mesh.revoke(RevokeKind.DEVICE, subject, seeds=[seed(label)], issued=issued).raw

    trust = bounded(mesh, revokes_per_signer_max=2)
    for subject in subjects[:2]:
        trust.admit(revoke("v0", subject), LATER)
    refused(trust, revoke("v0", subjects[2]), ConstraintError)
    assert trust.admit(revoke("v0", subjects[0], NOW - 1), LATER).fresh, "this takes no more room"
    refused(trust, revoke("v0", subjects[2]), ConstraintError)
    assert trust.admit(revoke("v1", subjects[2]), LATER).fresh
    trust.admit(mesh.next_root(signers={"revoker": ["v2"]}).raw, LATER)
    assert trust.admit(revoke("v2", subjects[3]), LATER).fresh
    assert all(trust.is_revoked("device", subject) for subject in subjects)


def test_devices_max_for_revocations_of_oneself() -> None:
    """As many devices may revoke themselves as there may be devices."""
    mesh = Mesh()
    first, second = mesh.device("first"), mesh.device("second")

    def own(device: Forged) -> bytes:  # type: ignore[type-arg]
        return mesh.revoke(RevokeKind.DEVICE, device.device_id, seeds=[device.seed]).raw

    trust = bounded(mesh, first, devices_max=1)
    trust.admit(own(first), LATER)
    refused(trust, second.raw, ConstraintError)
    refused(trust, own(second), UnknownParentError)
    wide = bounded(mesh, first, second)
    wide._tables.revocations._limits = Limits(devices_max=1)
    wide.admit(own(first), LATER)
    refused(wide, own(second), ConstraintError)


def test_the_usual_bounds_hold_a_mesh_of_ten_thousand() -> None:
    """Every bound is above what a mesh of 10,000 devices with a ticket each needs."""
    limits = Limits()
    assert min(limits.tickets_max, limits.devices_max, limits.revokes_per_signer_max) > 10_000
