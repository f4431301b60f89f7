"""A NAT of the common kind: one public address, one port for each inside socket, strict filter.

Mapping is endpoint-independent, filtering address- and port-dependent (RFC 4787 sections 4.1 and
5): a datagram from outside passes only if the inside socket has sent to exactly its source within
the time limit. So two hosts behind two such boxes meet only if both send.
"""

from typing import Final

from gossip.events import Address

FIRST_PORT: Final = 40_000
TIMEOUT_SECONDS: Final = 30.0


class NatBox:
    """Translates between inside sockets and one public address."""

    def __init__(self, public_ip: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.public_ip = public_ip
        self._timeout = timeout_seconds
        self._ports: dict[Address, int] = {}
        self._inside: dict[int, Address] = {}
        self._open: dict[tuple[int, Address], float] = {}

    def outbound(self, now: float, inside: Address, target: Address) -> Address:
        """Return the public source of a datagram, and let answers from its target in."""
        port = self._ports.get(inside)
        if port is None:
            port = self._ports[inside] = FIRST_PORT + len(self._ports)
            self._inside[port] = inside
        self._open[port, target] = now
        return self.public_ip, port

    def inbound(self, now: float, port: int, source: Address) -> Address | None:
        """Return the inside socket that a datagram from `source` goes to, or None to drop it."""
        opened = self._open.get((port, source))
        if opened is None or now - opened > self._timeout:
            return None
        self._open[port, source] = now
        return self._inside[port]

    def rebind(self) -> None:
        """Forget all mappings, as a box does that restarts: sockets get new ports."""
        self._inside.clear()
        self._open.clear()
        self._ports = {inside: port + 1_000 for inside, port in self._ports.items()}
        self._inside = {port: inside for inside, port in self._ports.items()}
