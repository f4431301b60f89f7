"""The world: the same seed gives the same run, and its faults do what they say."""

import pytest

from gossip.events import Address
from simnet.links import Link
from simnet.natbox import NatBox
from simnet.world import SOCKET_BUFFER_DATAGRAMS, Host, World
from tests.gossip.meshes import Town


class Echo:
    """A machine that answers everything once and keeps a diary."""

    def __init__(self, host: Host, now: float, boot_ms: int) -> None:
        self.host = host
        self.boot_ms = boot_ms
        self.diary: list[tuple[float, Address | None, bytes]] = []
        self.deadline: float | None = now + 1.0

    def receive(self, now: float, source: Address, data: bytes) -> None:
        """Answer whatever does not look like an answer."""
        self.diary.append((now, source, data))
        if not data.startswith(b"re:"):
            self.host.send(source, b"re:" + data)

    def tick(self, now: float) -> None:
        """Note the tick; the next is a second later."""
        self.diary.append((now, None, b"tick"))
        self.deadline = now + 1.0

    def next_deadline(self) -> float | None:
        """Return the next full second of this life."""
        return self.deadline


def machine(host: Host) -> Echo:
    """Return the running echo of a host."""
    assert isinstance(host.machine, Echo)
    return host.machine


def words(host: Host) -> list[bytes]:
    """Return what a host has received."""
    return [data for _, source, data in machine(host).diary if source is not None]


A, B, C = ("10.0.0.1", 7), ("10.0.0.2", 7), ("10.0.0.3", 7)


def pair() -> tuple[World, Host, Host]:
    """Return a world of two echoes."""
    world = World(1, link=Link(0.01))
    return world, world.add(A, Echo), world.add(B, Echo)


def test_a_datagram_takes_its_latency() -> None:
    """A question and its answer arrive one and two latencies later, with the right sources."""
    world, first, second = pair()
    first.send(B, b"hello")
    world.run(0.05)
    assert machine(second).diary == [(0.01, A, b"hello")]
    assert machine(first).diary == [(0.02, B, b"re:hello")]
    assert (world.delivered, world.bytes_delivered) == (2, 13)
    assert (first.sent, second.sent) == (1, 1)


def test_wrong_addresses_lead_nowhere() -> None:
    """An unknown address, and a wrong port of a known one, get nothing."""
    world, first, second = pair()
    first.send(C, b"x")
    first.send((B[0], 8), b"x")
    world.run(0.5)
    assert words(second) == []


def test_machines_are_ticked_at_their_deadlines() -> None:
    """Ticks come when asked for; a deadline set to None ends them."""
    world, first, _ = pair()
    world.run(3.5)
    assert [time for time, _, _ in machine(first).diary] == [1.0, 2.0, 3.0]
    machine(first).deadline = None
    first.arm()
    world.run(3.0)
    assert len(machine(first).diary) == 3


def test_a_deadline_in_the_past_does_not_stop_time() -> None:
    """A machine that never moves its deadline on is ticked each microsecond, and time passes."""
    world, first, _ = pair()
    echo = machine(first)
    ticks: list[float] = []
    echo.tick = ticks.append  # type: ignore[method-assign, assignment]
    echo.deadline = 0.0
    first.arm()
    world.run(0.00001)
    assert ticks == pytest.approx([n / 1e6 for n in range(1, 11)])


def test_partition_cut_and_heal() -> None:
    """Cut directions lose everything, others nothing, and a heal ends all cuts."""
    world, first, second = pair()
    world.cut(first, second)
    first.send(B, b"lost")
    second.send(A, b"heard")
    world.run(0.1)
    assert words(first) == [b"heard"]
    assert words(second) == []
    world.heal()
    world.partition([first], [second])
    second.send(A, b"lost")
    world.heal()
    first.send(B, b"back")
    world.run(0.1)
    assert words(second) == [b"back"]
    assert words(first) == [b"heard", b"re:back"]


def test_a_crash_loses_all_and_a_boot_is_a_new_life() -> None:
    """Datagrams for a crashed host are gone; the next life has a later boot time."""
    world, first, second = pair()
    born = machine(second).boot_ms
    world.run(0.5)
    second.crash()
    first.send(B, b"lost")
    world.run(2.0)
    second.boot()
    assert machine(second).boot_ms == born + 2_500
    world.run(0.1)
    assert words(second) == []
    second.skew_seconds = -60.0
    second.boot()
    assert machine(second).boot_ms == born + 2_600 - 60_000


def test_a_paused_host_gets_everything_late() -> None:
    """While paused, datagrams wait and ticks are due; on resume datagrams come first."""
    world, first, second = pair()
    second.pause()
    for number in range(SOCKET_BUFFER_DATAGRAMS + 10):
        first.send(B, b"re:%d" % number)
    world.run(5.0)
    assert machine(second).diary == []
    second.resume()
    diary = machine(second).diary
    assert len(words(second)) == SOCKET_BUFFER_DATAGRAMS
    assert [source for _, source, _ in diary].index(None) == SOCKET_BUFFER_DATAGRAMS
    assert {time for time, _, _ in diary} == {5.0}


def test_hosts_behind_nats() -> None:
    """Inside hosts are seen at the box's address, and reached only by whom they have sent to."""
    world = World(2, link=Link(0.01))
    outside = world.add(A, Echo)
    box = NatBox("203.0.113.1")
    inside = world.add(("192.168.1.2", 7), Echo, nat=box)
    neighbour = world.add(("192.168.1.3", 7), Echo, nat=box)
    outside.send(("203.0.113.1", 40_000), b"too early")
    outside.send(("192.168.1.2", 7), b"unroutable")
    world.run(0.1)
    inside.send(A, b"hello")
    inside.send(("192.168.1.3", 7), b"next door")
    world.run(0.1)
    assert machine(outside).diary == [(0.11, ("203.0.113.1", 40_000), b"hello")]
    assert words(inside) == [b"re:hello", b"re:next door"] or words(inside) == [
        b"re:next door",
        b"re:hello",
    ]
    assert machine(neighbour).diary[0][1] == ("192.168.1.2", 7)


def test_a_moved_host_is_found_at_its_new_address() -> None:
    """After `move` the old address leads nowhere."""
    world, first, second = pair()
    world.move(second, C)
    first.send(B, b"old")
    first.send(C, b"new")
    world.run(0.1)
    assert words(second) == [b"new"]


def test_run_until_stops_at_the_condition_or_the_limit() -> None:
    """It returns how long it took, or None when the limit came first."""
    world, first, second = pair()
    first.send(B, b"hello")
    took = world.run_until(lambda: bool(words(first)), limit_seconds=1.0)
    assert took == pytest.approx(0.02, abs=0.0011)
    assert world.run_until(lambda: False, limit_seconds=0.5) is None
    assert world.now == pytest.approx(0.52, abs=0.0011)
    for host in (first, second):
        host.crash()
    world.run(5.0)
    end = world.now + 1.0
    assert world.run_until(lambda: world.now >= end, limit_seconds=1.0) == 1.0


def test_observers_see_every_delivery() -> None:
    """The observer gets time, addresses and bytes of what is delivered, and of nothing else."""
    world, first, _ = pair()
    seen: list[tuple[float, Address, Address, bytes]] = []
    world.observer = lambda *delivery: seen.append(delivery)
    first.send(B, b"re:x")
    first.send(C, b"re:y")
    world.run(0.1)
    assert seen == [(0.01, A, B, b"re:x")]


def life(seed: int) -> tuple[str, int]:
    """Return trace and deliveries of an eventful minute in a small town."""
    town = Town(seed, link=Link(0.005, 0.01, 0.02))
    founder = town.approved("founder")
    for number in range(4):
        town.invited(f"n{number}", founder)
    town.run(10.0)
    town.villagers[-1].crash()
    founder.publish(town.mesh.revoke("user", "bob"))
    town.run(10.0)
    town.villagers[-1].host.boot()
    town.run(10.0)
    return town.world.trace, town.world.delivered


def test_one_seed_gives_one_trace() -> None:
    """Two runs of one seed deliver the same bytes at the same microseconds; others do not."""
    first, again, other = life(1), life(1), life(2)
    assert first == again
    assert first[0] != other[0]
    assert first[1] > 500
