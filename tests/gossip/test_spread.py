"""Spread: signed objects reach everybody, at once when they are news and surely in the end."""

import pytest

from crypto.errors import PeerError, SignatureError
from crypto.objects import RevokeKind
from crypto.signing import ObjectType
from gossip import limits
from gossip import messages as m
from gossip.config import Config
from gossip.events import Alarm, ObjectAdmitted, Synced
from simnet.links import Link
from tests.gossip.meshes import Town


@pytest.mark.parametrize("size", [2, 8, 32])
def test_a_revocation_reaches_everybody_within_a_few_latencies(size: int) -> None:
    """A fresh revocation needs at most ten link latencies to all of N members."""
    town = Town(size, link=Link(0.01))
    villagers = town.grown(size)
    revoke = town.mesh.revoke("user", "bob")
    villagers[size // 2].publish(revoke)
    took = town.until(lambda: town.holders(revoke.id) == size, limit=5.0)
    assert took is not None
    assert took <= 0.1
    for villager in villagers:
        admitted = [e for e in villager.events(ObjectAdmitted) if e.id == revoke.id]
        assert len(admitted) == 1


def test_every_object_is_stored_before_it_is_passed_on() -> None:
    """When a datagram with news leaves, the event that makes the driver store it has come."""
    town = Town(3)
    villagers = town.grown(4)
    stored: list[str] = []
    middle = villagers[1]
    revoke = town.mesh.revoke("user", "bob")

    def watch(now: float, target: tuple[str, int]) -> None:
        stored.append("sent" if revoke.raw in middle.store else "early")

    middle.host.on_send = watch
    middle.publish(revoke)
    assert stored
    assert set(stored) == {"sent"}


def test_spreading_costs_a_bounded_number_of_datagrams() -> None:
    """One revocation among 16 costs each member no more sends than the configured limit."""
    town = Town(4)
    villagers = town.grown(16)
    town.run(20.0)
    before = [v.host.sent for v in villagers]
    villagers[0].publish(town.mesh.revoke("user", "bob"))
    town.run(0.5)
    limit = town.config.transmit_limit(15, urgent=True)
    rest = 2 * 3  # probes and acks of half a second, at most
    for villager, sent in zip(villagers, before, strict=True):
        assert villager.host.sent - sent <= limit + rest
    assert all(v.machine.stats()["queued"] == 0 for v in villagers)


def test_news_survives_heavy_loss() -> None:
    """With a quarter of all datagrams lost everybody still ends with the same set."""
    town = Town(5, link=Link(0.005, 0.005, 0.25))
    founder = town.approved("founder")
    for number in range(7):
        town.invited(f"n{number}", founder)
    assert town.until(town.is_settled, limit=120.0) is not None
    revokes = [town.mesh.revoke("user", f"user{n}") for n in range(20)]
    for villager, revoke in zip(town.villagers * 3, revokes, strict=False):
        villager.publish(revoke)
    took = town.until(lambda: all(town.holders(r.id) == 8 for r in revokes), limit=60.0)
    assert took is not None


def test_objects_too_long_for_a_datagram_are_pulled() -> None:
    """A root of many keys and a head of many parts spread like everything else."""
    town = Town(6)
    villagers = town.grown(6)
    holders = [f"holder {n}" for n in range(24)]
    root = town.mesh.next_root(signers={"policy": holders, "revoker": holders[:12]})
    assert len(root.raw) > limits.RAW_BYTES_MAX
    villagers[2].publish(root)
    took = town.until(lambda: town.holders(root.id) == 6, limit=10.0)
    assert took is not None
    parts = {f"part{n}-{'x' * 50}": f"data {n}".encode() for n in range(8)}
    head = town.mesh.head(1, parts=parts)
    assert len(head.raw) > limits.RAW_BYTES_MAX
    villagers[3].publish(head)
    assert town.until(lambda: town.holders(head.id) == 6, limit=10.0) is not None


def test_a_joiner_pulls_long_objects_too() -> None:
    """A newcomer follows a chain of roots that were signed before it came."""
    town = Town(7)
    founder = town.approved("founder")
    names = [f"holder {n}" for n in range(30)]
    roots = [town.mesh.next_root(signers={"policy": names[n:]}) for n in range(4)]
    founder.publish(*roots)
    guest = town.invited("guest", founder)
    guest.store = [town.ticket.raw, guest.device.raw]
    guest.host.boot()
    assert town.until(town.is_settled, limit=20.0) is not None
    assert guest.trust.epoch == 5


def test_publishing_rubbish_raises_and_changes_nothing() -> None:
    """The driver is told that its object is not acceptable; nobody else ever hears of it."""
    town = Town(8)
    founder, other = town.grown(2)
    prints = founder.machine.fingerprint()
    wrong = town.mesh.revoke("user", "bob", seeds=[b"z" * 32])
    with pytest.raises(SignatureError):
        founder.publish(wrong)
    with pytest.raises(PeerError):
        founder.machine.publish(town.world.now, b"rubbish")
    town.run(2.0)
    assert founder.machine.fingerprint() == prints
    assert town.holders(wrong.id) == 0
    assert other.count("objects_refused") == 0


def test_publishing_twice_is_no_news() -> None:
    """An object that is known already is neither announced nor spread again."""
    town = Town(9)
    founder, _ = town.grown(2)
    revoke = town.mesh.revoke("user", "bob")
    founder.publish(revoke)
    town.run(1.0)
    events = len(founder.host.events)
    founder.publish(revoke)
    town.run(0.5)
    assert not [e for _, e in founder.host.events[events:] if isinstance(e, ObjectAdmitted)]


def test_a_refused_object_is_not_asked_for_again_and_again() -> None:
    """Two sets that differ for good cost ever fewer rounds, not one with every ping."""
    town = Town(10)
    founder, other = town.grown(2)
    town.run(5.0)
    # One holds what the other's trust will not take: here, simply an id of nothing.
    founder.machine._core.intake.ids.add(b"\x07" * 32)
    before = founder.count("sync_rounds") + other.count("sync_rounds")
    town.run(300.0)
    rounds = founder.count("sync_rounds") + other.count("sync_rounds") - before
    assert 0 < rounds <= 40


def test_alarms_of_trust_reach_the_driver() -> None:
    """Two heads of one order are an alarm, and all nodes agree on the lower hash."""
    town = Town(11)
    villagers = town.grown(4)
    twins = [town.mesh.head(1, parts={"policy": body}) for body in (b"one", b"two")]
    villagers[0].publish(twins[0])
    villagers[3].publish(twins[1])
    took = town.until(lambda: all(town.holders(twin.id) == 4 for twin in twins), limit=20.0)
    assert took is not None
    lower = min(twins, key=lambda twin: twin.id)
    for villager in villagers:
        assert villager.trust.candidate_id == lower.id
        assert villager.events(Alarm)


def test_children_before_parents_wait_and_are_taken() -> None:
    """A device, its sponsor and its record, sent in the wrong order, are all admitted."""
    town = Town(12)
    founder, other = town.grown(2)
    device = town.mesh.device("late", town.ticket)
    sponsor = town.mesh.sponsor(device, founder.device)
    record = town.mesh.member(device)
    for item in (record, sponsor, device):
        founder.push(other, item)
        town.run(0.01)
    assert device.device_id in other.machine.members()
    assert other.machine.members()[device.body.device_id].record == record.body
    assert other.machine.stats()["waiting"] == 0


def test_a_head_waits_for_its_root() -> None:
    """A head of the next epoch that arrives before its root is kept and then taken."""
    town = Town(13)
    founder, other = town.grown(2)
    root = town.mesh.next_root()
    head = town.mesh.head(1, parts={"policy": b"p"})
    founder.push(other, head)
    town.run(0.01)
    assert other.machine.stats()["waiting"] == 1
    founder.push(other, root)
    town.run(0.1)
    assert other.trust.candidate_id == head.id


def test_synced_again_after_being_alone() -> None:
    """Agreement after a time alone is told again."""
    town = Town(14)
    founder, other = town.grown(2)
    before = len(founder.events(Synced))
    other.crash()
    town.run(120.0)
    other.host.boot()
    town.run(30.0)
    assert len(founder.events(Synced)) == before + 1


def test_a_large_difference_is_reconciled() -> None:
    """Four hundred objects that one half has and the other lacks arrive in seconds."""
    town = Town(15)
    villagers = town.grown(4)
    left, right = villagers[:2], villagers[2:]
    town.world.partition([v.host for v in left], [v.host for v in right])
    revokes = [town.mesh.revoke(RevokeKind.GRANT, f"grant{n}") for n in range(400)]
    left[0].publish(*revokes[:200])
    right[0].publish(*revokes[200:])
    town.run(60.0)
    town.world.heal()
    took = town.until(town.is_settled, limit=120.0)
    assert took is not None
    assert all(v.trust.raw(r.id) for v in villagers for r in revokes)


def test_a_wan_preset_spreads_too() -> None:
    """The WAN preset spreads a revocation over links of 100 ms in about a second."""
    town = Town(16, link=Link(0.1, 0.02), config=Config.for_wan(12))
    villagers = town.grown(12)
    revoke = town.mesh.revoke("user", "bob")
    villagers[1].publish(revoke)
    took = town.until(lambda: town.holders(revoke.id) == 12, limit=10.0)
    assert took is not None
    assert took <= 1.5


def test_malformed_pushes_are_counted() -> None:
    """Bytes that are no envelope are dropped with a counter."""
    town = Town(17)
    founder, other = town.grown(2)
    other.say(founder, m.Push((b"nonsense", town.mesh.roots[0])))
    town.run(0.1)
    assert founder.count("objects_malformed") == 1
    assert ObjectType.ROOT in {kind for kind, _, _ in founder.trust.objects()}
