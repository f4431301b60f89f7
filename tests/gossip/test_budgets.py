"""What one member, or the holder of one invite, can make a node send, list and wait for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from crypto.objects import Endpoint, Epoch, RevokeKind
from gossip import hello, limits, wire
from gossip import messages as m
from gossip.events import Address, Alarm, BundleReady
from tests.gossip.meshes import Town, Villager

STRANGER: Address = ("198.51.100.7", 9)
PRINT = bytes(16)


class Tap:
    """Counts what a villager sends to one address."""

    def __init__(
        self, villager: Villager, address: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sizes: list[int] = []
        send = villager.host.send

        def tapped(target: Address, data: bytes) -> None:
            if target == address:
                self.sizes.append(len(data))
            send(target, data)

        monkeypatch.setattr(villager.machine._core, "_sink", villager.host)
        monkeypatch.setattr(villager.host, "send", tapped)


def full(make: Callable[[int], m.Message]) -> list[bytes]:
    """Return as many small messages as one datagram holds."""
    items: list[bytes] = []
    while len(items) < limits.MESSAGES_PER_DATAGRAM_MAX:
        item = wire.encode(make(len(items)))
        if sum(map(len, items)) + len(item) > 1_150:
            break
        items.append(item)
    return items


@pytest.mark.parametrize("kind", ["ping", "request", "sync", "want", "chunk"])
def test_t42_one_datagram_makes_no_more_than_itself(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that gives a stranger's address as its own cannot multiply what it sends there."""
    town = Town()
    founder, rogue, third = town.grown(3)
    founder.machine._core.paths.lost(town.world.now, rogue.id)
    identity = founder.device.id
    makers: dict[str, Callable[[int], m.Message]] = {
        "ping": lambda n: m.Ping(n, rogue.machine._core.record.epoch, PRINT),
        "request": lambda n: m.PingRequest(n, rogue.id, 1),
        "sync": lambda _: m.Sync(PRINT, (m.RangePrint("", PRINT, 0),)),
        "want": lambda _: m.Want((identity[:16],)),
        "chunk": lambda _: m.ChunkRequest(identity, (0,)),
    }
    frame = wire.frame(full(makers[kind]))
    data = rogue.machine._core.sessions.seal(town.world.now, founder.id, frame)
    assert data is not None
    tap = Tap(founder, STRANGER, monkeypatch)
    founder.machine.receive(town.world.now, STRANGER, data)
    assert third.state(founder)
    assert sum(tap.sizes) <= len(data)
    assert len(tap.sizes) <= 3


@pytest.mark.parametrize("wanted", [False, True])
def test_t52_a_record_that_is_renewed_again_and_again_aims_at_nobody(
    wanted: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that claims a stranger's address cannot have it tried anew with each record."""
    town = Town(20)
    founder, rogue = town.grown(2)
    if wanted:
        founder.want(rogue)
    entry = rogue.machine._core.members.get(rogue.id)
    assert entry is not None
    assert entry.record is not None
    rogue.crash()
    ports = [Endpoint(STRANGER[0], STRANGER[1] + number) for number in range(8)]
    taps = [Tap(founder, endpoint.address, monkeypatch) for endpoint in ports]
    for number in range(1, 150):
        epoch = Epoch(entry.record.epoch.boot_ms, entry.record.epoch.counter + number)
        record = replace(entry.record, epoch=epoch, endpoints=tuple(ports))
        raw = town.mesh.seal(record, seeds=[rogue.device.seed])
        founder.do(lambda machine, now, raw=raw: machine._core.intake.take(now, raw, None))  # type: ignore[misc]
        town.run(0.6)
    # The slow back-off of a wanted or dead member tries all eight every half a minute or minute.
    assert sum(len(tap.sizes) for tap in taps) <= 48 + 0.1 * 90 + 8 * 8


def test_pulls_of_objects_that_do_not_exist_hold_no_bundle_up() -> None:
    """A member that offers without end keeps nobody from the newest bundle."""
    town = Town(13)
    founder, victim, rogue = town.grown(3)
    parts = town.mesh.parts(b"p" * 50_000)
    head = town.mesh.head(1, parts=parts)
    offers = [m.Offer(bytes([n]) * 32, 500_000) for n in range(1, limits.PULLS_MAX + 1)]
    rogue.machine._core.bulk.on_request = lambda *_: None  # type: ignore[method-assign]
    rogue.say(victim, *offers)
    town.run(0.01)
    founder.publish(head)
    for data in parts.values():
        founder.do(lambda machine, now, data=data: machine.publish_part(now, data))  # type: ignore[misc]
    for _ in range(60):
        rogue.say(victim, *offers)
        town.run(0.05)
    assert BundleReady(head.id) in victim.events(BundleReady)


def test_one_member_cannot_have_all_the_pulls() -> None:
    """Another member's offer finds room, so a new root does too."""
    town = Town(14)
    founder, victim, rogue = town.grown(3)
    for each in (founder, rogue):
        each.machine._core.bulk.on_request = lambda *_: None  # type: ignore[method-assign]
    rogue.say(victim, *(m.Offer(bytes([n]) * 32, 500_000) for n in range(1, 20)))
    town.run(0.01)
    founder.say(victim, m.Offer(b"r" * 32, 5_000))
    town.run(0.01)
    assert b"r" * 32 in victim.machine._core.bulk._pulls


def test_limit_pulls_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many members offer, only so many objects are pulled at one time."""
    monkeypatch.setattr(limits, "PULLS_MAX", limits.PULLS_PER_PEER_MAX + 1)
    town = Town(19)
    victim, *rogues = town.grown(3)
    for label, each in enumerate(rogues, start=1):
        each.machine._core.bulk.on_request = lambda *_: None  # type: ignore[method-assign]
        each.say(victim, *(m.Offer(bytes([label, n]) * 16, 5_000) for n in range(9)))
    town.run(0.01)
    assert victim.machine.stats()["pulls"] == limits.PULLS_MAX
    assert victim.count("pulls_over_limit") == 18 - limits.PULLS_MAX


def test_listing_ranges_of_ids_costs_one_listing() -> None:
    """Sixteen lists for the whole set in one message list our ids once."""
    town = Town(15)
    founder, other = town.grown(2)
    core = founder.machine._core
    for number in range(limits.SYNC_DATAGRAMS_MAX * limits.IDS_PER_MESSAGE_MAX):
        core.intake.ids.add((number << 200).to_bytes(32, "big"))
    listed = 0
    below = core.intake.ids.below

    def counted(prefix: str) -> list[bytes]:
        nonlocal listed
        listed += 1
        return below(prefix)

    core.intake.ids.below = counted  # type: ignore[method-assign]
    core.reconciler.on_sync(town.world.now, other.id, m.Sync(PRINT, (m.RangeIds("", ()),) * 16))
    assert listed == 1


def test_a_removed_device_cannot_make_members_list_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Telling a removed device so costs a lookup, however much the mesh holds."""
    town = Town(16)
    founder, victim = town.grown(2)
    victim.crash()
    founder.publish(town.mesh.revoke(RevokeKind.DEVICE, victim.id))
    monkeypatch.setattr(founder.trust, "objects", lambda: pytest.fail("listed everything"))
    victim.host.boot()
    town.run(3.0)
    assert [event.code for event in victim.events(Alarm)].count("removed") >= 1


def test_a_refused_joiner_costs_no_look_at_everybody() -> None:
    """Hellos with an invite that is used up do not have every device looked at."""
    town = Town(17)
    (founder,) = town.grown(1)
    ticket = town.mesh.ticket("one", uses=1)
    town.invited("first", founder, ticket=ticket)
    for number in range(80):
        founder.publish(town.mesh.device(f"approved {number}"))
    assert town.until(town.is_settled, limit=0.0) is None
    town.run(1.0)
    looks = 0
    roster = founder.machine._core.roster
    look = roster.look

    def counted(now: float) -> None:
        nonlocal looks
        looks += 1
        look(now)

    roster.look = counted  # type: ignore[method-assign]
    late = [town.invited(f"late {n}", founder, ticket=ticket) for n in range(20)]
    town.run(0.15)
    assert founder.count("joins_refused") >= 20
    assert all(event.code != "joined" for each in late for event in each.events(Alarm))
    assert looks <= 2


def test_what_a_member_says_no_with_is_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal's words reach a person's terminal, so they bring no commands for it."""
    town = Town(18)
    (founder,) = town.grown(1)
    body = hello.ReplyBody(
        accepted=False, observed=("192.0.2.1", 1), reason="no\x1b]0;owned\x07\nalarm over"
    )
    monkeypatch.setattr(founder.machine._core.admission, "_introduced", lambda *_: body)
    guest = town.invited("guest", founder)
    town.run(1.0)
    said = [event.text for event in guest.events(Alarm) if event.code == "join-refused"]
    assert all(text.isprintable() for text in said)


def test_t16_a_node_that_slept_through_fifty_long_roots_catches_up() -> None:
    """Roots too long for a datagram come a few at a time, in whatever order, and all are used."""
    town = Town(21)
    founder, sleeper = town.grown(2)
    sleeper.crash()
    for number in range(50):
        bounds = {f"limit-{number}-{each}": each for each in range(50)}
        founder.publish(town.mesh.next_root(limits=bounds))
    assert len(town.mesh.roots[-1]) > limits.RAW_BYTES_MAX
    town.run(5.0)
    sleeper.host.boot()
    took = town.until(lambda: sleeper.trust.epoch == founder.trust.epoch == 51, limit=60.0)
    assert took is not None
    assert took < 20.0
