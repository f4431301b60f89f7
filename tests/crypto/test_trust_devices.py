"""Attacks on devices and tickets: claiming more than was given, and another's keys or place."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from crypto.errors import (
    ConstraintError,
    ExpiredError,
    ObjectError,
    RevokedError,
    SignatureError,
    ThresholdError,
    UnknownParentError,
)
from crypto.identity import overlay6
from crypto.objects import Directory, DirectoryDevice, RevokeKind
from crypto.signing import ObjectType
from crypto.trust import Statement
from tests.forge import (
    DAY,
    NOW,
    Forged,
    Mesh,
    at,
    device_keys,
    refused,
    seed,
    settling,
    single,
    snapshot,
)

LATER = at(NOW + 100)


def test_a_registrars_device_is_in_force_at_once() -> None:
    """A registrar's word needs neither ticket nor sponsor."""
    mesh = Mesh()
    device = mesh.device("founder")
    trust = mesh.trust(device)
    assert trust.devices(LATER) == {device.device_id: device.body}
    assert trust.device_state(device.device_id, LATER) == (True, "in force")
    assert trust.device(device.device_id) == device.body


def test_a_tickets_device_is_in_force_once_sponsored() -> None:
    """Ticket, device, sponsor, in this order, make a member."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    laptop = mesh.device("laptop", ticket)
    trust = mesh.trust(founder, ticket, laptop)
    assert trust.ticket(ticket.id) == ticket.body
    assert trust.ticket(laptop.id) is None
    assert trust.device_state(laptop.device_id, LATER) == (False, "no member has sponsored it")
    assert trust.device(laptop.device_id) is None
    assert trust.raw(laptop.id) == laptop.raw
    assert trust.admit(mesh.sponsor(laptop, founder).raw, LATER).fresh
    assert set(trust.devices(LATER)) == {founder.device_id, laptop.device_id}


def test_an_unknown_device_is_unknown() -> None:
    """A device nobody has heard of has no state, name or object."""
    trust = Mesh().trust()
    assert trust.device_state(bytes(32), LATER) == (False, "unknown")
    assert not trust.name_is_authoritative(bytes(32))
    assert trust.device(bytes(32)) is None
    assert trust.raw(bytes(32)) is None


def test_a_device_before_its_ticket_waits_for_it() -> None:
    """The ticket says who may sign, so it has to be there first."""
    mesh = Mesh()
    ticket = mesh.ticket()
    device = mesh.device("laptop", ticket)
    trust = mesh.trust()
    error = refused(trust, device.raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert (error.parent_kind, error.parent_id) == ("ticket", ticket.id)
    trust.admit(ticket.raw, LATER)
    assert trust.admit(device.raw, LATER).fresh


@pytest.mark.parametrize("missing", ["ticket", "device"])
def test_t11_ticket_and_device_both_have_to_sign(missing: str) -> None:
    """T11: neither the invite's holder for another machine, nor a machine by itself."""
    mesh = Mesh()
    ticket = mesh.ticket()
    honest = mesh.device("laptop", ticket)
    seeds = [honest.seed] if missing == "ticket" else [ticket.seed]
    forged = mesh.device("laptop", ticket, seeds=seeds)
    refused(mesh.trust(ticket), forged.raw, ThresholdError)


def test_t11_an_invite_cannot_bind_keys_to_another_device() -> None:
    """T11: with a stolen invite a thief cannot put his tunnel key under a member's id."""
    mesh = Mesh()
    member, ticket = mesh.device("member"), mesh.ticket()
    thief = device_keys("thief")
    stolen = mesh.device("member", ticket, wireguard_public=thief.wireguard_public)
    forged = mesh.seal(stolen.body, seeds=[ticket.seed, thief.sign_seed])
    refused(mesh.trust(member, ticket), forged, SignatureError)


def test_t11_a_device_cannot_change_itself() -> None:
    """T11: a newer object signed by the device alone changes neither keys nor tags."""
    mesh = Mesh()
    device = mesh.device("laptop")
    trust = mesh.trust(device)
    for change in ({"tags": ("admin",)}, {"wireguard_public": b"\x09" * 32}):
        forged = replace(device.body, issued=NOW + 50, **change)
        refused(trust, mesh.seal(forged, seeds=[device.seed]), SignatureError)


def test_a_ticket_that_is_its_own_device_signs_only_once() -> None:
    """One key cannot be two signers."""
    mesh = Mesh()
    keys = device_keys("both")
    ticket = mesh.ticket("both", public_key=keys.device_id)
    forged = mesh.device("both", ticket, seeds=[keys.sign_seed])
    refused(mesh.trust(ticket), forged.raw, ThresholdError)


@pytest.mark.parametrize(
    ("given", "claimed", "reason"),
    [
        ({"tags": ("web",)}, {"tags": ("web", "db")}, "its tags"),
        ({"tags": ("web",)}, {"tags": ()}, "its tags"),
        ({"owner": "alice"}, {"owner": "bob"}, "its owner"),
        ({"owner": "alice"}, {"owner": None}, "its owner"),
        ({}, {"owner": "alice"}, "its owner"),
        ({"name": "web1", "uses": 1}, {"name": "web2"}, "its name"),
        (
            {"addresses": IPv4Network("100.64.1.0/24")},
            {"address4": IPv4Address("100.64.2.1")},
            "not in 100.64.1.0/24",
        ),
        ({}, {"issued": NOW - 1}, "outside the ticket's validity"),
        ({}, {"issued": NOW + 7 * DAY}, "outside the ticket's validity"),
        ({"ephemeral_minutes": 5}, {"not_after": None}, "within 5 minutes"),
        ({"ephemeral_minutes": 5}, {"not_after": NOW + 301}, "within 5 minutes"),
    ],
)
def test_t10_a_device_cannot_claim_more_than_its_ticket_gives(
    given: dict[str, Any], claimed: dict[str, Any], reason: str
) -> None:
    """T10: tags, owner, name, address and times outside the ticket are refused."""
    mesh = Mesh()
    ticket = mesh.ticket(**given)
    trust = mesh.trust(ticket)
    error = refused(trust, mesh.device("laptop", ticket, **claimed).raw, ConstraintError)
    assert reason in error.message


def test_t10_a_device_at_the_edges_of_its_ticket_is_taken() -> None:
    """T10: exactly what was given is fine: tags in any order, the last second, the full life."""
    mesh = Mesh()
    ticket = mesh.ticket(tags=("a", "b"), owner="alice", ephemeral_minutes=5)
    device = mesh.device(
        "laptop",
        ticket,
        tags=("b", "a"),
        issued=NOW + 7 * DAY - 1,
        not_after=NOW + 7 * DAY - 1 + 300,
    )
    assert mesh.trust(ticket, device).raw(device.id) == device.raw


def test_t10_a_ticket_cannot_give_addresses_outside_the_pool() -> None:
    """T10: a registrar gives out the mesh's addresses only."""
    mesh = Mesh(pool4=IPv4Network("100.64.0.0/16"))
    ticket = mesh.ticket(addresses=IPv4Network("100.64.0.0/15"))
    refused(mesh.trust(), ticket.raw, ConstraintError)


@pytest.mark.parametrize("role_name", ["root", "policy", "revoker"])
def test_t10_only_registrars_make_tickets_and_approve_devices(role_name: str) -> None:
    """T10: no other role enrols anybody, however many of its holders sign."""
    mesh = Mesh()
    trust = mesh.trust()
    seeds = mesh.seeds(role_name)
    refused(trust, mesh.ticket(seeds=seeds).raw, SignatureError)
    refused(trust, mesh.device(seeds=seeds).raw, SignatureError)


@pytest.mark.parametrize(
    "address",
    ["100.128.0.1", "100.64.0.0", "100.127.255.255", "10.0.0.1", "8.8.8.8"],
    ids=["beside the pool", "network", "broadcast", "private", "public"],
)
def test_t08_an_address_that_is_no_host_of_the_pool_is_refused(address: str) -> None:
    """T08: even a registrar cannot give an address outside the pool, or the pool's own two."""
    mesh = Mesh()
    device = mesh.device("router", address4=IPv4Address(address))
    refused(mesh.trust(), device.raw, ObjectError)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "127.0.0.1", "255.255.255.255"])
def test_t08_an_address_of_no_single_machine_cannot_exist(address: str) -> None:
    """T08: zero, multicast, loopback and broadcast are no addresses of a device at all."""
    with pytest.raises(ObjectError):
        Mesh().device("router", address4=IPv4Address(address))


def test_t08_an_ipv6_address_of_another_key_is_refused() -> None:
    """T08: the IPv6 address follows from the key, so nobody can take another's."""
    mesh = Mesh()
    victim = device_keys("victim").device_id
    device = mesh.device("thief", address6=overlay6(mesh.mesh_id, victim))
    refused(mesh.trust(), device.raw, ObjectError)


def test_t08_of_two_devices_with_one_address_the_approved_one_has_it() -> None:
    """T08: a registrar's device before a ticket's, and an alarm names both."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    first = mesh.device("first", ticket)
    second = mesh.device("second", address4=first.body.address4)
    sponsored = mesh.sponsor(first, founder)
    trust = mesh.trust(founder, ticket, first, sponsored)
    alarms = trust.admit(second.raw, LATER).alarms
    assert [alarm.code for alarm in alarms] == ["claim-conflict"]
    assert alarms[0].text.startswith("second (")
    assert set(trust.devices(LATER)) == {founder.device_id, second.device_id}
    in_force, reason = trust.device_state(first.device_id, LATER)
    assert not in_force
    assert reason.startswith(f"{first.body.address4} belongs to second")
    other = mesh.trust(second, founder, ticket, first)
    assert [alarm.code for alarm in other.admit(sponsored.raw, LATER).alarms] == ["claim-conflict"]
    assert other.devices(LATER) == trust.devices(LATER)


def test_t08_between_tickets_the_earlier_sponsored_has_the_address() -> None:
    """T08: then by time of sponsorship, whatever the devices say of themselves."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    address = IPv4Address("100.64.9.9")
    early = mesh.device("early", ticket, address4=address, issued=NOW + 9)
    late = mesh.device("late", ticket, address4=address, issued=NOW)
    words = [mesh.sponsor(early, founder, at=NOW + 20), mesh.sponsor(late, founder, at=NOW + 21)]
    trust = mesh.trust(founder, ticket, late, early, *reversed(words))
    assert set(trust.devices(LATER)) == {founder.device_id, early.device_id}


def test_t08_between_equals_the_lower_id_has_the_address() -> None:
    """T08: last of all the device id decides, so that every node decides alike."""
    mesh = Mesh()
    address = IPv4Address("100.64.9.9")
    pair = [mesh.device(label, address4=address) for label in ("a", "b")]
    low = min(pair, key=lambda device: device.device_id)
    for order in (pair, pair[::-1]):
        assert set(mesh.trust(*order).devices(LATER)) == {low.device_id}


def test_an_address_is_free_again_when_its_device_is_revoked() -> None:
    """A replaced machine can have the name and address of the old one."""
    mesh = Mesh()
    ticket = mesh.ticket(name="web1", uses=1, addresses=single("100.64.0.9"))
    again = mesh.ticket("again", name="web1", uses=1, addresses=single("100.64.0.9"))
    founder = mesh.device("founder")
    old, new = mesh.device("old", ticket), mesh.device("new", again)
    words = [mesh.sponsor(old, founder), mesh.sponsor(new, founder, at=NOW + 50)]
    trust = mesh.trust(founder, ticket, again, old, new, *words)
    assert new.device_id not in trust.devices(LATER)
    assert mesh.trust(founder).admit(mesh.device("x").raw, LATER).alarms == ()
    trust.admit(mesh.revoke(RevokeKind.DEVICE, old.device_id).raw, LATER)
    assert new.device_id in trust.devices(LATER)
    fresh = mesh.trust(founder, ticket, old, words[0])
    fresh.admit(mesh.revoke(RevokeKind.DEVICE, old.device_id).raw, LATER)
    for item in (again, new):
        fresh.admit(item.raw, LATER)
    assert fresh.admit(words[1].raw, LATER).alarms == ()
    assert fresh.devices(LATER) == trust.devices(LATER)


def test_of_two_authoritative_names_the_better_claim_has_it() -> None:
    """Two approved devices cannot both be web1; the one approved earlier is."""
    mesh = Mesh()
    old = mesh.device("old", name="web1", issued=NOW - 5)
    new = mesh.device("new", name="web1", issued=NOW)
    trust = mesh.trust(new)
    assert [alarm.code for alarm in trust.admit(old.raw, LATER).alarms] == ["claim-conflict"]
    assert set(trust.devices(LATER)) == {old.device_id}
    assert "web1 belongs to web1" in trust.device_state(new.device_id, LATER)[1]


def test_a_chosen_name_takes_nothing_from_anybody() -> None:
    """A device that names itself like another proves nothing, so both stay."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket()
    copycat = mesh.device("copycat", ticket, name="founder")
    trust = mesh.trust(founder, ticket, copycat)
    assert trust.admit(mesh.sponsor(copycat, founder).raw, LATER).alarms == ()
    assert len(trust.devices(LATER)) == 2
    assert trust.name_is_authoritative(founder.device_id)
    assert not trust.name_is_authoritative(copycat.device_id)


def test_a_name_is_authoritative_by_ticket_registrar_or_directory() -> None:
    """Only the mesh's admins give names that rules may rely on."""
    mesh = Mesh()
    founder = mesh.device("founder")
    free, fixed = mesh.ticket("free"), mesh.ticket("fixed", name="web1", uses=1)
    chosen, given = mesh.device("chosen", free), mesh.device("given", fixed)
    words = [mesh.sponsor(chosen, founder), mesh.sponsor(given, founder)]
    trust = mesh.trust(founder, free, fixed, chosen, given, *words)
    authoritative = {d: trust.name_is_authoritative(d.device_id) for d in (chosen, given)}
    assert list(authoritative.values()) == [False, True]
    trust.set_directory(settling(chosen))
    assert trust.name_is_authoritative(chosen.device_id)
    trust.set_directory(Directory(devices={"another": DirectoryDevice(chosen.device_id)}))
    assert not trust.name_is_authoritative(chosen.device_id)


def test_a_name_pinned_to_another_device_is_lost() -> None:
    """What the directory gives to one device no ticket gives to another."""
    mesh = Mesh()
    holder, claimant = mesh.device("holder", name="db1"), mesh.device("claimant", name="db2")
    trust = mesh.trust(holder, claimant)
    trust.set_directory(Directory(devices={"db2": DirectoryDevice(holder.device_id)}))
    assert set(trust.devices(LATER)) == {holder.device_id}
    assert "the directory gives the name db2" in trust.device_state(claimant.device_id, LATER)[1]
    trust.set_directory(Directory())
    assert len(trust.devices(LATER)) == 2


def test_a_newer_object_of_a_registrar_replaces_the_older() -> None:
    """Re-issuing changes a device; the old object is dropped and never comes back."""
    mesh = Mesh()
    old = mesh.device("laptop", issued=NOW)
    new = mesh.device("laptop", issued=NOW + 5, tags=("web",))
    for order in ((old, new), (new, old)):
        trust = mesh.trust(*order)
        assert trust.devices(LATER) == {old.device_id: new.body}
        assert trust.raw(old.id) is None
        assert not trust.admit(old.raw, LATER).fresh


def test_a_newer_object_under_a_ticket_needs_its_own_sponsor() -> None:
    """New keys of a device count once a member has seen them; one use is enough for both."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket(uses=1)
    old = mesh.device("laptop", ticket)
    keys = device_keys("other")
    new = mesh.device("laptop", ticket, issued=NOW + 20, wireguard_public=keys.wireguard_public)
    trust = mesh.trust(founder, ticket, old, mesh.sponsor(old, founder), new)
    assert trust.devices(LATER)[old.device_id] == old.body
    word = mesh.sponsor(new, founder, at=NOW + 30)
    assert trust.admit(word.raw, LATER).alarms == ()
    assert trust.devices(LATER)[old.device_id] == new.body
    other = mesh.trust(founder, ticket, new, word, old, mesh.sponsor(old, founder))
    assert other.devices(LATER) == trust.devices(LATER)


def test_a_device_that_expired_can_come_back_with_another_ticket() -> None:
    """The same key under a new invite is a new enrolment, in force when the old one is over."""
    mesh = Mesh()
    founder = mesh.device("founder")
    tickets = [mesh.ticket("one", ephemeral_minutes=1), mesh.ticket("two")]
    first = mesh.device("laptop", tickets[0], not_after=NOW + 60)
    second = mesh.device("laptop", tickets[1])
    words = [mesh.sponsor(first, founder), mesh.sponsor(second, founder, at=NOW + 30)]
    trust = mesh.trust(founder, *tickets, first, second, *words)
    assert trust.devices(at(NOW + 59))[first.device_id] == first.body
    assert trust.devices(at(NOW + 60))[first.device_id] == second.body


def test_validity_needs_the_whole_interval() -> None:
    """A device starts when its time has surely come and ends when it may be over."""
    mesh = Mesh()
    device = mesh.device("guest", not_before=NOW + 50, not_after=NOW + 90)
    trust = mesh.trust(device)

    def state(wall: float) -> str:
        return trust.device_state(device.device_id, at(wall, doubt=5))[1]

    assert [state(NOW + offset) for offset in (54, 55, 84, 85)] == [
        "not valid yet",
        "in force",
        "in force",
        "expired",
    ]
    assert trust.next_change(at(NOW, doubt=5)) == NOW + 55
    assert trust.next_change(at(NOW + 55, doubt=5)) == NOW + 85
    assert trust.next_change(at(NOW + 85, doubt=5)) is None


def test_devices_is_worked_out_once_while_nothing_changes() -> None:
    """The same mapping comes back until an object or an edge of a validity comes between."""
    mesh = Mesh()
    device = mesh.device("guest", not_after=NOW + 90)
    trust = mesh.trust(device)
    view = trust.devices(at(NOW + 1))
    assert trust.devices(at(NOW + 89)) is view
    assert trust.devices(at(NOW + 90)) == {}
    assert trust.devices(at(NOW + 1)) == view
    again = trust.devices(at(NOW + 1))
    trust.admit(mesh.device("other").raw, LATER)
    assert trust.devices(at(NOW + 1)) is not again
    with pytest.raises(TypeError):
        trust.devices(at(NOW + 1))[bytes(32)] = device.body  # type: ignore[index]


def test_a_revoked_owner_takes_his_devices_along() -> None:
    """T36: when a user goes, everything enrolled for that user goes."""
    mesh = Mesh()
    device = mesh.device("laptop", owner="alice")
    trust = mesh.trust(device)
    assert trust.admit(mesh.revoke("user", "alice").raw, LATER).alarms == ()
    assert trust.device_state(device.device_id, LATER) == (False, "its owner alice is revoked")
    assert trust.is_revoked("user", "alice")
    assert not trust.is_revoked("user", "bob")


def statements(mesh: Mesh, device: Forged[Any], other: Forged[Any]) -> dict[ObjectType, bytes]:
    """Return what a device can say."""
    return {
        ObjectType.MEMBER: mesh.member(device).raw,
        ObjectType.ACCUSATION: mesh.accusation(device, other).raw,
        ObjectType.LEAVE: mesh.leave(device).raw,
    }


def test_t07_statements_of_a_device_in_force_are_verified() -> None:
    """T07: each kind of statement says who signed it, and none of it is kept."""
    mesh = Mesh()
    device, other = mesh.device("a"), mesh.device("b")
    trust = mesh.trust(device, other)
    before = snapshot(trust)
    for object_type, raw in statements(mesh, device, other).items():
        said = trust.verify_statement(raw, LATER)
        assert isinstance(said, Statement)
        assert (said.type, said.raw, said.signer) == (object_type, raw, device.device_id)
        assert said.id == said.envelope.id
    assert snapshot(trust) == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"not_after": NOW + 100}, ExpiredError),
        ({"not_before": NOW + 101}, ExpiredError),
        ({"name": "b", "issued": NOW + 1}, ConstraintError),
    ],
    ids=["expired", "not yet", "name taken"],
)
def test_t07_statements_of_a_device_not_in_force_are_refused(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    """T07: a device outside its validity, or whose name is another's, has no say."""
    mesh = Mesh()
    device, other = mesh.device("a", **changes), mesh.device("b")
    trust = mesh.trust(device, other)
    for raw in statements(mesh, device, other).values():
        with pytest.raises(error):
            trust.verify_statement(raw, LATER)


def test_t07_statements_of_revoked_and_unknown_devices_are_refused() -> None:
    """T07: a revoked device has no say for good; an unknown one may become known."""
    mesh = Mesh()
    device, other = mesh.device("a"), mesh.device("b")
    trust = mesh.trust(other, device, mesh.revoke(RevokeKind.DEVICE, device.device_id))
    with pytest.raises(RevokedError):
        trust.verify_statement(mesh.member(device).raw, LATER)
    with pytest.raises(UnknownParentError) as caught:
        trust.verify_statement(mesh.member(mesh.device("c")).raw, LATER)
    assert caught.value.parent_kind == "device"
    with pytest.raises(ObjectError, match="no device's statement"):
        trust.verify_statement(device.raw, LATER)


def test_registrars_can_need_each_other() -> None:
    """A root that wants two registrars gets two, for tickets and for approvals."""
    mesh = Mesh()
    mesh.signers["registrar"] = ["r0", "r1"]
    mesh._thresholds["registrar"] = 2
    mesh.next_root()
    trust = mesh.trust()
    refused(trust, mesh.ticket(seeds=[seed("r0")]).raw, ThresholdError)
    refused(trust, mesh.device("a", seeds=[seed("r1")]).raw, ThresholdError)
    assert trust.admit(mesh.ticket().raw, LATER).fresh
    assert trust.admit(mesh.device("a").raw, LATER).fresh
