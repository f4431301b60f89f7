"""The parts of the machine, one by one: corners that whole towns do not reach."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.objects import Epoch, RevokeKind
from gossip import messages as m
from gossip import roster
from gossip.anchors import ranked
from gossip.broadcast import FLUSH, Urgency
from gossip.config import Config
from gossip.events import Alarm, JoinAccepted, MemberState, PathChanged
from gossip.idset import IdSet
from gossip.members import Change
from gossip.path import Path
from simnet.links import Link
from simnet.natbox import NatBox
from tests.gossip.meshes import Town, Villager

IDENTITIES = st.binary(min_size=32, max_size=32)


# The set of ids.


@given(st.lists(IDENTITIES, max_size=30), st.lists(IDENTITIES, max_size=10))
def test_the_fingerprint_is_of_the_set_and_not_of_its_history(
    kept: list[bytes], gone: list[bytes]
) -> None:
    """Equal sets have equal fingerprints at every prefix, whatever came and went in between."""
    first, second = IdSet(), IdSet()
    for identity in gone + kept:
        first.add(identity)
    for identity in gone:
        if identity not in kept:
            first.discard(identity)
            first.discard(identity)
    for identity in reversed(kept):
        second.add(identity)
    assert first.fingerprint() == second.fingerprint()
    assert len(first) == len(set(kept))
    for prefix in ("", "a", "ab", "abc"):
        assert first.summary(prefix) == second.summary(prefix)
        ids = first.below(prefix)
        assert sorted(ids) == sorted(i for i in set(kept) if i.hex().startswith(prefix))
        assert first.summary(prefix)[1] == len(ids)


@given(st.sets(IDENTITIES, max_size=20), IDENTITIES)
def test_one_id_more_changes_the_fingerprint(ids: set[bytes], more: bytes) -> None:
    """A difference of one shows, at the top and at every prefix of the id."""
    without, with_ = IdSet(), IdSet()
    for identity in ids - {more}:
        without.add(identity)
        with_.add(identity)
    with_.add(more)
    for digits in (0, 1, 2, 3, 8):
        prefix = more.hex()[:digits]
        assert without.summary(prefix) != with_.summary(prefix)
    assert without.fingerprint() != with_.fingerprint()


def test_prefixes_of_two_and_three_digits_agree() -> None:
    """A range is the union of the sixteen below it, whatever its depth."""
    ids = IdSet()
    for number in range(500):
        ids.add((number * 2**247).to_bytes(32, "big"))
    for prefix in ("", "0", "00", "001"):
        parts = [prefix + digit for digit in "0123456789abcdef"]
        assert ids.summary(prefix)[1] == sum(ids.summary(part)[1] for part in parts)
        assert sorted(ids.below(prefix)) == sorted(i for part in parts for i in ids.below(part))


def test_short_ids_find_full_ones() -> None:
    """An id is found by its first 16 bytes; a twin with the same short form does not get in."""
    ids = IdSet()
    one, twin = bytes(32), bytes(16) + b"x" * 16
    ids.add(one)
    ids.add(twin)
    assert ids.full(bytes(16)) == one
    assert twin not in ids
    assert ids.missing([bytes(16), b"y" * 16]) == [b"y" * 16]
    ids.discard(twin)
    assert list(ids) == [one]


def test_parents_are_listed_before_children() -> None:
    """Ids of lower rank come first."""
    ids = IdSet()
    ids.add(b"\x01" * 32, rank=2)
    ids.add(b"\x02" * 32, rank=0)
    assert ids.below("") == [b"\x02" * 32, b"\x01" * 32]


# The member table.


def test_check_finds_broken_invariants() -> None:
    """The table's self-check notices states that no change leads to."""
    town = Town(1)
    founder, other = town.grown(2)
    members = founder.machine._core.members
    members.check()
    entry = members.get(other.id)
    assert entry is not None
    assert entry.statement is not None
    assert len(members) == 2
    entry.accusations[founder.id] = entry.statement
    with pytest.raises(AssertionError, match="accused"):
        members.check()
    entry.accusations.clear()
    members.suspects.add(other.id)
    with pytest.raises(AssertionError, match="suspects"):
        members.check()
    members.suspects.clear()
    entry.state = MemberState.UNKNOWN
    with pytest.raises(AssertionError, match="unknown"):
        members.check()


def test_a_change_that_changes_nothing_is_no_event() -> None:
    """Condemning the dead again is silent."""
    town = Town(2)
    founder, other = town.grown(2)
    members = founder.machine._core.members
    entry = members.get(other.id)
    assert entry is not None
    members.change(5.0, entry, Change.CONDEMNED)
    before = len(founder.host.events)
    members.change(6.0, entry, Change.CONDEMNED)
    assert len(founder.host.events) == before
    assert entry.since == 5.0
    assert members.statement(bytes(32)) is None
    assert members.forget(bytes(32)) is None


# Anchors and helpers.


@given(st.binary(max_size=4), st.sets(st.binary(min_size=1, max_size=4), max_size=8))
def test_everybody_ranks_alike(subject: bytes, ids: set[bytes]) -> None:
    """The order of anchors depends on the ids only, and loses nobody."""
    assert ranked(subject, ids) == ranked(subject, sorted(ids, reverse=True))
    assert set(ranked(subject, ids)) == ids


def test_a_leaf_in_a_large_core_keeps_its_anchors_and_is_asked_for_there() -> None:
    """A member behind a NAT holds paths to its three anchors, and others know which they are."""
    town = Town(3, link=Link(0.005))
    villagers = town.grown(10)
    leaf = town.invited("leaf", villagers[0], nat=NatBox("203.0.113.1"))
    assert town.until(town.is_settled, limit=10.0) is not None
    town.run(100.0)
    names = villagers[4].machine._core.anchors.of(leaf.id)
    assert len(names) == 3
    assert leaf.machine._core.anchors.mine() == names
    assert all(leaf.machine._core.paths.is_proven(name) for name in names)
    for villager in villagers:
        if villager.id in names:
            assert villager.path(leaf) is not None
    helpers = villagers[4].machine._core.anchors.helpers(leaf.id, 3)
    assert set(helpers) & set(names)
    assert villagers[4].machine._core.anchors.of(villagers[5].id) == []


def test_a_dead_leaf_is_noticed_though_few_had_a_path() -> None:
    """Members that never reached a leaf accuse it too once somebody does, and agree."""
    town = Town(4, link=Link(0.005))
    villagers = town.grown(8)
    leaf = town.invited("leaf", villagers[0], nat=NatBox("203.0.113.1"))
    assert town.until(town.is_settled, limit=10.0) is not None
    town.run(60.0)
    leaf.crash()
    took = town.until(lambda: town.all_see(MemberState.DEAD, leaf), limit=60.0)
    assert took is not None
    assert took < 30.0


def test_one_liar_does_not_kill_a_leaf() -> None:
    """A liar's accusations of a member behind a NAT are refuted as those of any other are."""
    town = Town(5, link=Link(0.005))
    villagers = town.grown(8)
    leaf = town.invited("leaf", villagers[0], nat=NatBox("203.0.113.1"))
    assert town.until(town.is_settled, limit=10.0) is not None
    town.run(60.0)
    liar = villagers[3]
    for _ in range(40):
        entry = liar.machine._core.members.get(leaf.id)
        assert entry is not None
        assert entry.epoch is not None
        accusation = town.mesh.accusation(liar.device, leaf.device, epoch=entry.epoch)
        for other in villagers:
            if other is not liar:
                liar.push(other, accusation)
        town.run(0.7)
    for villager in villagers:
        assert villager.state(leaf) is not MemberState.DEAD
    assert leaf.count("refutations") > 0


# Paths.


def test_a_lost_challenge_is_sent_again() -> None:
    """An address that did not answer the first question is asked again, four times in all."""
    town = Town(6)
    founder, other = town.grown(2)
    core = founder.machine._core
    core.paths.forget(other.id)
    elsewhere = ("198.51.100.5", 5)
    seen: list[float] = []
    founder.host.on_send = lambda now, target: seen.append(now) if target == elsewhere else None
    core.paths.heard(town.world.now, other.id, elsewhere)
    core.paths.question(town.world.now, other.id, elsewhere)
    founder.host.arm()
    other.crash()
    town.run(5.0)
    assert len(seen) == 4
    gaps = [b - a for a, b in pairwise(seen)]
    assert gaps == sorted(gaps)


def test_round_trips_are_smoothed() -> None:
    """The first sample counts fully, later ones one eighth (RFC 6298)."""
    path = Path()
    path.measured(0.8)
    path.measured(0.0)
    assert path.round_trip == pytest.approx(0.7)


def test_a_path_that_goes_is_told_once() -> None:
    """Forgetting a member with a path tells the driver; one without a path is silent."""
    town = Town(7)
    founder, other = town.grown(2)
    for _ in range(2):
        founder.machine._core.paths.forget(other.id)
    events = founder.events(PathChanged)
    assert [event.address for event in events] == [other.address, None]


# Session keys.


def test_keys_rotate_and_nobody_notices() -> None:
    """After a while every member speaks with a new key, and no probe has failed over it."""
    config = Config(rotate_seconds=200.0, rotate_overlap_seconds=60.0, rotate_settle_seconds=10.0)
    town = Town(8, config=config)
    villagers = town.grown(3)
    keys = {v.id: v.machine._core.sessions.public for v in villagers}
    town.run(300.0)
    for villager in villagers:
        assert villager.machine._core.sessions.public != keys[villager.id]
        assert villager.count("probes_failed") == 0
        for other in villagers:
            if other is not villager:
                record = villager.machine.members()[other.id].record
                assert record is not None
                assert record.gossip_key == other.machine._core.sessions.public


# The roster.


def test_a_revoked_guest_is_no_longer_spoken_to() -> None:
    """A member to join through that turns out to be revoked is dropped."""
    town = Town(9)
    founder = town.approved("founder")
    revoked = town.approved("revoked")
    newcomer = town.approved("newcomer", seeds=[revoked.seed])
    assert revoked.id in newcomer.machine._core.guests
    newcomer.publish(town.mesh.revoke(RevokeKind.DEVICE, revoked.id))
    assert revoked.id not in newcomer.machine._core.guests
    assert not newcomer.machine._core.may_talk(revoked.id)
    assert founder.machine.members() == {}


def test_an_expiring_device_falls_out_by_itself() -> None:
    """A device whose validity ends is dropped within a second, by the clock alone."""
    town = Town(10)
    founder = town.approved("founder")
    device = town.mesh.device("guest", not_after=town.mesh.now + 160)
    guest = town._add(device, [device.raw], [founder.seed], None)
    town.run(2.0)
    assert founder.state(guest) is MemberState.ALIVE
    left = town.mesh.now + 160 - town.world.wall
    town.run(left + 1.0)
    assert guest.id not in founder.machine.members()
    assert founder.path(guest) is None
    codes = [alarm.code for alarm in guest.events(Alarm)]
    assert "removed" in codes


def test_many_changes_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a large mesh a flood of devices costs one look each 0.2 s, a revocation one at once."""
    monkeypatch.setattr(roster, "SMALL", 0)
    town = Town(11)
    founder = town.approved("founder")
    town.run(1.0)
    devices = [town.mesh.device(f"d{number}") for number in range(5)]
    founder.publish(*devices)
    assert len(founder.machine.members()) == 1
    town.run(0.3)
    assert len(founder.machine.members()) == 5
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, devices[0].device_id))
    assert len(founder.machine.members()) == 4


# The queue.


def test_each_class_gets_a_place() -> None:
    """When not everything fits, the first of every class goes before the second of any."""
    town = Town(12)
    founder, other = town.grown(2)
    queue = founder.machine._core.broadcast
    for urgency in Urgency:
        for number in range(6):
            identity = bytes([urgency, number]) * 16
            queue.add(identity, identity * 5, urgency, None)

    def taken() -> list[tuple[int, int]]:
        (encoded,) = queue.take(other.id, 160 * 6 + 40)
        pairs = [(urgency, number) for urgency in Urgency for number in range(6)]
        return [pair for pair in pairs if bytes(pair) * 80 in encoded]

    assert taken() == [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0)]
    # What one peer has is not sent to it again.
    assert taken() == [(0, 2), (0, 3), (1, 1), (2, 1), (3, 1), (4, 1)]


def test_news_without_anybody_waits_and_goes_to_the_first() -> None:
    """What is published alone goes to the first who comes, and no timer runs till then."""
    town = Town(13)
    founder = town.approved("founder")
    revoke = town.mesh.revoke("user", "bob")
    founder.publish(revoke)
    assert founder.machine._core.timers.at(FLUSH) is None
    guest = town.invited("guest", founder)
    assert town.until(lambda: guest.trust.raw(revoke.id) is not None, limit=2.0) is not None


# The probe.


def test_acks_of_others_prove_nothing() -> None:
    """An ack with a right number from a wrong member is dropped."""
    town = Town(14)
    founder, other, third = town.grown(3)
    prober = founder.machine._core.prober
    address = founder.path(other)
    assert address is not None
    prober.challenge(town.world.now, other.id, address)
    seq = next(reversed(prober._pings))
    trip = founder.machine.members()[other.id].rtt_seconds
    prober.on_ack(town.world.now, third.id, m.Ack(seq, Epoch(1, 1), bytes(16), address))
    assert founder.machine.members()[other.id].rtt_seconds == trip


def test_a_helper_that_was_not_asked_is_not_believed() -> None:
    """A relayed ack or nack from somebody else does not count for a probe."""
    town = Town(15)
    villagers = town.grown(4)
    prober = villagers[0].machine._core.prober
    target = villagers[1]
    prober.probe(town.world.now, target.id)
    seq = next(reversed(prober._probes))
    prober.on_relayed_ack(town.world.now, villagers[2].id, m.RelayedAck(seq))
    prober.on_nack(villagers[2].id, m.Nack(seq, tried=True))
    assert seq in prober._probes
    assert not prober._probes[seq].tried


def test_a_device_dropped_while_probed_is_forgotten() -> None:
    """A probe of a member that is revoked meanwhile ends without an accusation."""
    town = Town(16)
    villagers = town.grown(4)
    target = villagers[-1]
    target.crash()
    villagers[0].machine._core.prober.probe(town.world.now, target.id)
    villagers[0].host.arm()
    villagers[0].publish(town.mesh.revoke(RevokeKind.DEVICE, target.id))
    town.run(3.0)
    assert villagers[0].count("accusations_made") == 0


def accepted(villager: Villager) -> int:
    """Return how many times a villager was told that it is accepted."""
    return len(villager.events(JoinAccepted))


def test_a_second_sponsor_is_no_second_acceptance_of_a_stranger() -> None:
    """A sponsorship of one device does not tell another that it is accepted."""
    town = Town(17)
    founder, first = town.grown(2)
    before = accepted(first)
    second = town.invited("second", founder)
    assert town.until(town.is_settled, limit=5.0) is not None
    assert accepted(first) == before
    assert accepted(second) == 1


def test_stats_and_views_name_everything() -> None:
    """The views show every other device in force, the counters what is held."""
    town = Town(18)
    founder, other = town.grown(2)
    stranger = town.mesh.device("silent")
    founder.publish(stranger)
    views = founder.machine.members()
    assert set(views) == {other.id, stranger.device_id}
    silent = views[stranger.device_id]
    assert (silent.state, silent.path, silent.rtt_seconds, silent.record) == (
        MemberState.UNKNOWN,
        None,
        None,
        None,
    )
    stats = founder.machine.stats()
    assert stats["members"] == 2
    assert stats["objects"] == len(founder.machine._core.intake.ids)
