"""Attacks on revocation: undoing it, outrunning it, and a revoker or registrar gone bad."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.errors import SignatureError, ThresholdError, UnknownParentError
from crypto.objects import Revoke, RevokeKind, SignedObject
from crypto.signing import public_key
from tests.forge import NOW, Forged, Mesh, at, refused, resigned, seed, settling, snapshot

LATER = at(NOW + 100)
DEVICE, TICKET, REGISTRAR = RevokeKind.DEVICE, RevokeKind.TICKET, RevokeKind.REGISTRAR


def hundred(mesh: Mesh) -> list[Forged[Revoke]]:
    """Return a hundred revocations of forty devices, by either of two revokers or themselves."""
    mesh.signers["revoker"] = ["v0", "v1"]
    mesh.next_root()
    revokes = []
    for number in range(100):
        device = mesh.device(f"d{number % 40}")
        signer = (seed("v0"), seed("v1"), device.seed)[number % 3]
        revokes.append(
            mesh.revoke(DEVICE, device.device_id, issued=NOW + number % 7, seeds=[signer])
        )
    return revokes


MESH = Mesh()
REVOKES = hundred(MESH)
DEVICES = [MESH.device(f"d{number}") for number in range(50)]
ROOT = MESH.next_root()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.permutations(REVOKES), first=st.integers(0, 3))
def test_t21_a_hundred_revocations_in_any_order(order: list[Forged[Revoke]], first: int) -> None:
    """T21: before, after or between the devices they name, twice, in any order: one end state."""
    trust = MESH.trust()
    devices: list[Forged[SignedObject]] = [*DEVICES]
    mixed = [*devices[:25], *order[:33], *devices[25:], *order[33:]]
    waiting = [mixed, [*order, *devices], [*devices, *order], [*order, *devices, *order]][first]
    for _ in range(2):
        left = []
        for item in waiting:
            try:
                trust.admit(item.raw, LATER)
            except UnknownParentError:
                left.append(item)
        waiting = left
    assert waiting == []
    revoked = {item.body.subject for item in REVOKES}
    assert set(trust.devices(LATER)) == {d.device_id for d in DEVICES} - revoked
    assert {object_id for _, object_id, _ in trust.objects()} == END


def end_state() -> set[bytes]:
    """Return the ids of everything kept after all of it came in one order."""
    trust = MESH.trust(*DEVICES, *REVOKES)
    return {object_id for _, object_id, _ in trust.objects()}


END = end_state()


def test_t21_a_revocation_may_come_before_its_device() -> None:
    """T21: what is revoked before it is known is never in force, not for a moment."""
    mesh = Mesh()
    device = mesh.device("stolen")
    trust = mesh.trust(mesh.revoke(DEVICE, device.device_id))
    assert trust.is_revoked("device", device.device_id)
    trust.admit(device.raw, LATER)
    assert trust.device_state(device.device_id, LATER) == (False, "revoked")
    assert trust.devices(LATER) == {}


def test_t21_a_revocation_without_its_device_is_kept() -> None:
    """T21: nobody knows the device yet; the revocation is passed on all the same."""
    mesh = Mesh()
    revoke = mesh.revoke(DEVICE, b"\x05" * 32)
    trust = mesh.trust(revoke)
    assert trust.raw(revoke.id) == revoke.raw
    assert (revoke.type, revoke.id, revoke.raw) in list(trust.objects())


def test_t21_the_same_revocation_twice_is_no_news() -> None:
    """T21: nor is a later one about the same subject by the same revoker."""
    mesh = Mesh()
    revoke = mesh.revoke(DEVICE, b"\x05" * 32, issued=NOW)
    later = mesh.revoke(DEVICE, b"\x05" * 32, issued=NOW + 1)
    trust = mesh.trust(revoke)
    before = snapshot(trust)
    assert not trust.admit(revoke.raw, LATER).fresh
    assert not trust.admit(later.raw, LATER).fresh
    assert snapshot(trust) == before
    other = mesh.trust(later)
    assert other.admit(revoke.raw, LATER).fresh
    assert list(other.objects()) == list(trust.objects())


def test_t22_nothing_brings_a_revoked_device_back() -> None:
    """T22: newer objects, tickets, sponsors, rotations and directories do not un-revoke."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    device = mesh.device("stolen")
    trust = mesh.trust(founder, ticket, device, mesh.revoke(DEVICE, device.device_id))
    again = mesh.device("stolen", ticket)
    for item in (
        mesh.device("stolen", issued=NOW + 90),
        again,
        mesh.sponsor(again, founder, at=NOW + 95),
        mesh.next_root(),
        mesh.revoke(DEVICE, device.device_id, issued=NOW + 99, reason="a mistake, let it in"),
    ):
        trust.admit(item.raw, LATER)
        assert trust.is_revoked("device", device.device_id)
        assert set(trust.devices(LATER)) == {founder.device_id}
    trust.set_directory(settling(device))
    assert set(trust.devices(LATER)) == {founder.device_id}


def test_a_device_revokes_itself_and_nobody_else() -> None:
    """A device's key, or the paper it printed, ends that device; never another, never a ticket."""
    mesh = Mesh()
    device, other = mesh.device("laptop"), mesh.device("other")
    trust = mesh.trust(device, other)
    for kind, subject in (
        (DEVICE, other.device_id),
        (TICKET, device.device_id),
        (REGISTRAR, device.device_id),
        (RevokeKind.USER, "alice"),
    ):
        refused(trust, mesh.revoke(kind, subject, seeds=[device.seed]).raw, SignatureError)
    own = mesh.revoke(DEVICE, device.device_id, seeds=[device.seed])
    assert trust.admit(own.raw, LATER).fresh
    assert set(trust.devices(LATER)) == {other.device_id}


def test_a_stranger_cannot_fill_the_table_by_revoking_himself() -> None:
    """Keys cost nothing, so only a known device's word about itself is kept."""
    mesh = Mesh()
    stranger = mesh.device("stranger")
    own = mesh.revoke(DEVICE, stranger.device_id, seeds=[stranger.seed])
    trust = mesh.trust()
    error = refused(trust, own.raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert (error.parent_kind, error.parent_id) == ("device", stranger.device_id)
    trust.admit(stranger.raw, LATER)
    assert trust.admit(own.raw, LATER).fresh


@pytest.mark.parametrize("role_name", ["root", "policy", "registrar"])
def test_no_other_role_revokes(role_name: str) -> None:
    """Only revokers revoke what is not their own."""
    mesh = Mesh()
    revoke = mesh.revoke(DEVICE, b"\x05" * 32, seeds=mesh.seeds(role_name))
    refused(mesh.trust(), revoke.raw, SignatureError)


def test_revokers_can_need_each_other() -> None:
    """A root that wants two revokers gets two."""
    mesh = Mesh()
    mesh.signers["revoker"] = ["v0", "v1"]
    mesh._thresholds["revoker"] = 2
    mesh.next_root()
    trust = mesh.trust()
    refused(trust, mesh.revoke(DEVICE, b"\x05" * 32, seeds=[seed("v0")]).raw, ThresholdError)
    assert trust.admit(mesh.revoke(DEVICE, b"\x05" * 32).raw, LATER).fresh


def test_a_revocation_outlives_its_revoker() -> None:
    """A rotation that drops the revoker brings nothing back, not even for late joiners."""
    mesh = Mesh()
    device = mesh.device("stolen")
    revoke = mesh.revoke(DEVICE, device.device_id)
    rotation = mesh.next_root(signers={"revoker": ["new revoker"]})
    early = mesh.trust()
    assert early.epoch == 2
    for trust in (mesh.trust(device, revoke), mesh.trust(revoke, device)):
        assert trust.device_state(device.device_id, LATER) == (False, "revoked")
        assert not trust.admit(rotation.raw, LATER).fresh


def test_a_stolen_revoker_is_stopped_by_a_rotation() -> None:
    """It can deny what was there, however it dates; what is enrolled after its removal is safe."""
    mesh = Mesh()
    thief = mesh.seeds("revoker")
    old = mesh.device("old", issued=NOW)
    rotation = mesh.next_root(signers={"revoker": ["new revoker"]})
    removed = rotation.body.issued
    new = mesh.device("new", issued=removed)
    ticket = mesh.ticket("new", issued=removed)
    guest = mesh.device("guest", ticket)
    trust = mesh.trust(old, new, ticket, guest, mesh.sponsor(guest, new, at=removed + 5))
    for device in (old, new, guest):
        trust.admit(mesh.revoke(DEVICE, device.device_id, issued=NOW, seeds=thief).raw, LATER)
    trust.admit(mesh.revoke(TICKET, ticket.id, issued=NOW, seeds=thief).raw, LATER)
    assert set(trust.devices(LATER)) == {new.device_id, guest.device_id}
    assert [trust.is_revoked("device", d.device_id) for d in (old, new, guest)] == [
        True,
        False,
        False,
    ]
    assert not trust.is_revoked("ticket", ticket.id)
    trust.admit(mesh.revoke(DEVICE, new.device_id).raw, LATER)
    assert trust.device_state(new.device_id, LATER) == (False, "revoked")


def test_the_same_revocation_by_a_revoker_with_a_say_replaces_the_lapsed_copy() -> None:
    """A carrier with a removed key cannot keep the right copy away; others may add theirs."""
    mesh = Mesh()
    thief = mesh.seeds("revoker")
    rotation = mesh.next_root(signers={"revoker": ["new revoker"]})
    new = mesh.device("new", issued=rotation.body.issued)
    right = mesh.revoke(DEVICE, new.device_id)
    copy = resigned(right.raw, mesh_id=mesh.mesh_id, seeds=thief)
    trust = mesh.trust(new, copy)
    assert not trust.is_revoked("device", new.device_id)
    assert not trust.admit(copy, LATER).fresh
    assert trust.admit(right.raw, LATER).fresh
    assert trust.is_revoked("device", new.device_id)
    assert trust.raw(right.id) == right.raw
    earlier = mesh.revoke(DEVICE, new.device_id, issued=NOW)
    other = mesh.trust(new, copy, earlier)
    assert other.is_revoked("device", new.device_id)
    assert not other.admit(right.raw, LATER).fresh, "the earlier one says all of it"


def test_a_copy_by_another_removed_revoker_is_no_better() -> None:
    """Of two copies by revokers that both lost their say the first one stays."""
    mesh = Mesh()
    mesh.signers["revoker"] = ["v0", "v1"]
    mesh.next_root()
    mesh.next_root(signers={"revoker": ["v2"]})
    first = mesh.revoke(DEVICE, b"\x05" * 32, seeds=[seed("v0")])
    second = resigned(first.raw, mesh_id=mesh.mesh_id, seeds=[seed("v1")])
    trust = mesh.trust(first)
    before = snapshot(trust)
    assert not trust.admit(second, LATER).fresh
    assert snapshot(trust) == before


def test_a_revoked_ticket_enrols_nobody_from_then_on() -> None:
    """By id or by key: who was sponsored before stays, who comes after does not."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    devices = [mesh.device(f"d{n}", ticket) for n in range(3)]
    words = [
        mesh.sponsor(device, founder, at=NOW + when)
        for device, when in zip(devices, (59, 60, 61), strict=True)
    ]
    for subject in (ticket.id, ticket.body.public_key):
        trust = mesh.trust(founder, ticket, *devices, *words)
        alarms = trust.admit(mesh.revoke(TICKET, subject, issued=NOW + 60).raw, LATER).alarms
        assert [alarm.code for alarm in alarms] == ["enrolment-lost"]
        assert trust.is_revoked("ticket", ticket.id)
        assert {d.name for d in trust.devices(LATER).values()} == {"founder", "d0"}
        assert trust.device_state(devices[1].device_id, LATER) == (
            False,
            "its ticket, registrar or sponsor has no say any more",
        )


def test_a_revoked_ticket_is_revoked_before_it_is_known() -> None:
    """An admin can ask about any ticket."""
    mesh = Mesh()
    ticket = mesh.ticket()
    trust = mesh.trust(mesh.revoke(TICKET, ticket.id))
    assert trust.is_revoked("ticket", ticket.id)
    trust.admit(ticket.raw, LATER)
    assert trust.is_revoked("ticket", ticket.id)
    assert not trust.is_revoked("ticket", bytes(32))


class Registrars:
    """A mesh with a good and a bad registrar, and what each of them let in."""

    def __init__(self) -> None:
        self.mesh = mesh = Mesh()
        mesh.signers["registrar"] = ["good", "bad"]
        mesh.next_root(issued=NOW)
        bad = [seed("bad")]
        self.founder = mesh.device("founder", seeds=[seed("good")])
        self.approved = mesh.device("approved", seeds=bad)
        self.ticket = mesh.ticket("bad", seeds=bad)
        self.before = mesh.device("before", self.ticket)
        self.after = mesh.device("after", self.ticket)

    def objects(self) -> list[Forged[SignedObject]]:
        """Return all of it, the sponsors' words at 59 and at 60 seconds."""
        words = [
            self.mesh.sponsor(self.before, self.founder, at=NOW + 59),
            self.mesh.sponsor(self.after, self.founder, at=NOW + 60),
        ]
        return [self.founder, self.approved, self.ticket, self.before, self.after, *words]

    def bad_revoked(self, issued: int) -> Forged[Revoke]:
        """Return the revocation of the bad registrar."""
        return self.mesh.revoke(REGISTRAR, public_key(seed("bad")), issued=issued)


@pytest.mark.parametrize("how", ["revoked", "removed"])
@pytest.mark.parametrize("when", ["first", "last"])
def test_a_registrar_without_a_say_leaves_only_what_members_have_seen(how: str, when: str) -> None:
    """Sponsored before the end stays; approved by it alone, or sponsored later, does not."""
    scene = Registrars()
    mesh, objects = scene.mesh, scene.objects()
    end: Forged[SignedObject] = (
        scene.bad_revoked(NOW + 60)
        if how == "revoked"
        else mesh.next_root(signers={"registrar": ["good"]}, issued=NOW + 60, keep=False)
    )
    trust = mesh.trust(*([end, *objects] if when == "first" else [*objects, end]))
    assert {d.name for d in trust.devices(LATER).values()} == {"founder", "before"}
    address = scene.approved.body.address4
    again = mesh.device("approved", seeds=[seed("good")], address4=address)
    trust.admit(again.raw, LATER)
    assert {d.name for d in trust.devices(LATER).values()} == {"founder", "before", "approved"}


def test_a_registrar_gone_bad_cannot_take_an_approved_device_over() -> None:
    """Its newer object counts only while it has a say, and the honest one is kept meanwhile."""
    scene = Registrars()
    mesh, honest = scene.mesh, scene.founder
    thief = mesh.device("thief").body.wireguard_public
    forged = mesh.device(
        "founder",
        seeds=[seed("bad")],
        issued=NOW + 70,
        wireguard_public=thief,
        address4=honest.body.address4,
    )
    revoke = scene.bad_revoked(NOW + 80)
    for order in ((honest, forged, revoke), (revoke, forged, honest), (forged, revoke, honest)):
        trust = mesh.trust(*order)
        assert trust.devices(LATER)[honest.device_id] == honest.body
        trust.set_directory(settling(honest))
        assert trust.devices(LATER)[honest.device_id] == honest.body


def test_each_registrar_replaces_only_its_own_word() -> None:
    """A newer approval drops the older one by the same registrar, and the newest of all counts."""
    scene = Registrars()
    good, bad = [seed("good")], [seed("bad")]
    address = scene.founder.body.address4
    other = scene.mesh.device("founder", seeds=bad, issued=NOW + 1, address4=address)
    newer = scene.mesh.device("founder", seeds=good, issued=NOW + 2, address4=address)
    trust = scene.mesh.trust(scene.founder, other)
    assert trust.devices(LATER)[other.device_id] == other.body
    trust.admit(newer.raw, LATER)
    assert trust.devices(LATER)[other.device_id] == newer.body
    assert [trust.raw(d.id) is None for d in (scene.founder, other, newer)] == [True, False, False]


def test_a_settled_device_whose_registrar_is_gone_needs_another_registrar() -> None:
    """Nobody but the registrar has vouched for its keys, so the directory cannot."""
    scene = Registrars()
    trust = scene.mesh.trust(scene.approved, scene.bad_revoked(NOW + 60))
    trust.set_directory(settling(scene.approved))
    assert trust.devices(LATER) == {}


def test_the_same_approval_signed_by_a_registrar_with_a_say_replaces_the_copy() -> None:
    """An approval and a ticket can be signed again by others without changing a byte of them."""
    scene = Registrars()
    trust = scene.mesh.trust(*scene.objects(), scene.bad_revoked(NOW + 50))
    assert {d.name for d in trust.devices(LATER).values()} == {"founder"}
    for made in (scene.approved, scene.ticket):
        assert not trust.admit(made.raw, LATER).fresh
        again = resigned(made.raw, mesh_id=trust.mesh_id, seeds=[seed("good")])
        assert trust.admit(again, LATER).fresh
        assert trust.raw(made.id) == again
        assert not trust.admit(made.raw, LATER).fresh
    names = {d.name for d in trust.devices(LATER).values()}
    assert names == {"founder", "approved", "before", "after"}


def test_a_registrar_named_after_the_thief_of_a_revoker_was_removed_is_safe() -> None:
    """The stolen revoker key cannot stop registrars that came after it, however it dates."""
    mesh = Mesh()
    thief = mesh.seeds("revoker")
    mesh.next_root(signers={"revoker": ["new revoker"], "registrar": ["new registrar"]})
    device = mesh.device("approved")
    key = public_key(seed("new registrar"))
    trust = mesh.trust(device, mesh.revoke(REGISTRAR, key, issued=NOW - 9, seeds=thief))
    assert not trust.is_revoked("registrar", key)
    assert device.device_id in trust.devices(LATER)
    trust.admit(mesh.revoke(REGISTRAR, key).raw, LATER)
    assert trust.is_revoked("registrar", key)
    assert trust.devices(LATER) == {}


def test_one_revoked_of_two_needed_registrars_ends_their_say() -> None:
    """With a threshold of two of three, a revocation of one signer leaves too few."""
    mesh = Mesh()
    mesh.signers["registrar"] = ["r0", "r1", "r2"]
    mesh._thresholds["registrar"] = 2
    mesh.next_root()
    pair = mesh.device("pair", seeds=[seed("r0"), seed("r1")])
    three = mesh.device("three", seeds=[seed("r0"), seed("r1"), seed("r2")])
    trust = mesh.trust(pair, three, mesh.revoke(REGISTRAR, public_key(seed("r0"))))
    assert set(trust.devices(LATER)) == {three.device_id}
    trust.admit(mesh.revoke(REGISTRAR, public_key(seed("r1"))).raw, LATER)
    assert trust.devices(LATER) == {}


def test_revocations_of_grants_are_kept_for_who_asks() -> None:
    """What a grant is this class does not know, only that it is revoked."""
    mesh = Mesh()
    trust = mesh.trust(mesh.revoke("grant", "ops.visit"))
    assert trust.is_revoked("grant", "ops.visit")
    assert not trust.is_revoked("user", "ops.visit")
