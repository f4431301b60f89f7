"""The driver of the gossip core: one socket, one timer, and no fault that ends it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gossip.events import Address, Event, Synced
from node.clock import Clock
from node.driver import Driver
from node.udp import ControlSocket


class Core:
    """A core that records what it is given."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.deadline: float | None = None
        self.received = asyncio.Event()
        self.ticked = asyncio.Event()
        self.wall = (0.0, 0.0)

    def receive(self, now: float, source: Address, data: bytes) -> None:
        """Record a datagram, or fail on request."""
        self.calls.append(data.decode())
        self.received.set()
        if data == b"bad":
            raise KeyError(source)

    def tick(self, now: float) -> None:
        """Record a tick; the deadline is met."""
        self.calls.append("tick")
        self.deadline = None
        self.ticked.set()

    def next_deadline(self) -> float | None:
        """Return the deadline that the test set."""
        return self.deadline

    def set_clock(self, offset: float, uncertainty: float) -> None:
        """Record the clock."""
        self.wall = (offset, uncertainty)


class Rig:
    """A driver with a recording core and a peer."""

    def __init__(self, control: ControlSocket, peer: socket.socket) -> None:
        self.events: list[Event] = []
        self.clock = Clock(skew_seconds=0.25)
        self.driver = Driver(control, self.clock, self.events.append)
        self.core = Core()
        self.driver.attach(self.core)
        self.peer = peer
        self._port = control.port

    def send(self, data: bytes) -> None:
        """Send a datagram to the driver."""
        self.peer.sendto(data, ("127.0.0.1", self._port))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A running driver."""
    control = await ControlSocket.open(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        made = Rig(control, peer)
        reading = asyncio.create_task(made.driver.read())
        yield made
        made.driver.stop()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        control.close()
        await asyncio.sleep(0)


async def test_datagrams_reach_the_core(rig: Rig) -> None:
    """The reader hands over what comes."""
    rig.send(b"one")
    await rig.core.received.wait()
    assert rig.core.calls == ["one"]


async def test_a_datagram_that_breaks_the_core_is_counted_and_survived(rig: Rig) -> None:
    """The next datagram is handled as if nothing had been."""
    rig.send(b"bad")
    rig.send(b"bad")
    rig.send(b"good")
    while "good" not in rig.core.calls:
        rig.core.received.clear()
        await rig.core.received.wait()
    assert rig.driver.failures == {"datagram: KeyError": 2}


async def test_the_timer_fires_at_the_deadline(rig: Rig) -> None:
    """A request that sets a deadline is followed by a tick."""

    def request(now: float) -> str:
        rig.core.deadline = now
        return "answer"

    assert rig.driver.ask(request) == "answer"
    await asyncio.wait_for(rig.core.ticked.wait(), 5)
    assert rig.core.calls == ["tick"]


async def test_what_waits_in_the_socket_goes_before_the_timer(rig: Rig) -> None:
    """After a pause, answers are read before a timer may blame their senders."""
    rig.core.deadline = rig.clock.monotonic()
    rig.send(b"answer")
    rig.driver._fire()
    assert rig.core.calls == ["answer", "tick"]


async def test_a_flood_cannot_put_the_timer_off(rig: Rig) -> None:
    """A timer set for earlier stays where it is."""
    rig.core.deadline = rig.clock.monotonic()
    rig.driver.arm()
    timer = rig.driver._timer
    for _ in range(10):
        rig.driver.arm()
    assert rig.driver._timer is timer


async def test_a_deadline_that_moves_takes_the_timer_along(rig: Rig) -> None:
    """An answer that came makes the wait for it pointless: nobody is woken for nothing."""
    rig.core.deadline = rig.clock.monotonic() + 500
    rig.driver.arm()
    rig.core.deadline += 500
    rig.driver.arm()
    assert rig.driver._timer is not None
    assert rig.driver._timer.when() == rig.core.deadline
    rig.core.deadline -= 700
    rig.driver.arm()
    assert rig.driver._timer.when() == rig.core.deadline


async def test_a_tick_that_fails_is_tried_again_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in a timer leaves the daemon alive and the timer set."""

    def broken(now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.core, "tick", broken)
    rig.driver._fire()
    assert rig.driver.failures == {"tick: ZeroDivisionError": 1}
    assert rig.driver._timer is not None


async def test_the_core_knows_the_wall_clock_and_its_doubt(rig: Rig) -> None:
    """Monotonic time plus the offset is wall time."""
    offset, uncertainty = rig.core.wall
    assert abs(rig.clock.monotonic() + offset - rig.clock.wall()) < 1
    assert uncertainty == pytest.approx(0.25)


async def test_events_are_passed_on(rig: Rig) -> None:
    """The driver is the core's sink."""
    rig.driver.event(Synced())
    assert rig.events == [Synced()]


async def test_a_stopped_driver_touches_the_core_no_more(rig: Rig) -> None:
    """After stop, datagrams and timers fall on nothing."""
    rig.driver.stop()
    rig.driver._receive(("192.0.2.1", 1), b"late")
    rig.driver._fire()
    rig.driver.arm()
    assert rig.core.calls == []
