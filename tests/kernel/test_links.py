"""Addresses, routes and the underlay, on real links."""

import errno
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from node.kernel import links
from node.kernel.links import LinkError
from tests.netns import Namespace, namespaces, veth

pytestmark = pytest.mark.system

FOUR = IPv4Address("100.64.0.1")
SIX = IPv6Address("fd00::1")
POOL4 = ip_network("100.64.0.0/10")
POOL6 = ip_network("fd00::/48")


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A machine with an uplink, and a second link "tun0" that stands for the tunnel."""
    with namespaces(2) as (near, far):
        veth(near, far, "eth0", "eth0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        near.run("ip", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
        near.run("ip", "link", "add", "tun0", "type", "veth", "peer", "name", "tun1")
        near.run("ip", "link", "set", "tun1", "up")
        yield near


def addresses(host: Namespace, interface: str = "tun0") -> set[str]:
    """Return the interface's global addresses as `ip` prints them."""
    printed = host.run("ip", "-o", "addr", "show", "dev", interface, "scope", "global")
    return {line.split()[3] for line in printed.splitlines()}


def routes(host: Namespace) -> set[str]:
    """Return the networks that are routed through the tunnel."""
    printed = host.run("ip", "route", "show", "dev", "tun0", "proto", "72")
    printed += host.run("ip", "-6", "route", "show", "dev", "tun0", "proto", "72")
    return {line.split()[0] for line in printed.splitlines()}


def test_addresses_become_exactly_what_is_asked(host: Namespace) -> None:
    """Missing addresses are added as single hosts, others on the interface are removed."""
    host.run("ip", "addr", "add", "10.0.0.1/8", "dev", "tun0")
    host.wait(lambda: links.set_addresses("tun0", (FOUR, SIX)))
    assert addresses(host) == {"100.64.0.1/32", "fd00::1/128"}
    host.wait(lambda: links.set_addresses("tun0", (FOUR, SIX)))
    host.wait(lambda: links.set_addresses("tun0", (SIX,)))
    assert addresses(host) == {"fd00::1/128"}
    assert addresses(host, "eth0") == {"192.0.2.1/24", "2001:db8::1/64"}


def test_up_sets_the_mtu_and_makes_no_link_local_address(host: Namespace) -> None:
    """A tunnel that comes up has our mtu and no address that nobody asked for."""
    host.wait(lambda: links.bring_up("tun0"))
    shown = host.run("ip", "addr", "show", "dev", "tun0")
    assert "mtu 1420" in shown
    assert ",UP" in shown
    assert "inet6" not in shown


def test_routes_become_exactly_what_is_asked(host: Namespace) -> None:
    """Our routes are added and removed; a route that somebody else made there stays."""
    host.wait(lambda: links.bring_up("tun0"))
    host.wait(lambda: links.set_addresses("tun0", (FOUR, SIX)))
    host.run("ip", "route", "add", "198.51.100.0/24", "dev", "tun0")
    host.wait(lambda: links.sync_routes("tun0", (POOL4, POOL6)))
    assert routes(host) == {"100.64.0.0/10", "fd00::/48"}
    host.wait(lambda: links.sync_routes("tun0", (POOL4, POOL6)))
    site = ip_network("203.0.113.0/24")
    host.wait(lambda: links.sync_routes("tun0", (POOL4, site)))
    assert routes(host) == {"100.64.0.0/10", "203.0.113.0/24"}
    host.wait(lambda: links.sync_routes("tun0", ()))
    assert routes(host) == set()
    assert "198.51.100.0/24" in host.run("ip", "route")


def test_every_destination_is_a_route_like_any_other(host: Namespace) -> None:
    """The default routes, 0.0.0.0/0 and ::/0, are set and taken back too."""
    host.wait(lambda: links.bring_up("tun0"))
    host.wait(lambda: links.set_addresses("tun0", (FOUR, SIX)))
    both = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    host.wait(lambda: links.sync_routes("tun0", both))
    assert "default" in routes(host)
    host.wait(lambda: links.sync_routes("tun0", both))
    host.wait(lambda: links.sync_routes("tun0", ()))
    assert routes(host) == set()


def test_a_route_that_others_have_is_an_error(host: Namespace) -> None:
    """Where the very network is routed elsewhere, that route stays and the error names it."""
    host.wait(lambda: links.bring_up("tun0"))
    host.run("ip", "route", "add", str(POOL4), "via", "192.0.2.2")
    with pytest.raises(LinkError, match=r"route to 100\.64\.0\.0/10 is already taken") as caught:
        host.wait(lambda: links.sync_routes("tun0", (POOL4,)))
    assert "another range" in caught.value.remedy
    assert "100.64.0.0/10 via 192.0.2.2" in host.run("ip", "route")


def test_the_underlay_is_what_others_could_reach(host: Namespace) -> None:
    """Global addresses count; loopback, link-local and the tunnel's own do not."""
    host.wait(lambda: links.set_addresses("tun0", (FOUR, SIX)))
    host.run("ip", "addr", "add", "198.51.100.1/32", "dev", "lo")
    host.run("ip", "addr", "add", "203.0.113.1", "peer", "203.0.113.2", "dev", "eth0")
    host.run("ip", "addr", "add", "2001:db8::99/64", "dev", "eth0", "nodad", "preferred_lft", "0")
    found = host.wait(lambda: links.underlay_addresses("tun0"))
    assert [str(address) for address in found] == [
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
    ]
    assert FOUR in host.wait(lambda: links.underlay_addresses("not-there"))


def test_a_link_is_removed_once(host: Namespace) -> None:
    """Removing a link works, and removing it again is no error."""
    assert host.call(lambda: links.exists("tun0"))
    host.wait(lambda: links.remove("tun0"))
    assert not host.call(lambda: links.exists("tun0"))
    host.wait(lambda: links.remove("tun0"))


def test_a_missing_interface_is_an_error(host: Namespace) -> None:
    """Whatever is asked of an interface that is gone names it."""
    for work in (
        lambda: links.set_addresses("tun9", (FOUR,)),
        lambda: links.sync_routes("tun9", (POOL4,)),
        lambda: links.bring_up("tun9"),
    ):
        with pytest.raises(LinkError, match="no interface tun9"):
            host.wait(work)


def test_what_the_kernel_refuses_is_an_error(host: Namespace) -> None:
    """A value that the kernel does not take is reported with the action it was for."""
    with pytest.raises(LinkError, match="refused to bring up the interface tun0") as caught:
        host.wait(lambda: links.bring_up("tun0", mtu=10))
    assert "ip addr" in caught.value.remedy


async def test_without_rights_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unprivileged daemon is told which right it lacks."""

    class Refused:
        async def __aenter__(self) -> None:
            raise NetlinkError(errno.EPERM, "Operation not permitted")

        async def __aexit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(links, "route_socket", Refused)
    with pytest.raises(LinkError, match="not permitted") as caught:
        await links.remove("tun0")
    assert "CAP_NET_ADMIN" in caught.value.remedy
