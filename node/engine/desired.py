"""What the kernel should hold: the records between the engine and the kernel drivers.

The engine computes a `Desired` as a pure function of verified state and time; the drivers in
node/kernel make the kernel hold it and apply only the difference.

Every dynamic permission carries its deadline down to the kernel, so it ends on time even when no
daemon runs. The firewall plan is three tables, once per direction:

    peer address -> class      which peers hold equal grants
    class, port  -> grant id   what a class may reach
    (peer, grant id) in live   the permission itself, with its deadline

A grant id (gid) is the connection's mark. It encodes direction, protocol, ports and rules and
never changes meaning, so a mark that outlives a change of policy cannot open anything new.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LiveKey = tuple[Address, int]

# Our marks are 0x48000000 | 24 bits, in both directions (0x48 is "H"): other software that marks
# connections keeps the rest of the 32-bit space.
GID_PREFIX = 0x4800_0000
GID_MASK = 0xFF00_0000


@dataclass(frozen=True, slots=True, order=True)
class PortKey:
    """One key of the grants table: what a class of peers may reach.

    Attributes:
        cls: The class number, 1 to 2**32 - 1.
        proto: IANA protocol number, or None for any protocol (then without ports). 1 and 58 both
            mean "ICMP of the packet's family": the driver installs either as both.
        lo: First port, or None for every port of the protocol and for protocols without ports.
        hi: Last port, inclusive; None exactly when `lo` is None.
    """

    cls: int
    proto: int | None
    lo: int | None
    hi: int | None


def _no_classes() -> Mapping[Address, int]:
    return MappingProxyType({})


def _no_ports() -> Mapping[PortKey, int]:
    return MappingProxyType({})


def _no_live() -> Mapping[LiveKey, float | None]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Direction:
    """The grants of one direction: inbound (peers reach us) or outbound (we reach peers).

    The mappings are not changed once they are handed over: a driver remembers them as what the
    kernel holds, and takes the same mapping for no change.

    Attributes:
        classes: Class of each peer address. A peer's IPv4 and IPv6 address share one class.
        ports: Grant id for each class and port range. Ranges of one class and protocol never
            overlap; a specific port goes before the whole protocol, and that before any.
        live: The permissions: (peer address, grant id) to its deadline in Unix seconds, or None
            for one that has no deadline.
    """

    classes: Mapping[Address, int] = field(default_factory=_no_classes)
    ports: Mapping[PortKey, int] = field(default_factory=_no_ports)
    live: Mapping[LiveKey, float | None] = field(default_factory=_no_live)


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """Everything the node's own table holds.

    Attributes:
        interface: The tunnel's name.
        address4: Our own address in `pool4`.
        address6: Our own address in `pool6`.
        pool4: The mesh's IPv4 range: sources in it are refused on every other interface.
        pool6: The mesh's IPv6 range, likewise.
        wireguard_port: The one port P that the outside sees.
        control_port: The port Q that the control socket is bound to, or None when WireGuard and
            the control socket use two visible ports.
        inbound: What peers may reach here.
        outbound: What we may reach at peers.
    """

    interface: str
    address4: IPv4Address
    address6: IPv6Address
    pool4: IPv4Network
    pool6: IPv6Network
    wireguard_port: int
    control_port: int | None
    inbound: Direction = field(default_factory=Direction)
    outbound: Direction = field(default_factory=Direction)


@dataclass(frozen=True, slots=True)
class TunnelPeer:
    """One WireGuard peer.

    Attributes:
        device_id: The peer's Ed25519 key.
        public_key: Its WireGuard key, 32 bytes.
        allowed_ips: Exactly its own addresses (/32, /128), never a shared subnet.
        endpoint: Where to send, or None to leave what WireGuard has learned alone.
        keepalive_seconds: Persistent keepalive, 0 for none.
        begins: Whether this end sets the peer up and shakes hands first. Exactly one of two ends
            begins: two initiations that cross undo each other.
    """

    device_id: bytes
    public_key: bytes
    allowed_ips: tuple[Network, ...]
    endpoint: tuple[str, int] | None
    keepalive_seconds: int
    begins: bool = True


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole state that the kernel should hold now.

    Attributes:
        plan: The firewall.
        peers: WireGuard peers by public key. A peer that no rule allows in either direction is
            not in it, and gets no answer.
        routes: Networks to send into the tunnel.
    """

    plan: FirewallPlan
    peers: Mapping[bytes, TunnelPeer]
    routes: tuple[Network, ...]
