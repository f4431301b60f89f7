"""Drive the gossip core: datagrams in and out, one timer, and the events to whoever wants them.

The core never waits; this is the part that does. Datagrams that already lie in the socket are
handed over before any timer runs, because after a pause the answers are there, and a timer that
ran first would blame their senders for the pause.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

from gossip.events import Address, Event
from node import log
from node.clock import Clock
from node.udp import ControlSocket

T = TypeVar("T")

# A core that asks to be woken at once, again and again, must not keep everything else waiting.
TIMER_GAP_SECONDS = 0.001
BROKEN_TICK_SECONDS = 1.0


class Core(Protocol):
    """What a driver needs of a core."""

    def receive(self, now: float, source: Address, data: bytes) -> None:
        """Take one datagram."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def next_deadline(self) -> float | None:
        """Say when something will be due."""

    def set_clock(self, offset: float, uncertainty: float) -> None:
        """Learn what wall time it is."""


class Driver:
    """One core on one socket. It is the core's sink.

    Args:
        socket: the control socket.
        clock: the node's clock.
        take: takes the core's events; must return at once and not raise.

    Attributes:
        failures: how often the core failed, by what it did and the kind of error: faults of ours.
    """

    def __init__(self, socket: ControlSocket, clock: Clock, take: Callable[[Event], None]) -> None:
        self.failures: Counter[str] = Counter()
        self._socket = socket
        self._clock = clock
        self._take = take
        self._core: Core | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._log = log.get("gossip")

    @property
    def refused(self) -> Counter[str]:
        """How often the system refused to send, by the name of the error."""
        return self._socket.refused

    def attach(self, core: Core) -> None:
        """Begin to drive a core that was made with this driver as its sink."""
        self._core = core
        self.set_clock()
        self.arm()

    def send(self, address: Address, data: bytes) -> None:
        """Send one datagram. What the system refuses is counted, and the peer counts as silent."""
        self._socket.send(address, data)

    def event(self, event: Event) -> None:
        """Pass an event on."""
        self._take(event)

    def ask(self, request: Callable[[float], T]) -> T:
        """Make a request of the core at this moment, and look at its deadline again."""
        try:
            return request(self._clock.monotonic())
        finally:
            self.arm()

    def set_clock(self) -> None:
        """Tell the core what wall time it is."""
        if self._core is not None:
            interval = self._clock.interval()
            middle = (interval.lo + interval.hi) / 2
            self._core.set_clock(
                middle - self._clock.monotonic(), uncertainty=(interval.hi - interval.lo) / 2
            )

    async def read(self) -> None:
        """Hand datagrams to the core until the socket is closed.

        It awaits nothing but the next datagram: the queue before it has no bound of its own.
        """
        while True:
            data, source = await self._socket.receive()
            self._receive(source, data)
            self.arm()

    def arm(self) -> None:
        """Set the timer to the core's next deadline.

        One that is about to fire stays, or a flood of datagrams could put it off for ever.
        """
        deadline = self._core.next_deadline() if self._core is not None else None
        if deadline is not None:
            self._set(deadline)

    def stop(self) -> None:
        """Stop the timer and let go of the core."""
        self._core = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        # The loop's clock is that of our deadlines.
        soon = loop.time() + TIMER_GAP_SECONDS
        at = max(deadline, soon)
        if self._timer is not None:
            if self._timer.when() <= soon or self._timer.when() == at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        core = self._core
        if core is None:
            return
        self.set_clock()
        for data, source in self._socket.drain():
            self._receive(source, data)
        if self._guarded("tick", lambda: core.tick(self._clock.monotonic())):
            self.arm()
        else:
            self._set(asyncio.get_running_loop().time() + BROKEN_TICK_SECONDS)

    def _receive(self, source: Address, data: bytes) -> None:
        """Hand one datagram over."""
        core = self._core
        if core is not None:
            now = self._clock.monotonic()
            self._guarded("datagram", lambda: core.receive(now, source, data))

    def _guarded(self, what: str, work: Callable[[], None]) -> bool:
        """Let the core work, and survive its faults: no datagram may end the daemon."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the one guard: counted, named, and survived
            kind = f"{what}: {type(error).__name__}"
            self.failures[kind] += 1
            if self.failures[kind] == 1:
                self._log.exception("the core failed", kind=kind)
            return False
        return True
