"""Corners: what meets only when two things happen at once, or late."""

from crypto.objects import RevokeKind
from gossip import hello
from gossip import messages as m
from gossip.events import Alarm, MemberState, PathChanged
from tests.gossip.meshes import Town


def test_a_reply_from_one_who_was_removed_meanwhile_is_dropped() -> None:
    """A hello's answer that comes after its sender's revocation gives no session and no path."""
    town = Town(1)
    founder, other, third = town.grown(3)
    founder.machine._core.paths.forget(other.id)
    founder.machine._core.admission.greet(town.world.now, other.id, [other.address])
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, other.id))
    town.run(1.0)
    assert founder.path(other) is None
    assert not founder.machine._core.sessions.knows(other.id)
    assert founder.state(third) is MemberState.ALIVE


def test_the_clock_of_the_driver_counts() -> None:
    """`set_clock` moves what the machine takes for wall time, and how sure it is."""
    town = Town(2)
    founder = town.approved("founder")
    founder.machine.set_clock(1_000.0, 5.0)
    wall = founder.machine._core.wall(town.world.now)
    assert wall.hi - wall.lo == 10.0
    assert wall.lo == town.world.now + 995.0


def test_messages_behind_their_senders_own_revocation_are_not_heard() -> None:
    """A datagram that carries the sender's revocation and more counts up to there."""
    town = Town(3)
    founder, rogue = town.grown(2)
    revoke = town.mesh.revoke(RevokeKind.DEVICE, rogue.id)
    late = town.mesh.revoke("user", "late")
    rogue.say(founder, m.Push((revoke.raw,)), m.Push((late.raw,)))
    town.run(0.1)
    assert founder.trust.raw(revoke.id) is not None
    assert founder.trust.raw(late.id) is None
    assert rogue.id not in founder.machine.members()
    rogue.say(founder, m.Push((late.raw,)))
    town.run(0.1)
    assert founder.trust.raw(late.id) is None


def test_chunks_beyond_the_end_are_not_sent() -> None:
    """A request for indices that do not exist is answered with those that do."""
    town = Town(4)
    founder, other = town.grown(2)
    part = b"p" * 1_500
    founder.publish(town.mesh.head(1, parts={"policy": part}))
    founder.do(lambda machine, now: machine.publish_part(now, part))
    town.run(3.0)
    before = founder.host.sent
    digest = next(iter(founder.parts))
    other.say(founder, m.ChunkRequest(digest, (0, 1, 2, 2**40)))
    town.run(0.0015)
    assert founder.host.sent == before + 2


def test_a_second_offerer_is_asked_when_the_first_does_not_deliver() -> None:
    """An object offered by two is pulled from the other when one has nothing."""
    town = Town(5)
    villagers = town.grown(3)
    names = [f"holder {n}" for n in range(30)]
    root = town.mesh.next_root(signers={"policy": names})
    liar, honest, puller = villagers
    town.world.partition([honest.host], [liar.host, puller.host])
    honest.publish(root)
    town.run(0.1)
    liar.say(puller, m.Offer(root.id, len(root.raw)))
    town.world.heal()
    honest.say(puller, m.Offer(root.id, len(root.raw)))
    assert town.until(lambda: puller.trust.raw(root.id) is not None, limit=5.0) is not None


def test_a_pending_device_shown_twice_is_stored_once() -> None:
    """A joiner that is refused and asks again costs no second event and no place in the set."""
    town = Town(6)
    founder = town.approved("founder")
    first = town.invited("first", founder)
    town.run(1.0)
    second = town.invited("second", first)
    town.run(10.0)
    assert first.count("joins_refused") > 1
    assert first.store.count(second.device.raw) == 1
    assert second.device.id not in first.machine._core.intake.ids


def test_refusals_without_a_reason_have_words() -> None:
    """A member that says no and nothing else still gives a person something to read."""
    town = Town(7)
    founder, other = town.grown(2)
    greeting = founder.machine._core.admission.make_hello(town.world.now, other.id)
    assert greeting is not None
    opened = hello.open_hello(other.machine._core.own, greeting)
    assert opened is not None
    body = hello.ReplyBody(accepted=False, observed=founder.address)
    reply = hello.seal_reply(other.machine._core.own, opened, bytes(range(32)), body)
    assert reply is not None
    founder.machine.receive(town.world.now, other.address, reply)
    assert [a.text for a in founder.events(Alarm)] == ["a member refuses to talk to this device"]


def test_a_stopped_attempt_leaves_no_timer() -> None:
    """An attempt at a member that is revoked meanwhile ends without another datagram."""
    town = Town(8)
    villagers = town.grown(3)
    founder, victim = villagers[0], villagers[-1]
    victim.crash()
    founder.machine._core.paths.forget(victim.id)
    founder.want(victim)
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    sent: list[float] = []
    founder.host.on_send = lambda now, target: (
        sent.append(now) if target == victim.address else None
    )
    town.run(60.0)
    assert sent == []
    founder.machine._core.paths.on_punch(town.world.now, victim.id)
    founder.machine._core.paths.on_again(town.world.now, victim.id)
    assert sent == []


def test_asking_twice_for_a_path_within_a_moment_is_one_attempt() -> None:
    """A path that is found while another attempt waits makes that one unnecessary."""
    town = Town(9)
    founder, other, _ = town.grown(3)
    core = founder.machine._core
    core.paths.forget(other.id)
    founder.want(other)
    core.paths.attempt(town.world.now, other.id)
    founder.host.arm()
    town.run(5.0)
    gained = [e for e in founder.events(PathChanged) if e.device_id == other.id and e.address]
    assert len(gained) == 2
    assert founder.path(other) == other.address


def test_the_dead_that_answer_are_confronted_until_they_refute() -> None:
    """If the first confrontation is lost, the next knock brings another."""
    town = Town(10)
    *others, victim = town.grown(4)
    victim.host.pause()
    assert town.until(lambda: town.all_see(MemberState.DEAD, victim), limit=30.0) is not None
    founder = others[0]
    # The path is proven again, but what was said is not: as after a lost datagram.
    core = founder.machine._core
    core.paths.proved(town.world.now, victim.id, victim.address, 0.002)
    founder.host.arm()
    victim.host._waiting.clear()
    victim.host.resume()
    assert town.until(lambda: town.all_see(MemberState.ALIVE, victim), limit=70.0) is not None


def test_a_forgotten_peer_frees_what_it_was_asked_for() -> None:
    """Objects asked of a member that is revoked can be asked of others at once."""
    town = Town(11)
    founder, rogue, _ = town.grown(3)
    short = b"\x99" * 16
    rogue.say(founder, m.Have((short,)))
    town.run(0.0015)
    reconciler = founder.machine._core.reconciler
    assert short in reconciler._asked
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, rogue.id))
    assert short not in reconciler._asked
    reconciler.on_timer(town.world.now, rogue.id)
    reconciler.on_pull(town.world.now, rogue.id)
    assert rogue.id not in reconciler._peers
