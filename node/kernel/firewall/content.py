"""The elements of the firewall's table, as one comparable record.

Both sides of a difference are a `Content`: what a plan wants, and what the kernel was read to
hold. Keys are normalised on the way in, so that equal content compares equal wherever it came
from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.engine.desired import Address, Direction, FirewallPlan, LiveKey, PortKey

TCP = 6
UDP = 17
SCTP = 132
ICMP = 1
ICMPV6 = 58

# The kernel reads ports only of protocols it parses; `th dport` on any other protocol would read
# two bytes of something else as a port (Nebula issue 1840).
PORT_PROTOCOLS = frozenset({TCP, UDP, SCTP})


@dataclass(frozen=True, slots=True)
class Content:
    """All elements of the table.

    Attributes:
        in_classes: Peer address to class, for flows that peers open to us.
        in_ports: What each inbound class may reach, to grant ids.
        out_classes: Peer address to class, for flows that we open.
        out_ports: What each outbound class may reach, to grant ids.
        live: The permissions in force, to their deadlines in Unix seconds, or None. Both
            directions share it, because a grant id belongs to one direction only.
    """

    in_classes: Mapping[Address, int]
    in_ports: Mapping[PortKey, int]
    out_classes: Mapping[Address, int]
    out_ports: Mapping[PortKey, int]
    live: Mapping[LiveKey, float | None]

    def shifted(self, seconds: float) -> "Content":
        """Return the same content with every deadline moved by `seconds`."""
        live = {
            key: None if deadline is None else deadline + seconds
            for key, deadline in self.live.items()
        }
        return replace(self, live=live)


EMPTY = Content({}, {}, {}, {}, {})


def wanted(plan: FirewallPlan, now: float) -> Content:
    """Return what the table should hold at `now` for `plan`.

    A permission whose deadline has passed is left out, whatever the plan says.
    """
    live = {**plan.inbound.live, **plan.outbound.live}
    over = [key for key, until in live.items() if until is not None and until <= now]
    for key in over:
        del live[key]
    return Content(
        plan.inbound.classes,
        _installable(plan.inbound),
        plan.outbound.classes,
        _installable(plan.outbound),
        live,
    )


def _installable(direction: Direction) -> dict[PortKey, int]:
    """Return the keys the kernel can look up, with ICMP under both families' numbers.

    A key with ports of a protocol that has none the kernel can read is left out: closed.
    """
    ports = {
        key: gid
        for key, gid in direction.ports.items()
        if key.lo is None or key.proto in PORT_PROTOCOLS
    }
    for key in [key for key in ports if key.proto in {ICMP, ICMPV6}]:
        twin = ICMPV6 if key.proto == ICMP else ICMP
        ports.setdefault(PortKey(key.cls, twin, None, None), ports[key])
    return ports


def same(found: Content, known: Content, now: float, *, tolerance_seconds: float = 2.0) -> bool:
    """Say whether `found` is what `known` has become by `now`.

    Elements whose deadline has come may be gone, and the kernel prints deadlines roughly.
    """
    if (found.in_classes, found.in_ports) != (known.in_classes, known.in_ports):
        return False
    if (found.out_classes, found.out_ports) != (known.out_classes, known.out_ports):
        return False
    if any(key not in known.live for key in found.live):
        return False
    for key, until in known.live.items():
        if key not in found.live:
            if until is None or until > now + tolerance_seconds:
                return False
        elif not _near(found.live[key], until, tolerance_seconds):
            return False
    return True


def _near(one: float | None, other: float | None, tolerance_seconds: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance_seconds
