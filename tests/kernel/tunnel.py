"""Two machines with a real tunnel between them, driven by the real drivers."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from crypto.agreement import x25519_public
from node.engine.desired import Direction, FirewallPlan, PortKey, TunnelPeer
from node.kernel import links
from node.kernel.firewall import Firewall
from node.kernel.wireguard import UserspaceWireGuard
from tests.netns import Namespace, namespaces, veth

POOL4 = IPv4Network("100.64.0.0/10")
POOL6 = IPv6Network("fd12:3456:789a::/48")
TCP, UDP, ICMP, SCTP = 6, 17, 1, 132
IN, OUT = 0x4800_1000, 0x4880_1000
_counter = itertools.count()

# Protocol, first port, last port, grant id, deadline.
Grant = tuple[int | None, int | None, int | None, int, float | None]


def direction(peer: "Machine", grants: Iterable[Grant], *, cls: int = 7) -> Direction:
    """Return the elements that grant `grants` to one peer, on both of its addresses."""
    listed = list(grants)
    addresses = (peer.address4, peer.address6)
    return Direction(
        dict.fromkeys(addresses, cls),
        {PortKey(cls, proto, lo, hi): gid for proto, lo, hi, gid, _ in listed},
        {(address, gid): until for _, _, _, gid, until in listed for address in addresses},
    )


def named() -> str:
    """Return an interface name that no other test uses."""
    return f"hgt{os.getpid()}n{next(_counter)}"[:15]


@dataclass
class Machine:
    """One end of the tunnel.

    Attributes:
        namespace: Where it lives.
        number: 1 or 2: the host part of its addresses.
        interface: Its tunnel.
        underlay: Its address on the cable.
        control_port: The inner port of the control socket, or None for none.
    """

    namespace: Namespace
    number: int
    interface: str
    underlay: str
    control_port: int | None = None
    port: int = 51820
    firewall: Firewall = field(default_factory=Firewall)
    wireguard: UserspaceWireGuard = field(default_factory=UserspaceWireGuard)

    @property
    def address4(self) -> IPv4Address:
        """Its address on the tunnel."""
        return POOL4[self.number]

    @property
    def address6(self) -> IPv6Address:
        """Its IPv6 address on the tunnel."""
        return POOL6[self.number]

    @property
    def private_key(self) -> bytes:
        """Its WireGuard key."""
        return bytes([self.number]) * 32

    def peer(self, endpoint: tuple[str, int] | None = None) -> TunnelPeer:
        """Return the entry that others have for it."""
        return TunnelPeer(
            bytes([self.number]) * 32,
            x25519_public(self.private_key),
            (ip_network(self.address4), ip_network(self.address6)),
            endpoint,
            0,
        )

    def plan(
        self, inbound: Direction | None = None, outbound: Direction | None = None
    ) -> FirewallPlan:
        """Return its firewall plan."""
        return FirewallPlan(
            self.interface,
            self.address4,
            self.address6,
            POOL4,
            POOL6,
            self.port,
            self.control_port,
            inbound or Direction(),
            outbound or Direction(),
        )

    def install(self) -> None:
        """Put the static deny in place."""
        self.namespace.wait(lambda: self.firewall.install(self.plan()))

    def grant(self, inbound: Direction | None = None, outbound: Direction | None = None) -> None:
        """Make the kernel hold exactly these grants."""
        plan = self.plan(inbound, outbound)
        self.namespace.wait(lambda: self.firewall.apply(plan, time.time()))  # noqa: TID251 - wall

    def up(self, *peers: TunnelPeer) -> None:
        """Start the tunnel with these peers."""

        async def work() -> None:
            await self.wireguard.up(self.interface, self.private_key, self.port)
            await links.set_addresses(self.interface, (self.address4, self.address6))
            await links.sync_routes(self.interface, (POOL4, POOL6))
            await self.wireguard.apply({peer.public_key: peer for peer in peers})

        self.namespace.wait(work)

    def count(self, counter: str) -> int:
        """Return how many packets one of the firewall's counters has seen."""
        found = self.namespace.wait(self.firewall.readback)
        assert found is not None
        return found.counters[counter].packets

    def counted(self, counter: str, packets: int) -> bool:
        """Wait until a counter has reached `packets`; say whether it did and went no further.

        A packet takes its time through the tunnel, so a test that expects one waits for it.
        """
        end = time.monotonic() + 5
        while self.count(counter) < packets and time.monotonic() < end:
            time.sleep(0.02)
        return self.count(counter) == packets


@contextlib.contextmanager
def tunnel(*, connect: bool = True) -> Iterator[tuple[Machine, Machine]]:
    """Yield two machines with firewalls that deny everything and a tunnel that is up."""
    with namespaces(2) as (one, two):
        veth(one, two, "eth0", "eth0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        for namespace, number in ((one, 1), (two, 2)):
            namespace.run("ip", "addr", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad")
        machines = [
            Machine(one, 1, named(), "192.0.2.1"),
            Machine(two, 2, named(), "192.0.2.2"),
        ]
        a, b = machines
        try:
            for machine, other in ((a, b), (b, a)):
                machine.install()
                place = (other.underlay, other.port)
                machine.up(*([other.peer(place)] if connect else []))
            yield a, b
        finally:
            for machine in machines:
                machine.namespace.wait(machine.wireguard.down)
