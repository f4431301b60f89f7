"""The text that wireguard-go is configured with (the cross-platform userspace interface).

Pure. Source: https://www.wireguard.com/xplatform/. Keys are hexadecimal, an IPv6 endpoint stands
in brackets, an operation ends with an empty line, and an answer ends with its errno.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network

from node.engine.desired import Network
from node.kernel.wireguard.peers import KEY_BYTES, Endpoint, PeerChange, WireGuardError

GET = "get=1\n\n"
END = b"\n\n"


@dataclass(slots=True)
class UapiPeer:
    """One peer as wireguard-go reports it, filled line by line."""

    endpoint: Endpoint | None = None
    allowed_ips: set[Network] = field(default_factory=set)
    keepalive_seconds: int = 0
    handshake_seconds: int = 0
    handshake_nanoseconds: int = 0
    rx: int = 0
    tx: int = 0


@dataclass(slots=True)
class UapiDevice:
    """The whole answer to `get=1`."""

    private_key: bytes = bytes(KEY_BYTES)
    listen_port: int = 0
    peers: dict[bytes, UapiPeer] = field(default_factory=dict)
    errno: int = 0


def render_device(*, private_key: bytes | None = None, listen_port: int | None = None) -> str:
    """Return the operation that sets the device's own values."""
    lines = ["set=1"]
    if private_key is not None:
        lines.append(f"private_key={private_key.hex()}")
    if listen_port is not None:
        lines.append(f"listen_port={listen_port}")
    return "\n".join([*lines, "", ""])


def render_peers(changes: Iterable[PeerChange]) -> str:
    """Return one operation that carries out `changes`."""
    lines = ["set=1"]
    for change in changes:
        lines.append(f"public_key={change.public_key.hex()}")
        if change.remove:
            lines.append("remove=true")
            continue
        if not change.create:
            lines.append("update_only=true")
        if change.endpoint is not None:
            lines.append(f"endpoint={render_endpoint(change.endpoint)}")
        if change.keepalive_seconds is not None:
            lines.append(f"persistent_keepalive_interval={change.keepalive_seconds}")
        if change.allowed_ips is not None:
            lines.append("replace_allowed_ips=true")
            lines += (f"allowed_ip={network}" for network in change.allowed_ips)
    return "\n".join([*lines, "", ""])


def render_endpoint(endpoint: Endpoint) -> str:
    """Return `host:port`, with an IPv6 host in brackets."""
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_endpoint(text: str) -> Endpoint:
    """Return the host and port of `host:port` or `[host]:port`."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def parse(text: str) -> UapiDevice:
    """Return what an answer says.

    Raises:
        WireGuardError: It is not an answer.
    """
    device = UapiDevice()
    peer = UapiPeer()
    try:
        for line in text.strip().splitlines():
            key, _, value = line.partition("=")
            if key == "public_key":
                peer = device.peers.setdefault(bytes.fromhex(value), UapiPeer())
            elif key in {"private_key", "listen_port", "errno"}:
                _device_value(device, key, value)
            else:
                _peer_value(peer, key, value)
    except ValueError as error:
        raise WireGuardError(
            f"wireguard-go gave an answer that cannot be read: {error}",
            remedy="install a wireguard-go of 2022 or later",
        ) from error
    return device


def _device_value(device: UapiDevice, key: str, value: str) -> None:
    if key == "private_key":
        device.private_key = bytes.fromhex(value)
    elif key == "listen_port":
        device.listen_port = int(value)
    else:
        device.errno = int(value)


def _peer_value(peer: UapiPeer, key: str, value: str) -> None:
    match key:
        case "endpoint":
            peer.endpoint = parse_endpoint(value)
        case "allowed_ip":
            peer.allowed_ips.add(ip_network(value))
        case "persistent_keepalive_interval":
            peer.keepalive_seconds = int(value)
        case "last_handshake_time_sec":
            peer.handshake_seconds = int(value)
        case "last_handshake_time_nsec":
            peer.handshake_nanoseconds = int(value)
        case "rx_bytes":
            peer.rx = int(value)
        case "tx_bytes":
            peer.tx = int(value)
        case _:
            # protocol_version, preshared_key, fwmark and what later versions add.
            return
