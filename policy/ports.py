"""Ports as rules write them (`tcp/8000-8010`) and as the kernel matches them.

A flow has a protocol number (IANA) and, if the kernel parsed one, a destination port. A range says
which flows it covers. There are three shapes: ports of one protocol, one protocol without ports,
and anything at all. Only protocols whose ports the kernel reads can be named with ports; every
other one is covered by `any` alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

PORT_MIN: Final = 1
PORT_MAX: Final = 65_535
ICMP: Final = 1
ICMPV6: Final = 58
# Protocols with ports that nftables reads with `th dport`.
PORTED: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_NAMES: Final = {number: name for name, number in PORTED.items()} | {
    ICMP: "icmp",
    ICMPV6: "icmpv6",
}


@dataclass(frozen=True, slots=True)
class PortRange:
    """Some ports of one protocol, a protocol without ports, or anything.

    Attributes:
        proto: IANA protocol number; None covers every flow, with ports or without.
        lo: First port, or None for a protocol without ports.
        hi: Last port, included.
    """

    proto: int | None = None
    lo: int | None = None
    hi: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no flow could match.

        Raises:
            ValueError: The three values do not make one of the three shapes.
        """
        ported = self.proto in PORTED.values()
        if self.lo is None or self.hi is None:
            right = self.lo is None and self.hi is None and not ported
        else:
            right = ported and PORT_MIN <= self.lo <= self.hi <= PORT_MAX
        if not right or self.proto not in {None, *_NAMES}:
            raise ValueError(
                f"protocol {self.proto} with ports {self.lo} to {self.hi} is no range; a range is "
                f"tcp, udp or sctp with ports {PORT_MIN} to {PORT_MAX}, icmp without, or any"
            )

    @property
    def sort_key(self) -> tuple[int, int]:
        """Order: anything first, then by protocol and first port."""
        return (-1 if self.proto is None else self.proto, self.lo or 0)

    def covers(self, proto: int | None, port: int | None) -> bool:
        """Say whether a flow is in the range; `proto` None is one that no rule can name."""
        if self.proto is None:
            return True
        if self.proto != proto:
            return False
        if self.lo is None or self.hi is None:
            return True
        return port is not None and self.lo <= port <= self.hi

    def overlaps(self, other: "PortRange") -> bool:
        """Say whether some flow is in both ranges."""
        if self.proto is None or other.proto is None:
            return True
        if self.proto != other.proto:
            return False
        return (self.lo or 0) <= (other.hi or 0) and (other.lo or 0) <= (self.hi or 0)

    def contains(self, other: "PortRange") -> bool:
        """Say whether every flow of another range is in this one."""
        if self.proto is None:
            return True
        same = self.proto == other.proto
        return same and (self.lo or 0) <= (other.lo or 0) and (other.hi or 0) <= (self.hi or 0)

    def __str__(self) -> str:
        """Write the range as a rule does."""
        if self.proto is None:
            return "any"
        name = _NAMES[self.proto]
        if self.lo is None or (self.lo, self.hi) == (PORT_MIN, PORT_MAX):
            return name
        return f"{name}/{self.lo}" if self.lo == self.hi else f"{name}/{self.lo}-{self.hi}"


ANY: Final = PortRange()


def parse_ports(text: str) -> tuple[PortRange, ...]:
    """Read `tcp/22`, `udp/5000-5010`, `tcp` (every port), `icmp` or `any`.

    `icmp` also covers ICMPv6, its counterpart on IPv6, so it makes two ranges.

    Raises:
        ValueError: The text is none of these; the message says what is wrong.
    """
    name, slash, ports = text.partition("/")
    if text == "any":
        return (ANY,)
    if text == "icmp":
        return (PortRange(ICMP), PortRange(ICMPV6))
    if name not in PORTED:
        known = ", ".join(sorted(PORTED))
        raise ValueError(f'"{text}" names no protocol; write {known} with a port, icmp, or any')
    if not slash:
        return (PortRange(PORTED[name], PORT_MIN, PORT_MAX),)
    first, dash, last = ports.partition("-")
    lo = _port(text, first)
    hi = _port(text, last) if dash else lo
    if lo > hi:
        raise ValueError(f'"{text}" runs backwards; write the lower port first')
    return (PortRange(PORTED[name], lo, hi),)


def _port(text: str, digits: str) -> int:
    """Read one port number."""
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f'"{text}" has no port number after the slash; write for example tcp/443')
    number = int(digits) if len(digits.lstrip("0")) <= len(str(PORT_MAX)) else PORT_MAX + 1
    if not PORT_MIN <= number <= PORT_MAX:
        raise ValueError(f'"{text}" has a port outside {PORT_MIN} to {PORT_MAX}')
    return number


def normalise(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """Sort, and join what overlaps or touches, so that one meaning has one form."""
    by_proto: dict[int, list[PortRange]] = defaultdict(list)
    for item in ranges:
        if item.proto is None:
            return (ANY,)
        by_proto[item.proto].append(item)
    return tuple(joined for proto in sorted(by_proto) for joined in _join(by_proto[proto]))


def is_normal(ranges: Sequence[PortRange]) -> bool:
    """Say whether ranges are what `normalise` makes of them, and some."""
    for one, other in pairwise(ranges):
        if one.proto is None or other.proto is None or one.proto > other.proto:
            return False
        same = one.proto == other.proto
        if same and (one.hi is None or other.lo is None or other.lo <= one.hi + 1):
            return False
    return bool(ranges)


def _join(ranges: Sequence[PortRange]) -> list[PortRange]:
    """Join the ranges of one protocol."""
    joined: list[PortRange] = []
    for item in sorted(ranges, key=lambda each: each.sort_key):
        if not joined:
            joined.append(item)
            continue
        last = joined[-1]
        if last.lo is None or last.hi is None or item.lo is None or item.hi is None:
            continue
        if item.lo > last.hi + 1:
            joined.append(item)
        else:
            joined[-1] = PortRange(last.proto, last.lo, max(last.hi, item.hi))
    return joined


def describe(ranges: Iterable[PortRange]) -> str:
    """Write ranges for a person: `tcp/22, tcp/443, icmp`."""
    texts = dict.fromkeys(str(item) for item in ranges)
    if "icmp" in texts:
        texts.pop("icmpv6", None)
    return ", ".join(texts)
