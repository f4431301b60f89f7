"""A small world: hosts with one machine each, links, NATs, faults, and virtual time.

The machines are the daemon's own (`gossip.machine.Machine`); a host is its driver, as the daemon
is in reality: it feeds datagrams and ticks and takes effects. Faults are verbs (turmoil's idea):
partition, cut one way, crash, restart, pause. One seed decides everything; `trace` is a rolling
hash of every datagram delivered, so two runs of one seed can be compared by one value.
"""

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import sha256
from random import Random
from typing import Final, Protocol

from gossip.events import Address, Event
from simnet.links import Link, Links
from simnet.natbox import NatBox
from simnet.scheduler import MICROSECONDS, Scheduler, to_microseconds

EPOCH_SECONDS: Final = 1_800_000_100.0
"""Wall clock at virtual time zero, unless the world is told otherwise."""

SOCKET_BUFFER_DATAGRAMS: Final = 256
"""Datagrams that wait for a paused host; more are lost, as in a real socket."""


class Node(Protocol):
    """What a host drives: the inputs of a gossip machine."""

    def receive(self, now: float, source: Address, data: bytes) -> None:
        """Take a datagram."""

    def tick(self, now: float) -> None:
        """Let time pass."""

    def next_deadline(self) -> float | None:
        """Say when to tick."""


Factory = Callable[["Host", float, int], Node]
"""Makes the machine of a host: (host as its sink, now, boot in wall milliseconds)."""


class Host:
    """One machine with its socket. It is the machine's sink.

    Attributes:
        number: Counts the hosts of a world.
        address: Its socket, as it sees it itself.
        nat: The box it sits behind, or None.
        machine: The running machine, or None when crashed.
        events: All events of all its lives, with their time.
        on_event: Called with each event, as it comes.
        on_send: Called with time and target of each datagram sent.
        sent: Datagrams sent.
        skew_seconds: How far its wall clock is ahead.
    """

    def __init__(self, world: "World", number: int, address: Address, *, factory: Factory) -> None:
        self._world = world
        self._factory = factory
        self.number = number
        self.address = address
        self.nat: NatBox | None = None
        self.machine: Node | None = None
        self.events: list[tuple[float, Event]] = []
        self.on_event: Callable[[Event], None] | None = None
        self.on_send: Callable[[float, Address], None] | None = None
        self.sent = 0
        self.skew_seconds = 0.0
        self._paused = False
        self._waiting: deque[tuple[Address, bytes]] = deque()
        self._tick_at: int | None = None

    # The machine's sink.

    def send(self, address: Address, data: bytes) -> None:
        """Put a datagram on its way."""
        self.sent += 1
        if self.on_send is not None:
            self.on_send(self._world.now, address)
        self._world.transmit(self, address, data)

    def event(self, event: Event) -> None:
        """Keep an event."""
        self.events.append((self._world.now, event))
        if self.on_event is not None:
            self.on_event(event)

    # Life.

    def boot(self) -> None:
        """Start the machine: a new life with a new boot time."""
        now = self._world.now
        wall = self._world.wall + self.skew_seconds
        self._paused = False
        self._waiting.clear()
        self.machine = self._factory(self, now, int(wall * 1_000))
        self.arm()

    def crash(self) -> None:
        """Stop at once, saying nothing."""
        self.machine = None
        self._tick_at = None

    def pause(self) -> None:
        """Stand still, as a stopped process does: datagrams wait in the socket."""
        self._paused = True

    def resume(self) -> None:
        """Go on: first what waits in the socket, then the timers, all too late."""
        self._paused = False
        while self._waiting:
            self.deliver(*self._waiting.popleft())
        self._tick()

    def deliver(self, source: Address, data: bytes) -> None:
        """Hand a datagram to the machine."""
        if self.machine is None:
            return
        if self._paused:
            if len(self._waiting) < SOCKET_BUFFER_DATAGRAMS:
                self._waiting.append((source, data))
            return
        self.machine.receive(self._world.now, source, data)
        self.arm()

    def arm(self) -> None:
        """Have the machine ticked at its next deadline; call this after every request to it."""
        deadline = None if self.machine is None else self.machine.next_deadline()
        if deadline is None:
            self._tick_at = None
            return
        # Also for a machine that asks for the past again and again, time goes on.
        at = max(to_microseconds(deadline), self._world.scheduler.now_us + 1)
        if self._tick_at is None or at < self._tick_at:
            self._tick_at = at
            self._world.scheduler.at(at, self.number, lambda: self._fire(at))

    def _fire(self, at: int) -> None:
        if self._tick_at == at:
            self._tick()

    def _tick(self) -> None:
        self._tick_at = None
        if self.machine is not None and not self._paused:
            self.machine.tick(self._world.now)
            self.arm()


class World:
    """Hosts and what lies between them.

    Args:
        seed: Decides every draw.
        link: What a link is unless `links` says otherwise.
        epoch_seconds: Wall clock at virtual time zero.
    """

    def __init__(
        self, seed: int, *, link: Link | None = None, epoch_seconds: float = EPOCH_SECONDS
    ) -> None:
        self.seed = seed
        self.scheduler = Scheduler()
        self.links = Links(link or Link())
        self.hosts: list[Host] = []
        self.delivered = 0
        self.bytes_delivered = 0
        self._epoch = epoch_seconds
        self._random = Random(seed)
        self._by_ip: dict[str, Host] = {}
        self._boxes: dict[str, NatBox] = {}
        self._trace = sha256(b"trace")
        self.observer: Callable[[float, Address, Address, bytes], None] | None = None

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.scheduler.now

    @property
    def wall(self) -> float:
        """Wall clock of a host without skew."""
        return self._epoch + self.now

    @property
    def trace(self) -> str:
        """The rolling hash of all deliveries so far."""
        return self._trace.hexdigest()

    def random(self, label: object) -> Random:
        """Return a stream of chance of its own for this label."""
        return Random(f"{self.seed} {label}")

    def entropy(self, label: object) -> Callable[[int], bytes]:
        """Return bytes that look random and follow from the seed."""
        return self.random(f"entropy {label}").randbytes

    # Building.

    def add(self, address: Address, factory: Factory, *, nat: NatBox | None = None) -> Host:
        """Add a host and start it."""
        host = Host(self, len(self.hosts), address, factory=factory)
        host.nat = nat
        self.hosts.append(host)
        self._by_ip[address[0]] = host
        if nat is not None:
            self._boxes[nat.public_ip] = nat
        host.boot()
        return host

    # Faults.

    def move(self, host: Host, address: Address) -> None:
        """Give a host another address, as roaming does; its old one leads nowhere."""
        self._by_ip.pop(host.address[0], None)
        host.address = address
        self._by_ip[address[0]] = host

    def partition(self, left: Iterable[Host], right: Iterable[Host]) -> None:
        """Let nothing pass between two groups."""
        others = list(right)
        for host in left:
            for other in others:
                self.cut(host, other)
                self.cut(other, host)

    def cut(self, source: Host, target: Host) -> None:
        """Let nothing pass in one direction."""
        self.links.cut(source.number, target.number)

    def heal(self) -> None:
        """Undo all partitions and cuts."""
        self.links.heal()

    # Running.

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        self.scheduler.run_until(self.scheduler.now_us + round(seconds * MICROSECONDS))

    def run_until(
        self, condition: Callable[[], bool], *, limit_seconds: float, step_seconds: float = 0.001
    ) -> float | None:
        """Run until `condition` holds; return how long that took, or None at the limit.

        The condition is looked at after each step, and steps in which nothing happens are skipped.
        """
        start = self.scheduler.now_us
        end = start + round(limit_seconds * MICROSECONDS)
        step = max(1, round(step_seconds * MICROSECONDS))
        while not condition():
            due = self.scheduler.next_us()
            if due is None or due > end:
                self.scheduler.run_until(end)
                return (end - start) / MICROSECONDS if condition() else None
            self.scheduler.run_until(min(end, max(due, self.scheduler.now_us + step)))
        return (self.scheduler.now_us - start) / MICROSECONDS

    def transmit(self, host: Host, target: Address, data: bytes) -> None:
        """Carry a datagram from a host towards an address; it may be lost on the way."""
        now = self.now
        inside = self._by_ip.get(target[0])
        source = host.address
        if host.nat is not None and (inside is None or inside.nat is not host.nat):
            source = host.nat.outbound(now, host.address, target)
        receiver = self._route(host, target)
        if receiver is None:
            return
        delay = self.links.draw(host.number, receiver.number, self._random)
        if delay is None:
            return
        at = self.scheduler.now_us + to_microseconds(delay)
        self.scheduler.at(at, host.number, lambda: self._arrive(source, target, data, receiver))

    def _route(self, host: Host, target: Address) -> Host | None:
        """Return the host that a datagram may end at; a box decides when it gets there."""
        box = self._boxes.get(target[0])
        if box is not None:
            behind = [other for other in self.hosts if other.nat is box]
            return behind[0] if behind else None
        found = self._by_ip.get(target[0])
        if found is None or (found.nat is not None and found.nat is not host.nat):
            return None
        return found

    def _arrive(self, source: Address, target: Address, data: bytes, receiver: Host) -> None:
        box = self._boxes.get(target[0])
        if box is not None:
            inside = box.inbound(self.now, target[1], source)
            found = None if inside is None else self._by_ip.get(inside[0])
            if found is None:
                return
            receiver = found
        elif receiver.address[1] != target[1]:
            return
        self.delivered += 1
        self.bytes_delivered += len(data)
        head = f"{self.scheduler.now_us} {source} {target} ".encode()
        self._trace.update(head + sha256(data).digest())
        if self.observer is not None:
            self.observer(self.now, source, target, data)
        receiver.deliver(source, data)
