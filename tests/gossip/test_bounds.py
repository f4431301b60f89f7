"""Bounds: one test for each limit that a valid member, or our own driver, can reach."""

import pytest

from crypto.objects import Endpoint, Epoch, RevokeKind
from gossip import limits, probe
from gossip import messages as m
from gossip.broadcast import Urgency
from gossip.buckets import Buckets
from gossip.events import MemberState
from gossip.members import Held
from tests.gossip.meshes import Town, Villager


def two(seed: int = 1) -> tuple[Town, Villager, Villager]:
    """Return a town of a founder and one more."""
    town = Town(seed)
    founder, other = town.grown(2)
    return town, founder, other


def fake_ids(count: int, label: int = 0) -> list[bytes]:
    """Return ids that nobody holds."""
    return [(label * 100_000 + number).to_bytes(16, "big") for number in range(count)]


def test_limit_waiting_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans beyond the limit push out the oldest, with a counter."""
    monkeypatch.setattr(limits, "WAITING_ROOM_MAX", 5)
    town, founder, other = two()
    orphans = [
        town.mesh.member(town.mesh.device(f"orphan{number}"), epoch=Epoch(1, 1))
        for number in range(8)
    ]
    for orphan in orphans:
        other.push(founder, orphan)
    town.run(0.1)
    assert founder.machine.stats()["waiting"] == 5
    assert founder.count("waiting_room_dropped") == 3


def test_limit_refused_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of refused objects is bounded, and each entry ends."""
    monkeypatch.setattr(limits, "REFUSED_IDS_MAX", 3)
    town, founder, other = two()
    wrong = [town.mesh.revoke("user", f"u{n}", seeds=[b"x" * 32]) for n in range(5)]
    other.push(founder, *wrong)
    town.run(0.1)
    intake = founder.machine._core.intake
    assert len(intake._refused) == 3
    now = town.world.now
    assert intake.is_refused(now, wrong[-1].id[:16])
    assert not intake.is_refused(now, wrong[0].id[:16])
    assert not intake.is_refused(now + 61.0, wrong[-1].id[:16])


def test_limit_seen_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of raw digests is bounded."""
    monkeypatch.setattr("gossip.intake.SEEN_MAX", 4)
    town, founder, other = two()
    other.push(founder, *[town.mesh.revoke("user", f"u{n}") for n in range(4)])
    other.push(founder, *[town.mesh.revoke("user", f"v{n}") for n in range(4)])
    town.run(0.1)
    assert len(founder.machine._core.intake._seen) <= 4


def test_limit_checks_per_second() -> None:
    """Unknown objects of one peer beyond its budget are not looked into."""
    town, founder, other = two()
    founder.machine._core.intake._checks = Buckets(rate=0.0, burst=2.0)
    other.push(founder, *[town.mesh.revoke("user", f"u{n}") for n in range(3)])
    town.run(0.002)
    assert founder.count("objects_rate_limited") == 1


def test_limit_queue_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of broadcasts that is full drops the most often sent, with a counter."""
    monkeypatch.setattr(limits, "QUEUE_ITEMS_MAX", 3)
    town = Town(2)
    founder = town.approved("founder")
    queue = founder.machine._core.broadcast
    for number in range(5):
        identity = number.to_bytes(32, "big")
        queue.add(identity, b"raw", Urgency.REST, None)
        if number == 1:
            queue._queues[Urgency.REST][identity].sends = 9
    assert len(queue._queues[Urgency.REST]) == 3
    assert (1).to_bytes(32, "big") not in queue._queues[Urgency.REST]
    assert founder.count("queue_dropped_rest") == 2


def test_limit_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full member table takes no further member, but news of those in it."""
    town = Town(3)
    founder, first = town.grown(2)
    monkeypatch.setattr(limits, "MEMBERS_MAX", 2)
    device = town.mesh.device("third")
    founder.publish(device)
    first.push(founder, town.mesh.member(device))
    town.run(0.1)
    assert founder.count("members_over_limit") >= 1
    assert device.device_id not in {e.device_id for e in founder.machine._core.members}
    first.do(lambda machine, now: machine.set_endpoints(now, [("10.0.8.8", 1)]))
    town.run(1.0)
    record = founder.machine.members()[first.id].record
    assert record is not None
    assert ("10.0.8.8", 1) in [endpoint.address for endpoint in record.endpoints]


def test_limit_accusations_per_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more accusations of one subject are kept than the limit."""
    monkeypatch.setattr(limits, "ACCUSATIONS_PER_SUBJECT_MAX", 2)
    town = Town(4)
    villagers = town.grown(6)
    judge, victim = villagers[0], villagers[-1]
    entry = judge.machine._core.members.get(victim.id)
    assert entry is not None
    assert entry.epoch is not None
    victim.crash()
    for accuser in villagers[1:5]:
        item = town.mesh.accusation(accuser.device, victim.device, epoch=entry.epoch)
        accuser.push(judge, item)
    town.run(0.01)
    assert len(entry.accusations) == 2
    assert judge.count("accusations_over_limit") >= 1


def test_limit_accusations_per_accuser(monkeypatch: pytest.MonkeyPatch) -> None:
    """An accuser that has spent its burst is heard once a second."""
    town = Town(5)
    villagers = town.grown(5)
    judge, liar, victim = villagers[0], villagers[1], villagers[-1]
    suspicion = judge.machine._core.suspicion
    assert suspicion._origins.take(town.world.now, liar.id, limits.ACCUSATION_BURST)
    entry = judge.machine._core.members.get(victim.id)
    assert entry is not None
    assert entry.epoch is not None
    item = town.mesh.accusation(liar.device, victim.device, epoch=entry.epoch)
    liar.push(judge, item)
    town.run(0.01)
    assert judge.count("accusations_rate_limited") == 1
    assert judge.state(victim) is MemberState.ALIVE


def test_limit_observers_and_hints() -> None:
    """In a larger mesh only ten observers count; others' accusations are three hints at most."""
    town = Town(6)
    villagers = town.grown(14)
    judge, victim = villagers[0], villagers[-1]
    members = judge.machine._core.members
    observers = members.observers(victim.id)
    assert len(observers) == town.config.observers
    strangers = [v for v in villagers[1:-1] if v.id not in observers]
    entry = members.get(victim.id)
    assert entry is not None
    assert entry.epoch is not None
    suspicion = judge.machine._core.suspicion
    for accuser in (v.device for v in strangers):
        item = town.mesh.accusation(accuser, victim.device, epoch=entry.epoch)
        assert suspicion.is_news(item.body) == (len(entry.accusations) < 3)
        judge.machine._core.members.accuse(0.0, entry, accuser.body.device_id, Held(item.id, b""))
    assert len(strangers) >= 2
    assert suspicion._judges(entry) == set()
    assert judge.state(victim) is MemberState.SUSPECT


def test_limit_ids_wanted_and_offered() -> None:
    """Of endless offers only so many are kept, and only a window of them is asked for."""
    town, founder, other = two(7)
    for label in range(30):
        ids = fake_ids(limits.IDS_PER_MESSAGE_MAX, label)
        other.say(founder, m.Have(tuple(ids)))
    town.run(0.002)
    peering = founder.machine._core.reconciler._peers[other.id]
    assert len(peering.asked) == limits.WANTED_IDS_MAX
    assert len(peering.offered) <= limits.OFFERED_IDS_MAX
    assert founder.count("offers_over_limit") >= 1
    # None of them exists: each is asked for three times and forgotten.
    town.run(60.0)
    assert not peering.asked
    assert not peering.offered
    assert not founder.machine._core.reconciler._asked


def test_limit_sync_answers() -> None:
    """One sync message is answered with at most eight datagrams, the rest in later rounds."""
    town, founder, other = two(8)
    for number in range(limits.SYNC_DATAGRAMS_MAX * limits.IDS_PER_MESSAGE_MAX + 100):
        founder.machine._core.intake.ids.add((number << 200).to_bytes(32, "big"))
    before = founder.host.sent
    other.say(founder, m.Sync(bytes(16), (m.RangeIds("", ()),)))
    town.run(0.003)
    assert founder.count("sync_answers_cut") == 1
    assert founder.host.sent - before <= limits.SYNC_DATAGRAMS_MAX + 2


def test_limit_listing() -> None:
    """Sixteen requests for everything in one message list it once."""
    _, founder, other = two(9)
    for number in range(600):
        founder.machine._core.intake.ids.add((number << 200).to_bytes(32, "big"))
    have: list[bytes] = []
    reconciler = founder.machine._core.reconciler
    for _ in range(16):
        reconciler._compare_print(m.RangePrint("", bytes(16), 0), [], have)
    assert len(have) == len(founder.machine._core.intake.ids)
    assert other.state(founder) is MemberState.ALIVE


def test_limit_syncs_per_second() -> None:
    """Sync messages beyond the budget are not answered."""
    town, founder, other = two(10)
    for _ in range(int(limits.SYNC_BURST) + 10):
        other.say(founder, m.Sync(bytes(16), ()))
    town.run(0.002)
    assert founder.count("sync_rate_limited") == 10


def test_limit_served_bytes() -> None:
    """What one peer asks for beyond its budget is not sent."""
    town, founder, other = two(11)
    part = bytes(limits.CHUNK_BYTES * 64)
    founder.publish(town.mesh.head(1, parts={"policy": part}))
    founder.do(lambda machine, now: machine.publish_part(now, part))
    town.run(5.0)
    assert founder.trust.ready() is not None
    before = founder.count("bytes_sent")
    digest = founder.trust.candidate.parts["policy"].hash  # type: ignore[union-attr]
    for _ in range(100):
        other.say(founder, m.ChunkRequest(digest, tuple(range(16))))
    raw = next(iter(founder.machine._core.intake.ids))
    for _ in range(10):
        other.say(founder, m.Want((raw[:16],)))
    town.run(0.002)
    sent = founder.count("bytes_sent") - before
    assert sent <= limits.SERVED_BURST_BYTES * 1.2
    assert founder.count("served_over_limit") >= 10


def test_limit_chunks_in_flight() -> None:
    """From one holder no more than a window of chunks is under way."""
    town, founder, other = two(12)
    part = bytes(limits.CHUNK_BYTES * 200)
    other.publish(town.mesh.head(1, parts={"policy": part}))
    most = 0
    other.do(lambda machine, now: machine.publish_part(now, part))
    for _ in range(2_000):
        town.run(0.0005)
        for pull in founder.machine._core.bulk._pulls.values():
            for holder in pull.holders.values():
                most = max(most, len(holder.asked))
    assert most == limits.CHUNKS_IN_FLIGHT_MAX
    assert founder.trust.ready() is not None


def test_limit_pulls() -> None:
    """Offers beyond the number of transfers at one time are not taken up."""
    town, founder, other = two(13)
    offers = [m.Offer(bytes([n]) * 32, 5_000) for n in range(1, limits.PULLS_PER_PEER_MAX + 4)]
    other.say(founder, *offers)
    town.run(0.002)
    assert founder.machine.stats()["pulls"] == limits.PULLS_PER_PEER_MAX
    assert founder.count("pulls_over_limit") == 3


def test_limit_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more probes run at one time than the limit, whoever is accused."""
    monkeypatch.setattr(limits, "PROBES_MAX", 1)
    town = Town(14)
    villagers = town.grown(4)
    prober = villagers[0].machine._core.prober
    now = town.world.now
    for target in villagers[1:]:
        prober.probe(now, target.id)
    assert len(prober._probes) == 1
    assert villagers[0].count("probes_over_limit") >= 2


def test_limit_relayed_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ping requests beyond the limit are declined at once."""
    monkeypatch.setattr(limits, "RELAYED_PROBES_MAX", 2)
    town = Town(15)
    helper, asker, target = town.grown(3)
    target.crash()
    for seq in range(5):
        asker.say(helper, m.PingRequest(seq, target.id, 60_000))
    town.run(0.01)
    assert len(helper.machine._core.prober._relayed) == 2


def test_limit_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings on their way are bounded; the oldest is forgotten, and old ones end by themselves."""
    monkeypatch.setattr(probe, "PINGS_MAX", 3)
    town, founder, other = two(16)
    prober = founder.machine._core.prober
    for _ in range(5):
        prober.challenge(town.world.now, other.id, ("10.9.9.9", 9))
    assert len(prober._pings) == 3
    town.run(15.0)
    assert all(ping.address != ("10.9.9.9", 9) for ping in prober._pings.values())


def test_limit_pending_hellos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hellos waiting for a reply are bounded."""
    monkeypatch.setattr(limits, "PENDING_HELLOS_MAX", 4)
    town, founder, other = two(17)
    admission = founder.machine._core.admission
    for _ in range(10):
        admission.make_hello(town.world.now, other.id)
    assert len(admission._sent) == 4


def test_limit_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of where we sent to is bounded."""
    monkeypatch.setattr(limits, "CONTACTED_MAX", 3)
    town, founder, _ = two(18)
    for number in range(9):
        founder.machine._core.send(town.world.now, (f"198.51.100.{number}", 9), b"x")
    assert len(founder.machine._core.paths.contacted) == 3


def test_limit_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses members see us at, few are kept and fewer are published."""
    monkeypatch.setattr(limits, "OBSERVATIONS_MAX", 6)
    town, founder, other = two(19)
    record = founder.machine._core.record
    for number in range(20):
        record.observed(town.world.now + number, other.id, (f"198.51.100.{number}", 9))
    assert len(record._observed) == 6
    founder.host.arm()
    town.run(2.0)
    shown = other.machine.members()[founder.id].record
    assert shown is not None
    assert len(shown.endpoints) <= 1 + limits.REFLEXIVE_ENDPOINTS_MAX


def test_limit_endpoints() -> None:
    """A host with very many addresses publishes eight, some of them the seen ones."""
    town, founder, other = two(20)
    many = [(f"10.1.0.{number}", 9) for number in range(1, 30)]
    founder.do(lambda machine, now: machine.set_endpoints(now, many))
    town.run(3.0)
    record = other.machine.members()[founder.id].record
    assert record is not None
    assert len(record.endpoints) == limits.ENDPOINTS_MAX
    assert Endpoint(*founder.address) in record.endpoints


def test_limit_punches_carried() -> None:
    """A member that asks for endless punches is carried only so many."""
    town = Town(21)
    helper, asker, target = town.grown(3)
    hello = asker.machine._core.admission.make_hello(town.world.now, target.id)
    assert hello is not None
    before = helper.host.sent
    for _ in range(100):
        asker.say(helper, m.Punch(target.id, hello))
    town.run(0.0015)
    assert helper.count("punch_rate_limited") == 100 - 64
    assert helper.host.sent - before <= 64 + 3


def test_limit_refused_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of who was told no is bounded."""
    monkeypatch.setattr(limits, "REFUSED_DEVICES_MAX", 2)
    town = Town(22)
    villagers = town.grown(5)
    for victim in villagers[1:]:
        victim.crash()
        villagers[0].publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    for victim in villagers[1:]:
        victim.host.boot()
    town.run(3.0)
    assert len(villagers[0].machine._core.admission._refused_ms) == 2


def test_pushed_objects_of_one_datagram_are_few() -> None:
    """Even tiny objects do not make a datagram with more pushes than the limit."""
    town = Town(23)
    founder, other = town.grown(2)
    queue = founder.machine._core.broadcast
    for number in range(60):
        queue.add(number.to_bytes(32, "big"), b"r", Urgency.REST, None)
    taken = queue.take(other.id, 1_100)
    assert len(taken) == 1
    assert sum(item.sends for item in queue._queues[Urgency.REST].values()) == limits.PUSHED_MAX
