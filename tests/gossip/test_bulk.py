"""Bulk: parts of a bundle arrive whole, from whoever holds them, at the receiver's pace."""

from hashlib import sha256

from gossip import limits
from gossip import messages as m
from gossip.events import Alarm, BundleReady, PartAdmitted
from simnet.links import Link
from tests.gossip.meshes import Town, Villager

POLICY = bytes(range(256)) * 800


def release(town: Town, author: Villager, *, version: int = 1, policy: bytes = POLICY) -> bytes:
    """Publish a bundle at one member; return the head's id."""
    parts = town.mesh.parts(policy)
    head = town.mesh.head(version, parts=parts)
    author.publish(head)
    for data in parts.values():
        author.do(lambda machine, now, data=data: machine.publish_part(now, data))  # type: ignore[misc]
    return head.id


def is_ready(villagers: list[Villager], head_id: bytes) -> bool:
    """Say whether all of them hold the whole bundle."""
    return all(BundleReady(head_id) in villager.events(BundleReady) for villager in villagers)


def test_two_hundred_kilobytes_reach_sixteen_members() -> None:
    """A bundle of 200 kB is whole at all of 16 members within two seconds on a LAN."""
    town = Town(1)
    villagers = town.grown(16)
    head_id = release(town, villagers[3])
    took = town.until(lambda: is_ready(villagers, head_id), limit=10.0)
    assert took is not None
    assert took <= 2.0
    for villager in villagers:
        assert villager.events(BundleReady) == [BundleReady(head_id)]
        assert villager.trust.ready() is not None
        hashes = {event.hash for event in villager.events(PartAdmitted)}
        assert sha256(POLICY).digest() in hashes
        assert villager.machine.stats()["pulls"] == 0


def test_several_holders_serve() -> None:
    """A latecomer pulls from more than one of those that hold the part."""
    town = Town(2, link=Link(0.02))
    villagers = town.grown(5)
    head_id = release(town, villagers[0])
    assert town.until(lambda: is_ready(villagers, head_id), limit=10.0) is not None
    before = [v.count("bytes_sent") for v in villagers]
    late = town.invited("late", villagers[0])
    assert town.until(lambda: is_ready([late], head_id), limit=20.0) is not None
    served = [v.count("bytes_sent") - b > 20_000 for v, b in zip(villagers, before, strict=True)]
    assert sum(served) >= 2


def test_loss_costs_time_only() -> None:
    """With a tenth of all datagrams lost the bundle still arrives whole."""
    town = Town(3, link=Link(0.005, 0.002, 0.1))
    founder = town.approved("founder")
    other = town.invited("other", founder)
    assert town.until(town.is_settled, limit=30.0) is not None
    head_id = release(town, founder, policy=bytes(60_000))
    assert town.until(lambda: is_ready([other], head_id), limit=60.0) is not None


def test_a_transfer_goes_on_after_the_holder_died() -> None:
    """When the only holder stops in the middle and comes back, only the rest is pulled."""
    town = Town(4, link=Link(0.02))
    founder, other = town.grown(2)
    head_id = release(town, founder)
    town.run(0.25)
    pulls = other.machine._core.bulk._pulls
    pull = next(pull for pull in pulls.values() if pull.length == len(POLICY))
    got = len(pull.chunks)
    assert 0 < got < pull.count
    founder.crash()
    town.run(5.0)
    assert len(pull.chunks) >= got
    founder.host.boot()
    served = founder.count("bytes_sent")
    assert town.until(lambda: is_ready([other], head_id), limit=30.0) is not None
    assert founder.count("bytes_sent") - served < len(POLICY)


def test_holders_without_the_part_say_so() -> None:
    """Members that lack a part are asked, say no, and are asked again later."""
    town = Town(5)
    villagers = town.grown(5)
    parts = town.mesh.parts(b"p" * 5_000)
    head = town.mesh.head(1, parts=parts)
    villagers[0].publish(head)
    town.run(5.0)
    assert not is_ready(villagers[:1], head.id)
    assert all(len(v.machine._core.bulk) == 2 for v in villagers)
    for data in parts.values():
        villagers[4].do(lambda machine, now, data=data: machine.publish_part(now, data))  # type: ignore[misc]
    assert town.until(lambda: is_ready(villagers, head.id), limit=10.0) is not None


def test_a_part_nobody_names_is_not_kept() -> None:
    """Publishing bytes that no head names does nothing, and says so."""
    town = Town(6)
    founder = town.approved("founder")
    assert not founder.machine.publish_part(town.world.now, b"stray")
    assert not founder.events(PartAdmitted)


def test_a_newer_head_ends_the_transfer_of_the_older() -> None:
    """Parts that only a superseded candidate names are not pulled on."""
    town = Town(7, link=Link(0.02))
    founder, other = town.grown(2)
    release(town, founder, version=1)
    town.run(0.2)
    second = release(town, founder, version=2, policy=b"q" * 3_000)
    assert town.until(lambda: is_ready([other], second), limit=10.0) is not None
    town.run(1.0)
    assert other.machine.stats()["pulls"] == 0
    assert other.events(BundleReady) == [BundleReady(second)]


def test_adopted_everywhere_the_sets_are_equal_again() -> None:
    """After adoption, at different times, everybody holds the same and says it no more."""
    town = Town(8)
    villagers = town.grown(4)
    for version in (1, 2):
        head_id = release(town, villagers[version], version=version, policy=b"p" * version)
        assert town.until(lambda h=head_id: is_ready(villagers, h), limit=10.0) is not None  # type: ignore[misc]
        for villager in villagers:
            villager.trust.adopt(head_id)
            villager.do(lambda machine, now: machine.trust_changed(now))
            town.run(0.7)
    assert town.until(town.is_settled, limit=30.0) is not None


def poison(villager: Villager) -> None:
    """Have a member serve zeros for whatever it is asked."""
    core = villager.machine._core

    def serve(now: float, peer: bytes, request: m.ChunkRequest) -> None:
        for index in request.indices:
            size = min(limits.CHUNK_BYTES, len(POLICY) - index * limits.CHUNK_BYTES)
            chunk = m.Chunk(request.id, index, len(POLICY), bytes(max(1, size)))
            core.transport.send(now, peer, chunk)

    villager.machine._handlers[m.ChunkRequest] = lambda now, peer, _, msg: serve(now, peer, msg)  # type: ignore[arg-type]


def test_t46_a_poisoner_delays_and_no_more() -> None:
    """One of four holders serves rubbish: the whole is wrong once, then pulled from one alone."""
    town = Town(9)
    villagers = town.grown(5)
    head_id = release(town, villagers[0])
    assert town.until(lambda: is_ready(villagers, head_id), limit=10.0) is not None
    poison(villagers[2])
    late = town.invited("late", villagers[0])
    assert town.until(lambda: is_ready([late], head_id), limit=30.0) is not None
    assert late.count("parts_wrong") <= 2


def test_t46_a_lone_poisoner_is_found_out() -> None:
    """A holder that alone delivers rubbish is not asked again; an honest one is, when it comes."""
    town = Town(10)
    founder, other = town.grown(2)
    poison(founder)
    head_id = release(town, founder)
    town.run(10.0)
    assert other.count("parts_wrong") == 2
    sent = founder.count("bytes_sent")
    town.run(10.0)
    assert founder.count("bytes_sent") - sent < 10_000
    assert not is_ready([other], head_id)


def test_wrong_lengths_end_a_holders_part() -> None:
    """A chunk of another length or for another whole is dropped, and its sender left out."""
    town = Town(11)
    founder, other = town.grown(2)
    core = founder.machine._core

    def serve(now: float, peer: bytes, request: m.ChunkRequest) -> None:
        core.transport.send(now, peer, m.Chunk(request.id, request.indices[0], 7, b"1234567"))

    founder.machine._handlers[m.ChunkRequest] = lambda now, peer, _, msg: serve(now, peer, msg)  # type: ignore[arg-type]
    release(town, founder)
    town.run(5.0)
    assert other.count("chunks_wrong") >= 1
    assert (
        other.machine._core.bulk._able(
            town.world.now, next(iter(other.machine._core.bulk._pulls.values()))
        )
        == []
    )


def test_offers_of_what_is_here_are_ignored() -> None:
    """An offer of a known, a refused or an empty object starts no transfer."""
    town = Town(12)
    founder, other = town.grown(2)
    known = next(iter(founder.machine._core.intake.ids))
    other.say(founder, m.Offer(known, 5_000), m.Offer(bytes(32), 0))
    town.run(0.1)
    assert founder.machine.stats()["pulls"] == 0


def test_an_offer_that_is_a_lie_ends() -> None:
    """An object that its offerer cannot deliver is given up, whoever offered it."""
    town = Town(13)
    villagers = town.grown(3)
    lie = sha256(b"lie").digest()
    for liar in villagers[1:]:
        liar.say(villagers[0], m.Offer(lie, 100_000))
    town.run(60.0)
    assert villagers[0].machine.stats()["pulls"] == 0


def test_a_large_object_that_is_refused_is_not_offered_twice() -> None:
    """A long envelope that trust refuses is pulled once and then left alone for a while."""
    town = Town(14)
    founder, other = town.grown(2)
    names = [f"holder {n}" for n in range(30)]
    root = town.mesh.next_root(signers={"policy": names}, seeds=[b"w" * 32], keep=False)
    assert len(root.raw) > limits.RAW_BYTES_MAX
    real = other.machine._core.trust
    raws = {root.id: root.raw}

    class Lying:
        """A trust that serves one object more."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def raw(self, identity: bytes) -> bytes | None:
            """Return an object, the false one included."""
            return raws.get(identity) or real.raw(identity)

    other.machine._core.trust = Lying()  # type: ignore[assignment]
    other.say(founder, m.Offer(root.id, len(root.raw)))
    town.run(2.0)
    assert founder.count("objects_refused") == 1
    other.say(founder, m.Offer(root.id, len(root.raw)))
    town.run(2.0)
    assert founder.count("objects_refused") == 1
    assert not founder.events(Alarm)
