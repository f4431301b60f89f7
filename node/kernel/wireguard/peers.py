"""What WireGuard holds about its peers, and the least that must be said to change it.

Pure, and shared by both backends. WireGuard is never told to replace all peers: that would drop
every session. What it has learned by itself, a peer's newest endpoint, is left alone until the
wish changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crypto.errors import LocalError
from node.engine.desired import Network, TunnelPeer

Endpoint = tuple[str, int]
KEY_BYTES = 32


class WireGuardError(LocalError):
    """WireGuard did not do what was asked. What it holds is read back before the next change."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How a peer is doing.

    Attributes:
        endpoint: Where WireGuard sends to now, or None when it knows no place.
        last_handshake: Unix seconds, 0.0 when there was none.
        rx: Bytes received from it.
        tx: Bytes sent to it.
    """

    endpoint: Endpoint | None
    last_handshake: float
    rx: int
    tx: int


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """What we last told, or read of, a peer's configuration."""

    allowed_ips: frozenset[Network]
    endpoint: Endpoint | None
    keepalive_seconds: int


@dataclass(frozen=True, slots=True)
class PeerChange:
    """One peer's difference. A field that is None is left as it is.

    Attributes:
        public_key: Whose.
        remove: Take the peer out; nothing else is set then.
        create: The peer is new; otherwise only an existing one is changed.
        allowed_ips: The whole new list.
        endpoint: Where to send from now on.
        keepalive_seconds: The new interval.
    """

    public_key: bytes
    remove: bool = False
    create: bool = False
    allowed_ips: tuple[Network, ...] | None = None
    endpoint: Endpoint | None = None
    keepalive_seconds: int | None = None


def same_key(one: bytes, two: bytes) -> bool:
    """Say whether two private keys are one key.

    WireGuard reports a key with its unused bits fixed (RFC 7748 section 5), however it was set.
    """
    return len(one) == len(two) == KEY_BYTES and _clamped(one) == _clamped(two)


def _clamped(key: bytes) -> bytes:
    return bytes([key[0] & 0xF8, *key[1:-1], key[-1] & 0x7F | 0x40])


def changes(
    known: Mapping[bytes, KnownPeer], wanted: Mapping[bytes, TunnelPeer]
) -> Iterator[PeerChange]:
    """Yield what turns `known` into `wanted`, removals first.

    Removals come first, because an address belongs to one peer at a time.
    """
    for key in known:
        if key not in wanted:
            yield PeerChange(key, remove=True)
    for key, peer in wanted.items():
        change = _change(key, known.get(key), peer)
        if change is not None:
            yield change


def _change(key: bytes, before: KnownPeer | None, peer: TunnelPeer) -> PeerChange | None:
    if before is None:
        return PeerChange(
            key,
            create=True,
            allowed_ips=peer.allowed_ips,
            endpoint=peer.endpoint,
            keepalive_seconds=peer.keepalive_seconds or None,
        )
    same_ips = before.allowed_ips == frozenset(peer.allowed_ips)
    same_place = peer.endpoint in {None, before.endpoint}
    same_pulse = before.keepalive_seconds == peer.keepalive_seconds
    if same_ips and same_place and same_pulse:
        return None
    return PeerChange(
        key,
        allowed_ips=None if same_ips else peer.allowed_ips,
        endpoint=None if same_place else peer.endpoint,
        keepalive_seconds=None if same_pulse else peer.keepalive_seconds,
    )


def applied(
    known: Mapping[bytes, KnownPeer], wanted: Mapping[bytes, TunnelPeer]
) -> dict[bytes, KnownPeer]:
    """Return what is known once `changes(known, wanted)` has been carried out."""
    after = {}
    for key, peer in wanted.items():
        endpoint = peer.endpoint
        if endpoint is None and key in known:
            endpoint = known[key].endpoint
        after[key] = KnownPeer(frozenset(peer.allowed_ips), endpoint, peer.keepalive_seconds)
    return after
