"""Joining: through one member, with a ticket, trusting nobody but the keys."""

from dataclasses import replace

import pytest

from crypto.objects import RevokeKind
from crypto.signing import ObjectType
from gossip.events import Alarm, JoinAccepted, MemberState, ObjectAdmitted, Seed, Synced
from tests.forge import Mesh, device_keys, single
from tests.gossip.meshes import PORT, Town, Villager


def alarms(villager: Villager, code: str) -> list[str]:
    """Return the texts of a villager's alarms of one code."""
    return [event.text for event in villager.events(Alarm) if event.code == code]


@pytest.mark.parametrize("size", [2, 3, 8, 32])
def test_everybody_joins_through_one_member(size: int) -> None:
    """N devices with one invite meet through its bootstrap and end with one and the same state."""
    town = Town(size)
    founder = town.approved("founder")
    guests = [town.invited(f"n{number}", founder) for number in range(1, size)]
    took = town.until(town.is_settled, limit=10.0)
    assert took is not None
    assert took < 1.0
    for guest in guests:
        assert guest.events(JoinAccepted)
        assert len(guest.trust.devices(guest.machine._core.wall(town.world.now))) == size
        assert not guest.events(Alarm)
    town.run(2.0)
    assert all(villager.events(Synced) for villager in town.villagers)


def test_the_join_event_names_the_sponsor() -> None:
    """The joiner learns who vouches for it, and only after that is it accepted."""
    town = Town()
    founder, guest = town.grown(2)
    assert guest.events(JoinAccepted) == [JoinAccepted(founder.id)]
    kinds = [event.type for event in guest.events(ObjectAdmitted)]
    assert ObjectType.SPONSOR in kinds


def test_an_approved_device_joins_without_a_sponsor() -> None:
    """A device that the registrar signed shows its object to a member that has never seen it."""
    town = Town()
    founder = town.approved("founder")
    other = town.approved("other", seeds=[founder.seed])
    assert town.until(town.is_settled, limit=5.0) is not None
    assert founder.state(other) is MemberState.ALIVE
    assert not other.events(JoinAccepted)


def test_a_ticket_lets_in_no_more_than_its_uses() -> None:
    """With the uses spent, a further joiner is told so, and stays out everywhere."""
    town = Town()
    founder = town.approved("founder")
    ticket = town.mesh.ticket("one", uses=1, addresses=single("100.64.9.9"))
    town.invited("first", founder, ticket=ticket)
    town.run(1.0)
    second = town.invited("second", founder, ticket=ticket)
    town.run(5.0)
    assert any("use" in text for text in alarms(second, "join-refused"))
    assert founder.state(second) is MemberState.UNKNOWN
    assert founder.count("joins_accepted") == 1


def test_a_member_does_not_vouch_for_its_own_invite() -> None:
    """A guest cannot let in others by the ticket it came with; another member can."""
    town = Town()
    founder = town.approved("founder")
    first = town.invited("first", founder)
    town.run(1.0)
    second = town.invited("second", first)
    town.run(3.0)
    assert alarms(second, "join-refused")
    assert first.state(second) is MemberState.UNKNOWN
    second.do(lambda machine, now: machine.join(now, [founder.seed]))
    assert town.until(town.is_settled, limit=5.0) is not None


def test_a_device_with_a_wrong_signature_gets_silence() -> None:
    """A joiner whose device the ticket has not signed is not answered at all."""
    town = Town()
    founder = town.approved("founder")
    keys = device_keys("wrong")
    forged = town.mesh.device("wrong", town.ticket, seeds=[b"x" * 32, keys.sign_seed])
    wrong = town.invited("wrong", founder, device=forged)
    before = founder.host.sent
    town.run(5.0)
    assert founder.host.sent == before
    assert founder.count("hellos_refused") > 0
    assert not wrong.events(JoinAccepted)


def test_a_device_nobody_signed_for_gets_silence() -> None:
    """A hello that carries no device, from keys nobody knows, is not answered."""
    town = Town()
    founder = town.approved("founder")
    stranger = town.approved("stranger")
    stranger.machine._core.device = None
    before = founder.host.sent
    stranger.do(lambda machine, now: machine.join(now, [founder.seed]))
    town.run(5.0)
    assert stranger.count("hellos_sent") > 1
    assert founder.count("hellos_by_strangers") > 1
    assert founder.host.sent == before


def test_anothers_device_object_opens_no_door() -> None:
    """Showing a device object without holding its gossip key gets silence."""
    town = Town()
    founder = town.approved("founder")
    honest = town.mesh.device("honest", town.ticket)
    town.invited("thief", founder, device=replace(honest, keys=device_keys("thief")))
    before = founder.host.sent
    town.run(3.0)
    assert founder.host.sent == before
    assert founder.count("joins_accepted") == 0


def test_a_joiner_waits_for_its_bootstrap() -> None:
    """Hellos go on with growing gaps until the bootstrap is there; then the join is quick."""
    town = Town()
    founder = town.approved("founder")
    founder.crash()
    guest = town.invited("guest", founder)
    town.run(40.0)
    tries = guest.count("hellos_sent")
    assert 4 <= tries <= 10
    founder.host.boot()
    assert town.until(town.is_settled, limit=90.0) is not None


def test_t54_dead_bootstraps_do_not_matter_when_others_are_known() -> None:
    """With the invite's bootstrap gone, a member known from before leads back in."""
    town = Town()
    founder, first, second = town.grown(3)
    second.crash()
    founder.crash()
    second.seeds = [founder.seed, first.seed]
    second.host.boot()
    assert town.until(lambda: second.state(first) is MemberState.ALIVE, limit=10.0) is not None


def test_a_hostile_bootstrap_is_believed_nothing() -> None:
    """What a bootstrap brings is verified: objects of another mesh never get in."""
    town = Town()
    founder, guest = town.grown(2)
    other = Mesh("elsewhere")
    rogue = other.device("rogue")
    founder.push(guest, rogue.raw, other.roots[0], other.revoke("device", guest.id).raw)
    town.run(1.0)
    assert guest.trust.raw(rogue.id) is None
    assert guest.trust.device_state(guest.id, guest.machine._core.wall(town.world.now))[0]
    assert guest.count("objects_refused") >= 2


def test_a_removed_device_is_told_and_falls_silent() -> None:
    """After its revocation a device is dropped everywhere, learns why, and stops talking."""
    town = Town()
    villagers = town.grown(5)
    victim = villagers[-1]
    villagers[1].publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    town.run(30.0)
    for villager in villagers[:-1]:
        assert victim.id not in villager.machine.members()
        assert villager.path(victim) is None
    assert alarms(victim, "removed")
    sent = victim.host.sent
    town.run(30.0)
    assert victim.host.sent == sent


def test_a_removed_device_that_missed_it_gets_the_proof() -> None:
    """A device revoked while it was down is shown the revocation when it says hello."""
    town = Town()
    villagers = town.grown(4)
    victim = villagers[-1]
    victim.crash()
    villagers[0].publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    town.run(1.0)
    victim.host.boot()
    town.run(3.0)
    assert any("removed" in text for text in alarms(victim, "join-refused"))
    assert alarms(victim, "removed")
    assert all(victim.id not in v.machine.members() for v in villagers[:-1])


def test_a_replayed_refusal_is_refused_once() -> None:
    """The hello of a removed device, captured and sent again, is not answered again."""
    town = Town()
    founder, _, victim = town.grown(3)
    victim.crash()
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    victim.host.boot()
    hello = victim.machine._core.admission.make_hello(town.world.now, founder.id)
    assert hello is not None
    town.run(1.0)
    before = founder.host.sent
    for _ in range(5):
        founder.machine.receive(town.world.now, ("192.0.2.9", 9), hello)
    assert founder.host.sent == before + 1


def test_too_long_introductions_raise_an_alarm() -> None:
    """A device object that leaves no room in a hello is an alarm, not a crash."""
    town = Town()
    founder = town.approved("founder")
    tags = tuple(f"tag-{number:02}-{'x' * 20}" for number in range(30))
    ticket = town.mesh.ticket("long", tags=tags)
    guest = town.invited("guest", founder, ticket=ticket)
    town.run(1.0)
    assert any("does not fit" in text for text in alarms(guest, "hello-failed"))


def test_limit_seeds() -> None:
    """Of very many seeds the newest are kept, and the node itself is never one."""
    town = Town()
    founder = town.approved("founder")
    seeds = [
        Seed(("10.9.9.9", PORT), number.to_bytes(32, "big"), founder.device.body.gossip_public)
        for number in range(1, 100)
    ]
    for part in (seeds[:50], seeds[50:], [founder.seed]):
        founder.do(lambda machine, now, part=part: machine.join(now, part))  # type: ignore[misc]
    core = founder.machine._core
    assert len(core.admission._seeds) == 64
    assert set(core.guests) == set(core.admission._seeds)
    assert seeds[-1].device_id in core.guests
    assert founder.id not in core.guests
