"""Links, addresses and routes, through netlink.

Nothing that is not ours is touched: addresses only on our own interface, routes only with our own
protocol number and through it.
"""

import errno
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Any

from crypto.errors import LocalError
from node.engine.desired import Address, Network
from node.kernel.netlink import NetlinkError, code, route_socket

# WireGuard adds 80 bytes at most to an IPv6 packet: 1420 fits a 1500-byte path.
MTU = 1420

# Who made a route (`ip route` shows it as "proto 72"); rtnetlink leaves 5 to 255 to daemons.
ROUTE_PROTOCOL = 0x48

_MAIN_TABLE = 254
_UNIVERSE = 0
_GENERATE_NO_ADDRESS = 1
_DEPRECATED = 0x20
_TENTATIVE = 0x40
_TEMPORARY = 0x01


class LinkError(LocalError):
    """The kernel did not take a link, address or route. The other ones stand as they were."""


@asynccontextmanager
async def _route(what: str) -> AsyncIterator[Any]:
    """Open a netlink socket and translate what the kernel refuses while doing `what`."""
    try:
        async with route_socket() as netlink:
            yield netlink
    except NetlinkError as error:
        remedy = "see `ip addr` and `ip route` for what stands in the way"
        if code(error) == errno.EPERM:
            remedy = "run the daemon as root, or with the capability CAP_NET_ADMIN"
        raise LinkError(f"the kernel refused to {what}: {error}", remedy=remedy) from error


def exists(interface: str) -> bool:
    """Say whether this network namespace has the interface."""
    return interface in {name for _, name in socket.if_nameindex()}


async def remove(interface: str) -> None:
    """Remove the interface, if it is there.

    Raises:
        LinkError: The kernel refused.
    """
    async with _route(f"remove the interface {interface}") as netlink:
        for index in await netlink.link_lookup(ifname=interface):
            await netlink.link("del", index=index)


async def bring_up(interface: str, *, mtu: int = MTU) -> None:
    """Set the interface's mtu and bring it up, without a link-local address of its own.

    Raises:
        LinkError: There is no such interface, or the kernel refused.
    """
    async with _route(f"bring up the interface {interface}") as netlink:
        index = await _index(netlink, interface)
        # A tunnel has no neighbours to discover. Without IPv6 in the kernel, nor has it this.
        try:
            mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _GENERATE_NO_ADDRESS)]}
            spec = {"attrs": [("AF_INET6", mode)]}
            await netlink.link("set", index=index, IFLA_AF_SPEC=spec)
        except NetlinkError as error:
            if code(error) not in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:
                raise
        await netlink.link("set", index=index, mtu=mtu, state="up")


async def set_addresses(interface: str, addresses: Iterable[Address]) -> None:
    """Make the interface hold exactly `addresses`, each as a single host (/32 or /128).

    Raises:
        LinkError: There is no such interface, or the kernel refused.
    """
    async with _route(f"set the addresses of {interface}") as netlink:
        index = await _index(netlink, interface)
        present = {
            (ip_address(message.get("address")), message["prefixlen"])
            async for message in await netlink.get_addr(index=index)
            if message["index"] == index and message["scope"] == _UNIVERSE
        }
        wanted = {(address, address.max_prefixlen) for address in addresses}
        for address, prefixlen in wanted - present:
            await netlink.addr("add", index=index, address=str(address), prefixlen=prefixlen)
        for address, prefixlen in present - wanted:
            await netlink.addr("del", index=index, address=str(address), prefixlen=prefixlen)


async def sync_routes(interface: str, networks: Iterable[Network]) -> None:
    """Make exactly `networks` go through the interface, as far as it is ours to say.

    Routes that others made, on this interface or elsewhere, stay.

    Raises:
        LinkError: There is no such interface, or another interface has that very route.
    """
    async with _route(f"set the routes through {interface}") as netlink:
        index = await _index(netlink, interface)
        present = await _our_routes(netlink, index)
        wanted = set(networks)
        for network in sorted(wanted - present, key=str):
            await _add_route(netlink, index, network)
        for network in sorted(present - wanted, key=str):
            await netlink.route(
                "del", dst=str(network), oif=index, proto=ROUTE_PROTOCOL, table=_MAIN_TABLE
            )


async def underlay_addresses(exclude: str) -> tuple[Address, ...]:
    """Return this machine's global unicast addresses, but those of the interface `exclude`.

    Loopback, link-local, deprecated, tentative and temporary (RFC 8981) addresses are left out:
    others shall reach us at what we announce for as long as possible.

    Raises:
        LinkError: The kernel refused.
    """
    async with _route("list the addresses") as netlink:
        excluded = await netlink.link_lookup(ifname=exclude)
        found = set()
        async for message in await netlink.get_addr():
            flags = message.get("flags") or 0
            if message["index"] in excluded or flags & (_DEPRECATED | _TENTATIVE | _TEMPORARY):
                continue
            # On a point-to-point link "address" is the other end's.
            address = ip_address(message.get("local") or message.get("address"))
            if message["scope"] == _UNIVERSE and not address.is_loopback:
                found.add(address)
    return tuple(sorted(found, key=lambda address: (address.version, int(address))))


async def _index(netlink: Any, interface: str) -> int:  # noqa: ANN401 - pyroute2 is untyped
    found = await netlink.link_lookup(ifname=interface)
    if not found:
        raise LinkError(
            f"there is no interface {interface}",
            remedy="restart the daemon: something has removed its tunnel",
        )
    return int(found[0])


async def _our_routes(netlink: Any, index: int) -> set[Network]:  # noqa: ANN401 - as above
    found: set[Network] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        async for message in await netlink.get_routes(family=family):
            if message["proto"] != ROUTE_PROTOCOL or message.get("oif") != index:
                continue
            any_host = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104 - not bound
            found.add(ip_network((message.get("dst") or any_host, message["dst_len"])))
    return found


async def _add_route(netlink: Any, index: int, network: Network) -> None:  # noqa: ANN401 - as above
    try:
        await netlink.route(
            "add", dst=str(network), oif=index, proto=ROUTE_PROTOCOL, table=_MAIN_TABLE
        )
    except NetlinkError as error:
        if code(error) != errno.EEXIST:
            raise
        raise LinkError(
            f"the route to {network} is already taken",
            remedy=f"see `ip route get {network.network_address}`; two networks here use the "
            "same addresses, so one of them needs another range",
        ) from error
