"""What the parts of one machine share: keys, clock, chance, timers, counters and each other.

`gossip.machine` makes one `Core`, then each part with it. A part keeps its own state to itself
and reaches the others by name here; nothing outside this package sees a `Core`.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from crypto.clock import Interval
from crypto.identity import DeviceKeys
from crypto.objects import Device
from crypto.trust import Trust
from gossip.config import Config
from gossip.events import Event, Sink
from gossip.hello import Own
from gossip.timers import Timers

if TYPE_CHECKING:
    from random import Random

    from gossip.admission import Admission
    from gossip.anchors import Anchors
    from gossip.broadcast import Broadcast
    from gossip.bulk import Bulk
    from gossip.intake import Intake
    from gossip.members import Members
    from gossip.outreach import Outreach
    from gossip.paths import Paths
    from gossip.probe import Prober
    from gossip.reconcile import Reconciler
    from gossip.record import OwnRecord
    from gossip.roster import Roster
    from gossip.session import Sessions
    from gossip.statements import Statements
    from gossip.suspicion import Suspicion
    from gossip.transport import Transport

Entropy = Callable[[int], bytes]


class Core:
    """The shared middle of one machine.

    Attributes:
        keys: This device's private keys.
        own: The same, as hellos show them.
        trust: Verified state; says who is in force.
        config: Timers and factors.
        random: Seeded chance for choices that need not be secret.
        entropy: Bytes nobody can guess, for keys and challenges.
        timers: All deadlines.
        counters: How often what happened, by name.
        devices: Devices in force at the last look, by id.
        device: This device's own device envelope, if the driver gave it.
        is_removed: Whether this device itself is revoked: then it talks to nobody.
        guests: Members to join through that trust does not know yet: their static gossip keys.
        health: Lifeguard's local health score; 0 is good.
        heard_at: When any member last proved itself to us.
    """

    members: "Members"
    sessions: "Sessions"
    paths: "Paths"
    anchors: "Anchors"
    outreach: "Outreach"
    transport: "Transport"
    broadcast: "Broadcast"
    record: "OwnRecord"
    intake: "Intake"
    statements: "Statements"
    roster: "Roster"
    suspicion: "Suspicion"
    prober: "Prober"
    reconciler: "Reconciler"
    bulk: "Bulk"
    admission: "Admission"

    def __init__(
        self,
        *,
        keys: DeviceKeys,
        trust: Trust,
        config: Config,
        random: "Random",
        entropy: Entropy,
        sink: Sink,
    ) -> None:
        self.keys = keys
        self.trust = trust
        self.config = config
        self.random = random
        self.entropy = entropy
        self.timers = Timers()
        self.counters: Counter[str] = Counter()
        self.devices: dict[bytes, Device] = {}
        self.device: bytes | None = None
        self.is_removed = False
        self.guests: dict[bytes, bytes] = {}
        self.health = 0
        self.heard_at = 0.0
        self.own = Own(trust.mesh_id, keys.device_id, keys.gossip_private, keys.gossip_public)
        self._sink = sink
        self._offset = 0.0
        self._uncertainty = 0.0

    @property
    def me(self) -> bytes:
        """Our device id."""
        return self.own.device_id

    def set_clock(self, offset: float, uncertainty: float) -> None:
        """Take wall time as `now` + offset, wrong by at most `uncertainty` seconds."""
        self._offset = offset
        self._uncertainty = uncertainty

    def wall(self, now: float) -> Interval:
        """Return the wall time at monotonic `now`."""
        return Interval.around(now + self._offset, self._uncertainty)

    def wall_ms(self, now: float) -> int:
        """Return our best guess of the wall time, in milliseconds."""
        return max(0, int((now + self._offset) * 1_000))

    def wall_seconds(self, now: float) -> int:
        """Return our best guess of the wall time, as objects carry it."""
        return self.wall_ms(now) // 1_000

    def monotonic(self, wall: float) -> float:
        """Return when, by `now`, the wall clock will show `wall`."""
        return wall - self._offset

    def count(self, name: str, times: int = 1) -> None:
        """Count something that happened."""
        self.counters[name] += times

    def emit(self, event: Event) -> None:
        """Tell the driver."""
        self._sink.event(event)

    def send(self, now: float, address: tuple[str, int], data: bytes) -> None:
        """Send one datagram."""
        self.counters["datagrams_sent"] += 1
        self.counters["bytes_sent"] += len(data)
        self.paths.contacted.add(now, address)
        self._sink.send(address, data)

    def worsen(self, points: int) -> None:
        """Take points off our own health (the score rises; Lifeguard section IV.A)."""
        self.health = max(0, min(self.config.health_max, self.health + points))

    def in_force(self, device_id: bytes) -> bool:
        """Say whether a device was in force at the last look."""
        return device_id in self.devices

    def may_talk(self, device_id: bytes) -> bool:
        """Say whether to exchange messages with a device: one in force, or one to join through.

        The latter is only a carrier: whatever it brings is verified like everything else.
        """
        known = device_id in self.devices or device_id in self.guests
        return known and not self.is_removed
