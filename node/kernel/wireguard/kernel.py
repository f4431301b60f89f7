"""WireGuard in the kernel, through netlink.

The tunnel lives in the kernel and outlives the daemon; a restart adopts it.
"""

import asyncio
import errno
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from node.engine.desired import TunnelPeer
from node.kernel import links
from node.kernel.netlink import NetlinkError, code, route_socket, wireguard_socket
from node.kernel.wireguard.peers import (
    KnownPeer,
    PeerChange,
    PeerStatus,
    WireGuardError,
    applied,
    changes,
    same_key,
)

KIND = "wireguard"


class KernelWireGuard:
    """Drives one WireGuard interface of the kernel."""

    backend = "kernel"

    def __init__(self) -> None:
        self._interface = ""
        self._known: dict[bytes, KnownPeer] | None = None
        self._lock = asyncio.Lock()

    async def up(self, interface: str, private_key: bytes, listen_port: int) -> None:
        """Have the tunnel run with this key and port; adopt one that already does.

        Raises:
            WireGuardError: The kernel refused; the remedy says what is missing.
            LinkError: The interface could not be brought up.
        """
        async with self._lock:
            self._interface = interface
            self._known = None
            await self._link()
            messages = await self._info()
            # Setting the same key again would drop every session.
            key, port = decode_device(messages)
            await self._set(
                private_key=None if same_key(key, private_key) else encode_key(private_key),
                listen_port=None if port == listen_port else listen_port,
            )
            await links.bring_up(interface)

    async def apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        """Make it hold exactly `peers`, touching only what differs.

        Each peer is a request of its own, so after an error what came before it stands; then what
        the kernel holds is read back and the rest is tried once more.

        Raises:
            WireGuardError: There is no such interface, or the kernel refused twice.
        """
        async with self._lock:
            try:
                await self._apply(peers)
            except WireGuardError:
                self._known = None
                await self._apply(peers)

    async def read(self) -> dict[bytes, PeerStatus]:
        """Return how each peer is doing, by public key.

        Raises:
            WireGuardError: There is no such interface.
        """
        async with self._lock:
            messages = await self._info()
        return {key: status for key, (_, status) in decode_peers(messages)}

    async def down(self) -> None:
        """Remove the interface.

        Raises:
            LinkError: The kernel refused.
        """
        async with self._lock:
            if self._interface:
                await links.remove(self._interface)
            self._known = None

    async def _link(self) -> None:
        """Make the interface, unless it is there and a WireGuard one."""
        try:
            async with route_socket() as netlink:
                for index in await netlink.link_lookup(ifname=self._interface):
                    (message,) = await netlink.link("get", index=index)
                    if message.get(("linkinfo", "kind")) == KIND:
                        return
                    await netlink.link("del", index=index)
                await netlink.link("add", ifname=self._interface, kind=KIND)
        except NetlinkError as error:
            raise _refused(error) from error

    async def _apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        known = self._known
        if known is None:
            known = {key: peer for key, (peer, _) in decode_peers(await self._info())}
        self._known = None
        for change in changes(known, peers):
            await self._set(peer=encode_change(change))
        self._known = applied(known, peers)

    async def _info(self) -> list[Any]:
        try:
            async with wireguard_socket() as netlink:
                return [message async for message in await netlink.info(self._interface)]
        except NetlinkError as error:
            raise _refused(error) from error

    async def _set(self, **values: Any) -> None:  # noqa: ANN401 - what pyroute2 takes
        given = {name: value for name, value in values.items() if value is not None}
        if not given:
            return
        try:
            async with wireguard_socket() as netlink:
                await netlink.set(self._interface, **given)
        except NetlinkError as error:
            raise _refused(error) from error


def encode_key(key: bytes) -> str:
    """Return a key as pyroute2 wants it."""
    return b64encode(key).decode("ascii")


def encode_change(change: PeerChange) -> dict[str, Any]:
    """Return one peer's change as pyroute2 wants it."""
    peer: dict[str, Any] = {"public_key": encode_key(change.public_key)}
    if change.remove:
        return {**peer, "remove": True}
    peer["update_only"] = not change.create
    if change.endpoint is not None:
        peer["endpoint_addr"], peer["endpoint_port"] = change.endpoint
    if change.keepalive_seconds is not None:
        peer["persistent_keepalive"] = change.keepalive_seconds
    if change.allowed_ips is not None:
        peer["replace_allowed_ips"] = True
        peer["allowed_ips"] = [str(network) for network in change.allowed_ips]
    return peer


def decode_device(messages: list[Any]) -> tuple[bytes, int]:
    """Return the interface's private key and port from the kernel's answer."""
    for message in messages:
        key = message.get("WGDEVICE_A_PRIVATE_KEY")
        if key is not None:
            return _key(key), int(message.get("WGDEVICE_A_LISTEN_PORT") or 0)
    return b"", 0


def decode_peers(messages: list[Any]) -> Iterator[tuple[bytes, tuple[KnownPeer, PeerStatus]]]:
    """Yield each peer from the kernel's answer.

    A peer with many allowed addresses comes in several messages; those parts are put together.
    """
    found: dict[bytes, tuple[KnownPeer, PeerStatus]] = {}
    for message in messages:
        for peer in message.get("WGDEVICE_A_PEERS") or ():
            key = _key(peer.get("WGPEER_A_PUBLIC_KEY"))
            networks = frozenset(
                ip_network(entry["addr"]) for entry in peer.get("WGPEER_A_ALLOWEDIPS") or ()
            )
            if key in found:
                known, status = found[key]
                merged = KnownPeer(
                    known.allowed_ips | networks, known.endpoint, known.keepalive_seconds
                )
                found[key] = merged, status
            else:
                found[key] = _decode_peer(peer, networks)
    yield from found.items()


def _decode_peer(peer: Any, networks: frozenset[Any]) -> tuple[KnownPeer, PeerStatus]:  # noqa: ANN401 - untyped
    place = peer.get("WGPEER_A_ENDPOINT")
    endpoint = (str(place["addr"]), int(place["port"])) if place else None
    shake = peer.get("WGPEER_A_LAST_HANDSHAKE_TIME") or {"tv_sec": 0, "tv_nsec": 0}
    status = PeerStatus(
        endpoint,
        shake["tv_sec"] + shake["tv_nsec"] / 1e9,
        int(peer.get("WGPEER_A_RX_BYTES") or 0),
        int(peer.get("WGPEER_A_TX_BYTES") or 0),
    )
    keepalive = int(peer.get("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0)
    return KnownPeer(networks, endpoint, keepalive), status


def _key(value: Any) -> bytes:  # noqa: ANN401 - pyroute2 gives a dictionary or bare base64
    return b64decode(value["value"] if isinstance(value, dict) else value)


def _refused(error: BaseException) -> WireGuardError:
    remedy = "see the kernel's log with `dmesg`"
    if code(error) == errno.EPERM:
        remedy = "run the daemon as root, or with the capability CAP_NET_ADMIN"
    elif code(error) == errno.EADDRINUSE:
        remedy = "another program uses the UDP port; stop it or choose another port"
    return WireGuardError(f"the kernel's WireGuard refused: {error}", remedy=remedy)
