"""Attacks on enrolment: stolen invites, backdating, overuse, circles, and members who collude."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from crypto.errors import ConstraintError, ExpiredError, SignatureError, UnknownParentError
from crypto.objects import Device, RevokeKind, SignedObject, Ticket
from crypto.trust import Trust
from tests.forge import DAY, NOW, Forged, Mesh, at, refused, seed, settling

LATER = at(NOW + 100)


def admit_in_any_order(trust: Trust, objects: list[Forged[SignedObject]]) -> None:
    """Admit these, offering again what waits for another, as gossip does."""
    waiting = objects
    while waiting:
        left = []
        for item in waiting:
            try:
                trust.admit(item.raw, LATER)
            except UnknownParentError:
                left.append(item)
        assert len(left) < len(waiting), "nothing is left that could still come in"
        waiting = left


class Party:
    """A mesh with a founder, and a ticket that any number of devices try to use."""

    def __init__(self, **ticket: Any) -> None:  # noqa: ANN401 -- fields of Ticket
        self.mesh = Mesh()
        self.founder = self.mesh.device("founder")
        self.ticket: Forged[Ticket] = self.mesh.ticket(**ticket)
        self.objects: list[Forged[SignedObject]] = [self.founder, self.ticket]

    def enrol(
        self,
        label: str,
        when: int,
        by: Forged[Device] | None = None,
        ticket: Forged[Ticket] | None = None,
    ) -> Forged[Device]:
        """Make a device that was sponsored `when` seconds after the ticket's issue."""
        device = self.mesh.device(label, ticket or self.ticket)
        word = self.mesh.sponsor(device, by or self.founder, at=NOW + when)
        self.objects += [device, word]
        return device

    def trust(self) -> Trust:
        """Return a trust that knows all of it."""
        trust = self.mesh.trust()
        admit_in_any_order(trust, self.objects)
        return trust

    def members(self, trust: Trust | None = None) -> set[str]:
        """Return the names of the devices in force, without the founder's."""
        devices = (trust or self.trust()).devices(LATER).values()
        return {device.name for device in devices} - {"founder"}


def test_the_earliest_sponsored_win_in_any_order_of_arrival() -> None:
    """Of three devices of a ticket of two uses the two sponsored first are in, on every node."""
    party = Party(uses=2)
    for label, when in (("first", 10), ("second", 20), ("third", 30)):
        party.enrol(label, when)
    pairs = [party.objects[start : start + 2] for start in (2, 4, 6)]
    for order in permutations(pairs):
        for flat in (
            [o for pair in order for o in pair],
            [o for pair in order for o in pair[::-1]],
        ):
            party.objects[2:] = flat
            assert party.members() == {"first", "second"}


def test_ties_go_to_the_lower_device_id() -> None:
    """Sponsored in the same second, the id decides."""
    party = Party(uses=1)
    pair = [party.enrol(label, 10) for label in ("a", "b")]
    low = min(pair, key=lambda device: device.device_id)
    assert party.members() == {low.body.name}
    party.objects[2:] = party.objects[:1:-1]
    assert party.members() == {low.body.name}


def test_a_chain_within_one_second_holds_in_any_order() -> None:
    """Of two in the same second the one with the shorter way from the founder is in."""
    party = Party(uses=1)
    other = party.mesh.ticket("other")
    party.objects.append(other)
    gate = party.enrol("gate", 10, ticket=other)
    party.enrol("behind", 10, by=gate)
    party.enrol("direct", 10)
    for _ in range(len(party.objects)):
        party.objects.append(party.objects.pop(0))
        assert party.members() == {"gate", "direct"}


def test_an_alarm_names_who_comes_too_late() -> None:
    """Overuse is loud, whether the late one arrives last or the early one does."""
    party = Party(uses=1)
    party.enrol("early", 10)
    party.enrol("late", 20)
    early, late = party.objects[2:4], party.objects[4:6]
    for order in ((early, late), (late, early)):
        trust = party.mesh.trust(*party.objects[:2])
        alarms = [a for pair in order for o in pair for a in trust.admit(o.raw, LATER).alarms]
        assert [alarm.code for alarm in alarms] == ["ticket-overused"]
        assert alarms[0].text.startswith("late (")
        late_id = next(o.device_id for o in late if isinstance(o.body, Device))
        assert trust.device_state(late_id, LATER) == (
            False,
            "others came before it with the same ticket, which has no use left",
        )


def test_a_stolen_invite_cannot_displace_a_device_by_backdating_itself() -> None:
    """The thief can date his device back, not the word of the member that lets him in."""
    party = Party(uses=1)
    party.enrol("honest", 10)
    thief = party.mesh.device("thief", party.ticket, issued=NOW)
    party.objects += [thief, party.mesh.sponsor(thief, party.founder, at=NOW + 50)]
    assert party.members() == {"honest"}


def test_a_thief_of_a_device_and_an_invite_cannot_displace_once_that_device_is_revoked() -> None:
    """With a stolen member's key he can backdate the word too; the revocation ends that."""
    party = Party(uses=1)
    stolen = party.mesh.device("stolen")
    party.objects.append(stolen)
    party.enrol("honest", 10)
    thief = party.enrol("thief", 5, by=stolen)
    trust = party.trust()
    assert party.members(trust) == {"stolen", "thief"}
    alarms = trust.admit(party.mesh.revoke(RevokeKind.DEVICE, stolen.device_id).raw, LATER).alarms
    assert party.members(trust) == {"honest"}
    assert [alarm.code for alarm in alarms] == ["enrolment-lost"]
    assert "thief" in alarms[0].text
    assert not trust.device_state(thief.device_id, LATER)[0]


def test_revoking_a_sponsor_keeps_those_it_let_in_before() -> None:
    """One stolen machine does not take along who once came in through it."""
    party = Party()
    gate = party.mesh.device("gate")
    party.objects.append(gate)
    party.enrol("before", 59, by=gate)
    party.enrol("after", 60, by=gate)
    party.objects.append(party.mesh.revoke(RevokeKind.DEVICE, gate.device_id, issued=NOW + 60))
    assert party.members() == {"before"}
    party.objects = party.objects[:2] + party.objects[:1:-1]
    assert party.members() == {"before"}


def test_a_revocation_dated_back_cuts_what_came_in_since_the_theft() -> None:
    """The revoker decides from when a stolen machine's word is worth nothing."""
    party = Party()
    gate = party.mesh.device("gate")
    party.objects.append(gate)
    party.enrol("guest", 30, by=gate)
    trust = party.trust()
    for issued, members in ((NOW + 60, {"guest"}), (NOW + 30, set())):
        trust.admit(party.mesh.revoke(RevokeKind.DEVICE, gate.device_id, issued=issued).raw, LATER)
        assert party.members(trust) == members


def test_a_user_who_left_lets_nobody_in() -> None:
    """From the revocation of its owner on a device's word is worth nothing; guests before stay."""
    party = Party()
    gate = party.mesh.device("gate", owner="alice")
    party.objects.append(gate)
    party.enrol("before", 59, by=gate)
    party.enrol("after", 60, by=gate)
    assert party.members() == {"gate", "before", "after"}
    left = party.mesh.revoke(RevokeKind.USER, "alice", issued=NOW + 60)
    for order in ([*party.objects, left], [left, *party.objects]):
        assert party.members(party.mesh.trust(*order)) == {"before"}


def test_a_device_that_revokes_itself_takes_nobody_along() -> None:
    """A revocation from paper, older than all it sponsored, ends the device alone."""
    party = Party()
    gate = party.mesh.device("gate")
    party.objects.append(gate)
    party.enrol("guest", 30, by=gate)
    party.objects.append(
        party.mesh.revoke(RevokeKind.DEVICE, gate.device_id, issued=NOW, seeds=[gate.seed])
    )
    assert party.members() == {"guest"}


def test_a_revoked_device_keeps_its_use() -> None:
    """Revoking a thief does not give his invite a new use, nor let a later device in."""
    party = Party(uses=1)
    thief = party.enrol("thief", 10)
    party.enrol("later", 20)
    party.objects.append(party.mesh.revoke(RevokeKind.DEVICE, thief.device_id))
    assert party.members() == set()


def test_a_sponsor_of_the_same_ticket_is_refused() -> None:
    """Whoever came with an invite cannot vouch for the next holder of the same invite."""
    party = Party()
    first = party.enrol("first", 10)
    second = party.mesh.device("second", party.ticket)
    trust = party.trust()
    trust.admit(second.raw, LATER)
    refused(trust, party.mesh.sponsor(second, first, at=NOW + 20).raw, ConstraintError)


def test_a_device_of_two_tickets_vouches_through_the_other_one() -> None:
    """Somebody who also came in another way is outside the ticket that way."""
    party = Party()
    other = party.mesh.ticket("other")
    party.objects.append(other)
    member = party.enrol("member", 10)
    party.enrol("member", 11, ticket=other)
    party.enrol("guest", 20, by=member)
    assert party.members() == {"member", "guest"}


def test_a_device_of_two_tickets_vouches_from_when_the_other_one_let_it_in() -> None:
    """What it was by the same ticket does not count, not even for how early it ranks."""
    party = Party(uses=2)
    other = party.mesh.ticket("other")
    party.objects.append(other)
    member = party.enrol("member", 10)
    party.enrol("member", 50, ticket=other)
    party.enrol("friend", 20, by=member)
    party.enrol("honest", 30)
    assert party.members() == {"member", "honest"}


def test_nobody_sponsors_himself() -> None:
    """A device in force by one ticket cannot vouch for itself under another."""
    party = Party()
    member = party.enrol("member", 10)
    other = party.mesh.ticket("other")
    again = party.mesh.device("member", other)
    trust = party.trust()
    for item in (other, again):
        trust.admit(item.raw, LATER)
    refused(trust, party.mesh.sponsor(again, member, at=NOW + 20).raw, ConstraintError)


def test_two_devices_that_sponsor_each_other_are_not_in() -> None:
    """A circle rests on nothing, in whatever order it arrives."""
    mesh = Mesh()
    tickets = [mesh.ticket("one"), mesh.ticket("two")]
    pair = [mesh.device("a", tickets[0]), mesh.device("b", tickets[1])]
    words = [mesh.sponsor(pair[0], pair[1]), mesh.sponsor(pair[1], pair[0])]
    trust = mesh.trust(*tickets, *pair)
    for word in words:
        refused(trust, word.raw, UnknownParentError)
    assert trust.devices(LATER) == {}


def test_a_sponsor_that_is_not_in_has_no_say_until_it_is() -> None:
    """A chain of sponsors holds from its end: each waits for the one before."""
    party = Party()
    tickets = [party.mesh.ticket(f"t{n}") for n in range(4)]
    party.objects += tickets
    last = party.founder
    for number, ticket in enumerate(tickets):
        last = party.enrol(f"link{number}", 10 + number, by=last, ticket=ticket)
    for order in (party.objects, party.objects[::-1]):
        trust = party.mesh.trust()
        admit_in_any_order(trust, order)
        assert party.members(trust) == {f"link{n}" for n in range(4)}


def test_nobody_vouches_before_he_was_in_himself() -> None:
    """A member that backdates his word below his own enrolment ranks by the latter."""
    party = Party(uses=1)
    other = party.mesh.ticket("other")
    party.objects.append(other)
    late_member = party.enrol("member", 40, ticket=other)
    party.enrol("honest", 30)
    party.enrol("friend", 5, by=late_member)
    assert party.members() == {"member", "honest"}


def test_clocks_that_differ_do_not_keep_anybody_out() -> None:
    """A sponsor whose clock is behind that of its own sponsor still lets others in."""
    party = Party()
    other = party.mesh.ticket("other")
    party.objects.append(other)
    member = party.enrol("member", 90, ticket=other)
    party.enrol("guest", 20, by=member)
    assert party.members() == {"member", "guest"}


@pytest.mark.parametrize("when", [-1, 7 * DAY])
def test_a_word_outside_the_tickets_validity_is_refused(when: int) -> None:
    """A ticket that has not begun or is over enrols nobody."""
    party = Party()
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    trust.admit(device.raw, LATER)
    word = party.mesh.sponsor(device, party.founder, at=NOW + when)
    refused(trust, word.raw, ExpiredError, now=NOW + 8 * DAY)


def test_a_word_from_the_future_is_refused_beyond_the_skew_of_clocks() -> None:
    """Two minutes ahead of the late end of our clock may be a clock; more is a lie."""
    party = Party()
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    trust.admit(device.raw, LATER)
    word = party.mesh.sponsor(device, party.founder, at=NOW + 321)
    refused(trust, word.raw, ExpiredError, now=NOW + 200)
    assert trust.admit(word.raw, at(NOW + 200, doubt=1)).fresh


def test_a_word_about_another_ticket_is_refused() -> None:
    """A word names the ticket that the device came with; a registrar's device needs none."""
    party = Party()
    other = party.mesh.ticket("other")
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    for item in (other, device):
        trust.admit(item.raw, LATER)
    wrong = party.mesh.sponsor(device, party.founder, ticket=other.id)
    refused(trust, wrong.raw, ConstraintError)
    refused(trust, party.mesh.sponsor(party.founder, party.founder).raw, ConstraintError)


def test_a_word_about_an_unknown_device_waits_for_it() -> None:
    """The device's object has to be here before its sponsor's word says anything."""
    party = Party()
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    error = refused(trust, party.mesh.sponsor(device, party.founder).raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert (error.parent_kind, error.parent_id) == ("device", device.id)


def test_a_forged_word_is_refused_before_anything_else() -> None:
    """A word that its sponsor has not signed does not make anybody look for its device."""
    party = Party()
    device = party.mesh.device("guest", party.ticket)
    word = party.mesh.sponsor(device, party.founder, seeds=[seed("thief")])
    refused(party.trust(), word.raw, SignatureError)


def test_the_earliest_word_of_each_sponsor_counts() -> None:
    """A sponsor's later word about the same device adds nothing; an earlier one replaces it."""
    party = Party()
    device = party.enrol("guest", 20)
    later = party.mesh.sponsor(device, party.founder, at=NOW + 30)
    earlier = party.mesh.sponsor(device, party.founder, at=NOW + 15)
    trust = party.trust()
    assert not trust.admit(later.raw, LATER).fresh
    assert trust.admit(earlier.raw, LATER).fresh
    assert trust.raw(party.objects[-1].id) is None
    party.objects += [later, earlier]
    other = party.mesh.trust()
    admit_in_any_order(other, party.objects[::-1])
    assert list(other.objects()) == list(trust.objects())


def test_a_sponsor_whose_validity_is_over_has_no_say() -> None:
    """Words from before the end stay, words dated after it are worth nothing."""
    party = Party()
    visitor = party.mesh.device("visitor", not_after=NOW + 50)
    party.objects.append(visitor)
    party.enrol("in time", 49, by=visitor)
    party.enrol("too late", 50, by=visitor)
    assert party.members() == {"in-time"}


def test_a_closed_ticket_enrols_nobody_but_those_settled() -> None:
    """The directory settles who came in, and closes the ticket for everybody else."""
    party = Party()
    settled, other = party.enrol("settled", 10), party.enrol("other", 20)
    trust = party.trust()
    alarms = trust.set_directory(settling(settled, closed=[party.ticket]))
    assert [alarm.code for alarm in alarms] == ["enrolment-lost"]
    assert "1 devices" in alarms[0].text
    assert "other (" in alarms[0].text
    assert party.members(trust) == {"settled"}
    assert trust.device_state(other.device_id, LATER) == (
        False,
        "its ticket is closed, and the directory does not settle it",
    )
    late = party.mesh.device("late", party.ticket)
    for item in (late, party.mesh.sponsor(late, party.founder)):
        trust.admit(item.raw, LATER)
    assert party.members(trust) == {"settled"}


def test_a_settled_device_stays_whatever_becomes_of_its_ticket() -> None:
    """Ticket, registrar and sponsor revoked, and the ticket overused: settled is settled."""
    party = Party(uses=1)
    device = party.enrol("settled", 50)
    party.enrol("earlier", 10)
    registrar = party.mesh.root.roles["registrar"].keys[0]
    trust = party.trust()
    trust.set_directory(settling(device))
    for revoke in (
        party.mesh.revoke(RevokeKind.TICKET, party.ticket.id, issued=0),
        party.mesh.revoke(RevokeKind.REGISTRAR, registrar, issued=0),
        party.mesh.revoke(RevokeKind.DEVICE, party.founder.device_id, issued=0),
    ):
        trust.admit(revoke.raw, LATER)
    assert {d.name for d in trust.devices(LATER).values()} == {"settled"}
    trust.admit(party.mesh.revoke(RevokeKind.DEVICE, device.device_id).raw, LATER)
    assert trust.devices(LATER) == {}


@pytest.mark.parametrize("directory_first", [False, True])
def test_a_settled_device_needs_no_sponsor(*, directory_first: bool) -> None:
    """A device that the directory names by id is in, whichever of the two comes first."""
    party = Party()
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    if directory_first:
        trust.set_directory(settling(device))
        assert trust.admit(device.raw, LATER).fresh
    else:
        trust.admit(device.raw, LATER)
        trust.set_directory(settling(device))
    assert party.members(trust) == {"guest"}


def test_a_settled_device_has_its_address_before_all_others() -> None:
    """A registrar who gives a settled device's address away does not take it away."""
    party = Party()
    device = party.enrol("settled", 10)
    usurper = party.mesh.device("usurper", address4=device.body.address4)
    party.objects.append(usurper)
    trust = party.trust()
    assert party.members(trust) == {"usurper"}
    trust.set_directory(settling(device))
    assert party.members(trust) == {"settled"}


def test_a_newer_object_of_a_settled_device_replaces_the_older() -> None:
    """Settling names the device, not one object of it; both keys have signed either."""
    party = Party()
    old = party.enrol("settled", 10)
    trust = party.trust()
    trust.set_directory(settling(old))
    new = party.mesh.device("settled", party.ticket, issued=NOW + 20)
    trust.admit(new.raw, LATER)
    assert trust.devices(LATER)[old.device_id] == new.body


def may(trust: Trust, device: Forged[Device], sponsor: Forged[Device], now: float) -> str:
    """Return what an honest member is told before it sponsors."""
    allowed, reason = trust.may_sponsor(device.id, sponsor.device_id, at(now))
    assert allowed == (reason == "may be sponsored")
    return reason


def test_an_honest_member_sponsors_within_the_rules() -> None:
    """May_sponsor says yes to a fresh device of a good ticket, and why not otherwise."""
    party = Party(uses=1, owner="alice")
    mesh, founder = party.mesh, party.founder
    device, second = mesh.device("guest", party.ticket), mesh.device("second", party.ticket)
    stranger = mesh.device("stranger")
    trust = party.trust()
    assert may(trust, device, founder, NOW + 20) == "unknown"
    assert may(trust, founder, founder, NOW + 20).startswith("a registrar signed it")
    trust.admit(device.raw, LATER)
    trust.admit(second.raw, LATER)
    assert may(trust, device, founder, NOW + 20) == "may be sponsored"
    assert may(trust, device, founder, NOW - 1) == "its ticket is not valid now"
    assert may(trust, device, founder, NOW + 7 * DAY) == "its ticket is not valid now"
    assert "is not in force: unknown" in may(trust, device, stranger, NOW + 20)
    trust.admit(mesh.sponsor(device, founder).raw, LATER)
    assert may(trust, device, founder, NOW + 20) == "may be sponsored"
    assert may(trust, second, founder, NOW + 20) == "its ticket has no use left"


def test_an_honest_member_does_not_sponsor_what_was_taken_away() -> None:
    """Closed and revoked tickets, revoked devices and owners, and expired heads stop it."""
    party = Party(owner="alice")
    mesh, founder = party.mesh, party.founder
    device = mesh.device("guest", party.ticket)

    def told(*objects: Forged[SignedObject], now: float = NOW + 99) -> str:
        trust = party.trust()
        for item in (device, *objects):
            trust.admit(item.raw, LATER)
        if trust.candidate_id is not None:
            trust.adopt(trust.candidate_id)
        return may(trust, device, founder, now)

    head = mesh.head(parts={}, expires=NOW + 105, stale_after=NOW + 104)
    assert told(head) == "may be sponsored"
    assert told(head, now=NOW + 105).startswith("the newest head has expired")
    assert told(mesh.revoke("ticket", party.ticket.id)).endswith("is revoked")
    assert told(mesh.revoke("ticket", party.ticket.id), now=NOW + 59) == "may be sponsored"
    assert told(mesh.revoke("device", device.device_id)) == "it is revoked"
    assert told(mesh.revoke("user", "alice")) == "its owner alice is revoked"
    trust = party.trust()
    trust.admit(device.raw, LATER)
    trust.set_directory(settling(closed=[party.ticket]))
    assert may(trust, device, founder, NOW + 20) == "its ticket is closed"


def test_an_honest_member_does_not_sponsor_for_its_own_invite() -> None:
    """It would be refused anyway, so it is not even said."""
    party = Party()
    member = party.enrol("member", 10)
    device = party.mesh.device("guest", party.ticket)
    trust = party.trust()
    trust.admit(device.raw, LATER)
    assert may(trust, device, member, NOW + 20) == "its sponsor came with the same ticket"
