"""One visible port for WireGuard and the control socket, through a NAT and a host firewall."""

from collections.abc import Iterator

import pytest

from tests.kernel.tunnel import IN, OUT, TCP, UDP, Machine, direction, named, tunnel
from tests.netns import Namespace, namespaces, veth

pytestmark = pytest.mark.system

CONTROL = 6000

# What many distributions ship: nothing comes in but answers.
HOST_FIREWALL = """
table inet host {
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ct state established accept
        meta l4proto 58 accept
    }
}
"""
MASQUERADE = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan" masquerade %s
    }
}
"""


@pytest.fixture(params=["", "random"], ids=["port kept", "port changed"])
def behind_nat(request: pytest.FixtureRequest) -> Iterator[tuple[Machine, Machine]]:
    """A client with a strict host firewall behind a NAT, and a server outside."""
    with namespaces(3) as (home, router, outside):
        veth(home, router, "eth0", "lan", addresses=("192.168.7.2/24", "192.168.7.1/24"))
        veth(router, outside, "wan", "eth0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        home.run("ip", "route", "add", "default", "via", "192.168.7.1")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        router.run("nft", "-f", "-", text=MASQUERADE % request.param)
        home.run("nft", "-f", "-", text=HOST_FIREWALL)
        client = Machine(home, 1, named(), "192.168.7.2", CONTROL, 41000)
        server = Machine(outside, 2, named(), "192.0.2.2", CONTROL, 42000)
        try:
            client.install()
            server.install()
            client.up(server.peer((server.underlay, server.port)))
            server.up(client.peer())
            yield client, server
        finally:
            for machine in (client, server):
                machine.namespace.wait(machine.wireguard.down)


def test_both_work_on_one_mapping(behind_nat: tuple[Machine, Machine]) -> None:
    """Control datagrams and the tunnel pass the NAT and the host firewall on one mapping."""
    client, server = behind_nat
    server.grant(direction(client, [(TCP, 80, 80, IN, None)]))
    client.grant(None, direction(server, [(TCP, 80, 80, OUT, None)]))
    here = client.namespace.udp("0.0.0.0", CONTROL)
    there = server.namespace.udp("0.0.0.0", CONTROL)

    here.sendto(b"\xa5 question", (server.underlay, server.port))
    question, mapped = there.recvfrom(64)
    assert question == b"\xa5 question"
    there.sendto(b"\xa5 answer", mapped)
    answer, source = here.recvfrom(64)
    assert (answer, source) == (b"\xa5 answer", (server.underlay, server.port))

    listener = server.namespace.listen(str(server.address4), 80)
    inner = client.namespace.connect(str(server.address4), 80)
    inner.sendall(b"through the tunnel")
    assert server.namespace.accept(listener).recv(64) == b"through the tunnel"

    status = server.namespace.wait(server.wireguard.read)
    assert [peer.endpoint for peer in status.values()] == [mapped]

    # And again with the tunnel in use: neither takes the other's datagrams.
    there.sendto(b"\xa5 more", mapped)
    assert here.recv(64) == b"\xa5 more"


def test_ipv6_shares_the_port_too() -> None:
    """The rewrite keeps IPv6 datagrams whole, checksum included, in both directions."""
    with namespaces(2) as (one, two):
        veth(one, two, "eth0", "eth0", addresses=("2001:db8::1/64", "2001:db8::2/64"))
        machines = [
            Machine(one, 1, named(), "2001:db8::1", CONTROL, 41000),
            Machine(two, 2, named(), "2001:db8::2", CONTROL, 42000),
        ]
        for machine in machines:
            machine.install()
        here, there = (machine.namespace.udp("::", CONTROL) for machine in machines)
        here.sendto(b"\xa5" * 1200, ("2001:db8::2", 42000))
        question, source = there.recvfrom(2048)
        assert question == b"\xa5" * 1200
        assert source[:2] == ("2001:db8::1", 41000)
        there.sendto(b"\xa5 answer", source)
        assert here.recvfrom(64)[1][:2] == ("2001:db8::2", 42000)


@pytest.fixture
def neighbours() -> Iterator[tuple[Namespace, Machine]]:
    """A stranger, and a machine with the rules and a control socket but no tunnel."""
    with namespaces(2) as (one, two):
        veth(one, two, "eth0", "eth0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        machine = Machine(two, 2, named(), "192.0.2.2", CONTROL, 42000)
        machine.install()
        yield one, machine


def test_the_inner_port_is_not_reachable(neighbours: tuple[Namespace, Machine]) -> None:
    """A datagram sent to the inner port from outside is dropped, one to the other passes."""
    stranger, machine = neighbours
    control = machine.namespace.udp("0.0.0.0", CONTROL)
    sender = stranger.udp("192.0.2.1")
    sender.sendto(b"to the inner port", (machine.underlay, CONTROL))
    sender.sendto(b"to the visible port", (machine.underlay, machine.port))
    assert control.recv(64) == b"to the visible port"
    assert machine.counted("spoofed", 1)


def test_wireguard_messages_are_left_to_wireguard(neighbours: tuple[Namespace, Machine]) -> None:
    """First words 1 to 4 stay on the visible port, every other goes to the control socket."""
    stranger, machine = neighbours
    control = machine.namespace.udp("0.0.0.0", CONTROL)
    wireguard = machine.namespace.udp("0.0.0.0", machine.port)
    sender = stranger.udp("192.0.2.1")
    ours = [bytes([0, 0, 0, 0]), bytes([5, 0, 0, 0]), bytes([1, 0, 0, 1]), b"\xa5hgw"]
    theirs = [bytes([first, 0, 0, 0]) for first in (1, 2, 3, 4)] + [b"", b"\xa5", b"abc"]
    for datagram in ours + theirs:
        sender.sendto(datagram, (machine.underlay, machine.port))
    assert [control.recv(64) for _ in ours] == ours
    assert [wireguard.recv(64) for _ in theirs] == theirs


def test_a_router_leaves_others_datagrams_alone(neighbours: tuple[Namespace, Machine]) -> None:
    """A datagram that is only passing through, to the same port elsewhere, is not rewritten."""
    stranger, machine = neighbours
    with namespaces(1) as (far,):
        veth(
            machine.namespace, far, "eth1", "eth0", addresses=("203.0.113.1/24", "203.0.113.2/24")
        )
        machine.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        stranger.run("ip", "route", "add", "default", "via", machine.underlay)
        far.run("ip", "route", "add", "default", "via", "203.0.113.1")
        for port in (machine.port, CONTROL):
            sink = far.udp("203.0.113.2", port)
            stranger.udp("192.0.2.1").sendto(b"passing through", ("203.0.113.2", port))
            assert sink.recv(64) == b"passing through"


def test_the_tunnel_is_a_network_like_any_other() -> None:
    """Inside the tunnel nothing is rewritten: there the port numbers are anybody's."""
    with tunnel() as (a, b):
        b.port, b.control_port = 42000, CONTROL
        b.grant(
            direction(a, [(UDP, 42000, 42000, IN, None)]),
            direction(a, [(UDP, 53, 53, OUT, None)]),
        )
        a.namespace.wait(a.firewall.remove)
        sink = b.namespace.udp(str(b.address4), 42000)
        a.namespace.udp(str(a.address4)).sendto(b"\xa5 inner", (str(b.address4), 42000))
        assert sink.recv(64) == b"\xa5 inner"
        server = a.namespace.udp(str(a.address4), 53)
        b.namespace.udp(str(b.address4), CONTROL).sendto(b"query", (str(a.address4), 53))
        assert server.recvfrom(64) == (b"query", (str(b.address4), CONTROL))
