"""Meshes in a simulated world, for the tests of the gossip core.

town = Town(seed=1)
founder = town.approved("founder")          # its device is signed by the registrar
guest = town.invited("guest", founder)      # joins through the founder with a ticket
town.settle()
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, TypeVar

from crypto.clock import Interval
from crypto.errors import PeerError
from crypto.objects import Device, Ticket
from crypto.signing import ObjectType
from crypto.trust import Trust
from gossip import messages as m
from gossip.config import Config
from gossip.events import Address, Event, MemberState, ObjectAdmitted, PartAdmitted, Seed
from gossip.machine import Machine
from simnet.links import Link
from simnet.natbox import NatBox
from simnet.world import Host, World
from tests.forge import NOW, Forged, Mesh

PORT = 4_242
E = TypeVar("E")


class Villager:
    """One device with its host, its store and all lives of its machine."""

    def __init__(
        self, town: "Town", device: Forged[Device], known: Iterable[bytes], seeds: list[Seed]
    ) -> None:
        self.town = town
        self.device = device
        self.keys = device.keys
        self.store: list[bytes] = list(known)
        self.parts: dict[bytes, bytes] = {}
        self.seeds = seeds
        self.wanted: list[bytes] = []
        self.trust: Trust
        self.host: Host
        self.nat: NatBox | None = None

    @property
    def id(self) -> bytes:
        """Device id."""
        return self.device.body.device_id

    @property
    def machine(self) -> Machine:
        """The machine of the present life."""
        assert isinstance(self.host.machine, Machine)
        return self.host.machine

    @property
    def address(self) -> Address:
        """Own socket address."""
        return self.host.address

    @property
    def seed(self) -> Seed:
        """How others join through this one."""
        return Seed(self.address, self.id, self.device.body.gossip_public)

    def make(self, host: Host, now: float, boot_ms: int) -> Machine:
        """Start a life: trust from the store, machine, endpoints, seeds."""
        self.host = host
        host.on_event = self.on_event
        wall = boot_ms / 1_000
        self.trust = Trust(self.town.mesh.roots[0])
        for raw in self.store:
            try:
                self.trust.admit(raw, Interval.exact(wall))
            except PeerError:
                continue
        for data in self.parts.values():
            self.trust.admit_part(data)
        assert self.keys is not None
        label = f"{self.device.body.name} {boot_ms}"
        machine = Machine(
            keys=self.keys,
            trust=self.trust,
            config=self.town.config,
            random=self.town.world.random(label),
            entropy=self.town.world.entropy(label),
            sink=host,
            now=now,
            boot_ms=boot_ms,
        )
        machine.set_endpoints(now, [host.address])
        machine.join(now, self.seeds, device=self.device.raw)
        machine.want(now, self.wanted)
        return machine

    def on_event(self, event: Event) -> None:
        """Persist as the daemon does."""
        if isinstance(event, ObjectAdmitted):
            self.store.append(event.raw)
        elif isinstance(event, PartAdmitted):
            self.parts[event.hash] = event.data

    def events(self, kind: type[E]) -> list[E]:
        """Return all events of a kind so far."""
        return [event for _, event in self.host.events if isinstance(event, kind)]

    def state(self, other: "Villager") -> MemberState:
        """Return what this one thinks of another."""
        return self.machine._core.members.state(other.id)

    def path(self, other: "Villager") -> Address | None:
        """Return this one's path to another."""
        return self.machine._core.paths.proven_address(other.id)

    def do(self, request: Callable[[Machine, float], object]) -> None:
        """Make a request of the machine and arm its timers."""
        request(self.machine, self.town.world.now)
        self.host.arm()

    def publish(self, *objects: Forged[Any]) -> None:
        """Publish objects."""
        for item in objects:
            self.machine.publish(self.town.world.now, item.raw)
        self.host.arm()

    def say(self, other: "Villager", *messages: m.Message) -> None:
        """Send messages of any content over this one's session, as only a rogue would."""
        now = self.town.world.now
        assert self.machine._core.transport.send(now, other.id, *messages, address=other.address)

    def push(self, other: "Villager", *objects: Forged[Any] | bytes) -> None:
        """Push objects to another without asking this one's own machine."""
        raws = tuple(item if isinstance(item, bytes) else item.raw for item in objects)
        self.say(other, m.Push(raws))

    def count(self, name: str) -> int:
        """Return one of the counters."""
        return self.machine.stats().get(name, 0)

    def crash(self) -> None:
        """Stop at once."""
        self.host.crash()

    def want(self, *others: "Villager") -> None:
        """Want direct paths."""
        self.wanted = [other.id for other in others]
        self.do(lambda machine, now: machine.want(now, self.wanted))


class Town:
    """A mesh, a world, and who lives there."""

    def __init__(
        self,
        seed: int = 1,
        *,
        link: Link | None = None,
        config: Config | None = None,
        uses: int = 200,
    ) -> None:
        self.mesh = Mesh()
        self.config = config or Config.for_lan(32)
        self.world = World(seed, link=link, epoch_seconds=NOW + 100)
        self.ticket: Forged[Ticket] = self.mesh.ticket("town", uses=uses)
        self.villagers: list[Villager] = []

    def approved(
        self,
        label: str,
        *,
        knows: Iterable[bytes] = (),
        seeds: Iterable[Seed] = (),
        nat: NatBox | None = None,
    ) -> Villager:
        """Add a device that the registrar signed."""
        device = self.mesh.device(label)
        return self._add(device, [*self.mesh.roots[1:], device.raw, *knows], list(seeds), nat)

    def invited(
        self,
        label: str,
        via: Villager,
        *,
        ticket: Forged[Ticket] | None = None,
        device: Forged[Device] | None = None,
        nat: NatBox | None = None,
    ) -> Villager:
        """Add a device that joins through another with a ticket; `device` replaces its object."""
        ticket = ticket or self.ticket
        device = device or self.mesh.device(label, ticket)
        known = [*self.mesh.roots[1:], ticket.raw, device.raw]
        return self._add(device, known, [via.seed], nat)

    def grown(self, size: int) -> list[Villager]:
        """Return a town of this many: one founder and those who joined through it, all in sync."""
        founder = self.approved("founder")
        for number in range(1, size):
            self.invited(f"n{number}", founder)
        took = self.until(self.is_settled, limit=60.0)
        assert took is not None, "the town did not settle"
        # The first records follow one another while members see each other's addresses.
        self.run(2.0)
        return list(self.villagers)

    def is_settled(self) -> bool:
        """Say whether everybody holds the same and takes everybody else for alive."""
        running = [v for v in self.villagers if v.host.machine is not None]
        prints = {villager.machine.fingerprint() for villager in running}
        if len(prints) > 1:
            return False
        return self.all_see(MemberState.ALIVE)

    def all_see(self, state: MemberState, *about: Villager) -> bool:
        """Say whether everybody who runs thinks this of all others, or of those named."""
        subjects = about or tuple(self.villagers)
        running = [v for v in self.villagers if v.host.machine is not None and v not in about]
        return all(v.state(s) is state for v in running for s in subjects if s is not v)

    def until(self, condition: Callable[[], bool], *, limit: float = 30.0) -> float | None:
        """Run until a condition holds; return how long that took."""
        return self.world.run_until(condition, limit_seconds=limit)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def holders(self, identity: bytes) -> int:
        """Return how many hold an object."""
        return sum(v.trust.raw(identity) is not None for v in self.villagers)

    def _add(
        self, device: Forged[Device], known: list[bytes], seeds: list[Seed], nat: NatBox | None
    ) -> Villager:
        villager = Villager(self, device, known, seeds)
        number = len(self.villagers) + 1
        ip = f"10.0.{number // 250}.{number % 250 + 1}"
        if nat is not None:
            ip = f"192.168.{number}.2"
        self.villagers.append(villager)
        villager.nat = nat
        # Nobody is born in one millisecond with another: a hello has to be younger than a boot.
        self.world.run(0.002)
        self.world.add((ip, PORT), villager.make, nat=nat)
        return villager


def part_hash(data: bytes) -> bytes:
    """Return the name of a part."""
    return sha256(data).digest()


__all__ = ["PORT", "ObjectType", "Town", "Villager", "part_hash"]
