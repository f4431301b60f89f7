"""Silence: what is not authentic, new and meant for us gets no answer (T01, T05, T42, T48)."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip import hello, limits, wire
from gossip import messages as m
from gossip.events import Address, MemberState
from gossip.session import DATA, FRAME_BYTES_MAX
from tests.forge import Mesh, device_keys
from tests.gossip.meshes import Town, Villager
from tests.gossip.strategies import MESSAGES

ANYWHERE: Address = ("198.51.100.9", 999)


@cache
def two() -> tuple[Town, Villager, Villager]:
    """Return one town for all that leaves it as it was."""
    town = Town(99)
    founder, other = town.grown(2)
    return town, founder, other


@cache
def shaken() -> tuple[Town, Villager, Villager]:
    """Return one town for all that may leave it in disorder."""
    town = Town(98)
    founder, other, _ = town.grown(3)
    return town, founder, other


def answers(villager: Villager, data: bytes, source: Address = ANYWHERE) -> int:
    """Return how many datagrams one datagram makes a machine send at once."""
    before = villager.host.sent
    villager.machine.receive(villager.town.world.now, source, data)
    return villager.host.sent - before


@given(st.binary(max_size=1_500))
def test_t01_noise_is_not_answered(data: bytes) -> None:
    """Random bytes of any length never raise and never get an answer."""
    _, founder, _ = two()
    prints = founder.machine.fingerprint()
    assert answers(founder, data) == 0
    assert founder.machine.fingerprint() == prints


@given(st.sampled_from([hello.HELLO, hello.REPLY, DATA]), st.binary(max_size=1_300))
def test_t01_noise_of_our_own_kinds_is_not_answered(kind: int, data: bytes) -> None:
    """Nor do random bytes behind one of our first bytes."""
    _, founder, _ = two()
    assert answers(founder, bytes([kind]) + data) == 0


@settings(max_examples=60)
@given(st.data())
def test_t02_t42_damaged_datagrams_are_not_answered(data: st.DataObject) -> None:
    """Real hellos, replies and data with a byte changed or cut off get no answer."""
    town, founder, other = two()
    now = town.world.now
    sealed = other.machine._core.sessions.seal(
        now, founder.id, wire.frame([wire.encode(m.Want(()))])
    )
    greeting = other.machine._core.admission.make_hello(now, founder.id)
    assert sealed is not None
    assert greeting is not None
    good = data.draw(st.sampled_from([sealed, greeting]))
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at = data.draw(st.integers(1, len(good) - 1))
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    assert answers(founder, bad) == 0


@settings(max_examples=60)
@given(st.binary(max_size=FRAME_BYTES_MAX))
def test_authentic_noise_is_dropped_with_a_counter(frame: bytes) -> None:
    """A member that seals rubbish is counted, not answered with anything but a challenge."""
    town, founder, other = two()
    sealed = other.machine._core.sessions.seal(town.world.now, founder.id, frame)
    assert sealed is not None
    before = founder.machine.fingerprint()
    assert answers(founder, sealed, other.address) <= 1
    assert founder.machine.fingerprint() == before


@settings(max_examples=300)
@given(MESSAGES, st.sampled_from(["near", "far"]))
def test_no_message_of_a_member_breaks_anything(message: m.Message, where: str) -> None:
    """Whatever a valid member says, from wherever, no machine raises and no table breaks."""
    town, founder, other = shaken()
    item = wire.encode(message)
    sealed = other.machine._core.sessions.seal(town.world.now, founder.id, wire.frame([item]))
    assert sealed is not None
    founder.machine.receive(town.world.now, ANYWHERE if where == "far" else other.address, sealed)
    founder.host.arm()
    town.run(0.3)
    founder.machine._core.members.check()
    assert founder.state(other) in {MemberState.ALIVE, MemberState.SUSPECT}


def test_t05_a_replayed_datagram_is_not_answered() -> None:
    """A captured ping is answered once, not again after a second."""
    town = Town(1)
    founder, other = town.grown(2)
    captured: list[bytes] = []
    town.world.observer = lambda _now, source, target, data: (
        captured.append(data) if (source, target) == (other.address, founder.address) else None
    )
    town.run(10.0)
    town.world.observer = None
    assert len(captured) > 5
    town.run(1.0)
    assert sum(answers(founder, data, other.address) for data in captured) == 0


def test_t05_nothing_captured_before_a_restart_works_after_it() -> None:
    """Datagrams and hellos from before a node's restart are dropped after it."""
    town = Town(2)
    founder, other = town.grown(2)
    captured: list[bytes] = []
    town.world.observer = lambda _now, _source, target, data: (
        captured.append(data) if target == founder.address else None
    )
    other.machine._core.admission.greet(town.world.now, founder.id, [founder.address])
    town.run(10.0)
    town.world.observer = None
    assert {data[0] for data in captured} >= {hello.HELLO, DATA}
    founder.crash()
    town.run(1.0)
    founder.host.boot()
    assert sum(answers(founder, data, other.address) for data in captured) == 0


def test_t05_nothing_made_for_one_member_works_at_another() -> None:
    """Datagrams and hellos for one member are dropped by another."""
    town = Town(3)
    founder, other, third = town.grown(3)
    captured: list[bytes] = []
    town.world.observer = lambda _now, _source, target, data: (
        captured.append(data) if target == founder.address else None
    )
    other.machine._core.admission.greet(town.world.now, founder.id, [founder.address])
    town.run(10.0)
    town.world.observer = None
    assert captured
    assert sum(answers(third, data, other.address) for data in captured) == 0


def test_a_suppressed_hello_of_an_earlier_life_is_dropped() -> None:
    """A hello that never arrived, sent on after its sender's restart, opens nothing."""
    town = Town(4)
    founder, other = town.grown(2)
    suppressed = other.machine._core.admission.make_hello(town.world.now, founder.id)
    assert suppressed is not None
    other.crash()
    town.run(1.0)
    other.host.boot()
    town.run(2.0)
    replayed = founder.count("hellos_replayed")
    assert answers(founder, suppressed) == 0
    assert founder.count("hellos_replayed") == replayed + 1


def test_hellos_from_the_future_are_dropped() -> None:
    """A hello more than two minutes ahead of our clock is refused, one of a minute is not."""
    town = Town(5)
    founder, other = town.grown(2)
    core = other.machine._core
    for ahead, expected in ((130.0, 0), (60.0, 1)):
        core.admission._last_sent_ms = int((town.world.wall + ahead) * 1_000)
        data = core.admission.make_hello(town.world.now, founder.id)
        assert data is not None
        assert (answers(founder, data, other.address) > 0) == bool(expected)


@pytest.mark.parametrize("mesh_name", ["hedge", "elsewhere"])
def test_t48_strangers_never_enter_the_table(mesh_name: str) -> None:
    """A hundred identities without a device object, even with all public keys, get nowhere."""
    town = Town(6)
    (founder,) = town.grown(1)
    mesh = Mesh(mesh_name)
    for number in range(100):
        keys = device_keys(f"sybil {number}")
        own = hello.Own(mesh.mesh_id, keys.device_id, keys.gossip_private, keys.gossip_public)
        body = hello.HelloBody(int(town.world.wall * 1_000) + 1, keys.gossip_public, b"record")
        data, _ = hello.seal_hello(
            own, founder.id, founder.device.body.gossip_public, keys.sign_seed, body
        )
        assert answers(founder, data) == 0
    assert founder.machine.stats()["members"] == 1
    assert not founder.machine._core.admission._last_heard_ms


def test_t42_no_answer_is_longer_than_its_question() -> None:
    """Whatever an unproven address sends, no more bytes go back to it than came."""
    town = Town(7)
    founder, other = town.grown(2)
    core = other.machine._core
    sizes: list[int] = []
    send = founder.host.send

    def weigh(address: Address, data: bytes) -> None:
        if address == ANYWHERE:
            sizes.append(len(data))
        send(address, data)

    founder.host.send = weigh  # type: ignore[method-assign]
    founder.machine._core._sink = founder.host
    identity = next(iter(founder.machine._core.intake.ids))
    questions: list[bytes] = []
    greeting = core.admission.make_hello(town.world.now, founder.id)
    assert greeting is not None
    questions.append(greeting)
    for message in (
        m.Want((identity[:16],)),
        m.ChunkRequest(identity, tuple(range(16))),
        m.Sync(bytes(16), (m.RangePrint("", bytes(16), 0),)),
    ):
        data = core.sessions.seal(town.world.now, founder.id, wire.frame([wire.encode(message)]))
        assert data is not None
        questions.append(data)
    founder.machine._core.paths.forget(other.id)
    for question in questions:
        sizes.clear()
        founder.machine.receive(town.world.now, ANYWHERE, question)
        town.run(0.2)
        founder.machine._core.paths.forget(other.id)
        assert sum(sizes) <= max(len(question), 3 * 80)


def test_limit_hellos_per_second() -> None:
    """Beyond the budget hellos are not even opened, whoever sends them."""
    town = Town(8)
    founder, other = town.grown(2)
    admission = other.machine._core.admission
    hellos = [
        admission.make_hello(town.world.now, founder.id)
        for _ in range(int(limits.HELLO_BURST) + 50)
    ]
    for data in hellos:
        assert data is not None
        founder.machine.receive(town.world.now, other.address, data)
    assert founder.count("hellos_rate_limited") == 50


def test_replies_nobody_asked_for_are_dropped() -> None:
    """A reply to no hello of ours, and a second copy of one, change nothing."""
    town = Town(9)
    founder, other = town.grown(2)
    assert answers(founder, bytes([hello.REPLY]) + bytes(200)) == 0
    assert founder.count("replies_unasked") >= 1
    greeting = founder.machine._core.admission.make_hello(town.world.now, other.id)
    assert greeting is not None
    echo = next(reversed(founder.machine._core.admission._sent))
    forged = bytes([hello.REPLY]) + echo + bytes(200)
    assert answers(founder, forged) == 0
    assert founder.count("replies_invalid") == 1
    assert echo in founder.machine._core.admission._sent
