"""Protocols and ports as Tailscale writes them, as the ranges that our rules name.

The meanings are those of the syntax reference (tailscale.com/docs/reference/syntax/policy-file,
`proto` and `dst`, and .../grants, `ip`): without a protocol, TCP and UDP are meant; only TCP, UDP
and SCTP have ports; and where anything may pass from one device to another, ICMP of either kind
may too. So every range that is granted brings ICMP along.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from policy.importers.findings import NoEquivalentError
from policy.ports import ICMP, ICMPV6, PORT_MAX, PORT_MIN, PORTED, PortRange, normalise

Ports = tuple[PortRange, ...]

EVERY: Final = "*"
_ICMP: Final = (PortRange(ICMP), PortRange(ICMPV6))
_WITHOUT_PROTOCOL: Final = (PORTED["tcp"], PORTED["udp"])
_NUMBERS: Final[Mapping[str, int]] = {
    **PORTED,
    "icmp": ICMP,
    "igmp": 2,
    "ipv4": 4,
    "ip-in-ip": 4,
    "egp": 8,
    "igp": 9,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": ICMPV6,
    "fc": 133,
}


def protocol(text: str) -> int:
    """Read a protocol by its name or IANA number.

    Raises:
        NoEquivalentError: It is none, or one that our rules can not name.
    """
    number = _NUMBERS.get(text.lower(), _number(text))
    if number is None or not 0 < number < 256 or text.startswith("0"):
        raise NoEquivalentError("is no protocol: Tailscale takes names and numbers from 1 to 255")
    if number not in {*PORTED.values(), ICMP, ICMPV6}:
        raise NoEquivalentError("rules here can name tcp, udp, sctp and icmp, and no more")
    return number


def granted(proto: int | None, ports: str) -> Ports:
    """Give what ports of a protocol, or of none, let through.

    Raises:
        NoEquivalentError: They are no ports, or the protocol has none.
    """
    spans = _spans(ports)
    if proto in {ICMP, ICMPV6}:
        if ports != EVERY:
            raise NoEquivalentError('ICMP has no ports; Tailscale takes "*" alone')
        return _ICMP
    protos = _WITHOUT_PROTOCOL if proto is None else (proto,)
    return normalise([*_ICMP, *(PortRange(each, *span) for each in protos for span in spans)])


def granted_by_capability(text: str) -> Ports:
    """Give what an entry of a grant's `ip` lets through: `*`, `443`, `tcp:443`, `udp:*`.

    Raises:
        NoEquivalentError: It is none of these, or of a protocol that our rules can not name.
    """
    proto, colon, ports = text.rpartition(":")
    return granted(protocol(proto) if colon else None, ports)


def tested(proto: int | None, port: str) -> tuple[str, ...]:
    """Give the flows that a test asks about, one of which is enough for `accept`.

    Raises:
        NoEquivalentError: It is not about a single port.
    """
    number = _number(port)
    if number is None:
        raise NoEquivalentError("tests are about one port by its number")
    if proto in {ICMP, ICMPV6}:
        return ("icmp",)
    if not PORT_MIN <= number <= PORT_MAX:
        raise NoEquivalentError(f"{port} is no port")
    protos = _WITHOUT_PROTOCOL if proto is None else (proto,)
    return tuple(str(PortRange(each, number, number)) for each in protos)


def texts(ports: Iterable[PortRange]) -> tuple[str, ...]:
    """Write ranges as a rule does; `icmp` stands for both kinds."""
    return tuple(str(each) for each in ports if each.proto != ICMPV6)


def _spans(text: str) -> list[tuple[int, int]]:
    """Read `*`, `22`, `80,443` or `1000-2000`."""
    if text == EVERY:
        return [(PORT_MIN, PORT_MAX)]
    return [_span(each.strip()) for each in text.split(",")]


def _span(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    lo = _number(first)
    hi = _number(last) if dash else lo
    if lo is None or hi is None:
        raise NoEquivalentError(f'"{text}" is no port, range of ports or "*"')
    if not PORT_MIN <= lo <= hi <= PORT_MAX:
        raise NoEquivalentError(f'"{text}" is not within the ports {PORT_MIN} to {PORT_MAX}')
    return lo, hi


def _number(text: str) -> int | None:
    """Read a short number, or give None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
