"""Addresses of the mesh exist on the tunnel only, and strangers get no answer."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from node.engine.desired import TunnelPeer
from tests.kernel.tunnel import IN, POOL4, POOL6, UDP, Machine, direction, tunnel

pytestmark = pytest.mark.system

Pair = tuple[Machine, Machine]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two machines with a tunnel; the first has no firewall, as an attacker has none."""
    with tunnel() as (a, b):
        b.grant(direction(a, [(UDP, None, None, IN, None)]))
        a.namespace.wait(a.firewall.remove)
        yield a, b


def datagram(source: str, target: str, port: int) -> bytes:
    """Return a whole IPv4 packet with a UDP datagram, from any source."""
    udp = struct.pack("!HHHH", 4000, port, 8 + 5, 0) + b"spoof"
    header = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(udp), 0, 64, 17, 0)
    return header + IPv4Address(source).packed + IPv4Address(target).packed + udp


def datagram6(source: str, target: str, port: int) -> bytes:
    """Return a whole IPv6 packet with a UDP datagram, from any source."""
    pseudo = (
        IPv6Address(source).packed + IPv6Address(target).packed + bytes([0, 0, 0, 13, 0, 0, 0, 17])
    )
    udp = struct.pack("!HHHH", 4000, port, 13, 0) + b"spoof"
    words = pseudo + udp + b"\0"
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF
    udp = udp[:6] + struct.pack("!H", checksum) + udp[8:]
    return struct.pack("!IHBB", 0x60000000, len(udp), 17, 64) + pseudo[:32] + udp


def send(machine: Machine, packet: bytes, device: str, target: str) -> None:
    """Put a whole packet on a device."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    raw = machine.namespace.open(socket.SOCK_RAW, family=family, proto=socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    raw.sendto(packet, (target, 0))


def silent(sink: socket.socket) -> bool:
    """Say whether nothing comes within half a second."""
    sink.settimeout(0.5)
    try:
        sink.recv(2048)
    except TimeoutError:
        return True
    return False


def test_t09_another_members_source_inside_a_tunnel_is_dropped(pair: Pair) -> None:
    """WireGuard drops a packet whose inner source is not the sender's own address."""
    a, b = pair
    sink = b.namespace.udp(str(b.address4), 53)
    own = datagram(str(a.address4), str(b.address4), 53)
    send(a, own, a.interface, str(b.address4))
    assert sink.recv(64) == b"spoof"
    before = b.count("denied_in")
    for source in (POOL4[9], b.address4, IPv4Address("127.0.0.1")):
        forged = datagram(str(source), str(b.address4), 53)
        send(a, forged, a.interface, str(b.address4))
    assert silent(sink)
    assert b.count("denied_in") == before


def test_t09_another_members_ipv6_source_is_dropped(pair: Pair) -> None:
    """The same over IPv6."""
    a, b = pair
    sink = b.namespace.udp(str(b.address6), 53)
    send(a, datagram6(str(a.address6), str(b.address6), 53), a.interface, str(b.address6))
    assert sink.recv(64) == b"spoof"
    send(a, datagram6(str(POOL6[9]), str(b.address6), 53), a.interface, str(b.address6))
    assert silent(sink)


def test_t09_a_mesh_source_from_the_lan_is_dropped(pair: Pair) -> None:
    """A neighbour who sends with a member's address from outside the tunnel is dropped."""
    a, b = pair
    sinks = [b.namespace.udp(b.underlay, 53), b.namespace.udp("2001:db8::2", 53)]
    send(a, datagram(a.underlay, b.underlay, 53), "eth0", b.underlay)
    assert sinks[0].recv(64) == b"spoof"
    send(a, datagram(str(a.address4), b.underlay, 53), "eth0", b.underlay)
    send(a, datagram6(str(a.address6), "2001:db8::2", 53), "eth0", "2001:db8::2")
    assert b.counted("spoofed", 2)
    assert all(silent(sink) for sink in sinks)


def test_t09_the_mesh_address_is_not_reachable_from_the_lan(pair: Pair) -> None:
    """Linux answers for any address on any interface; this one it does not answer for."""
    a, b = pair
    sinks = [b.namespace.udp(str(b.address4), 53), b.namespace.udp(str(b.address6), 53)]
    a.namespace.run("ip", "route", "replace", f"{b.address4}/32", "via", b.underlay)
    a.namespace.run("ip", "route", "replace", f"{b.address6}/128", "via", "2001:db8::2")
    a.namespace.udp(a.underlay).sendto(b"x", (str(b.address4), 53))
    a.namespace.udp("2001:db8::1").sendto(b"x", (str(b.address6), 53))
    assert b.counted("spoofed", 2)
    assert all(silent(sink) for sink in sinks)


def test_nothing_for_the_mesh_leaves_elsewhere(pair: Pair) -> None:
    """When a route leads a mesh address out of another interface, the packet is stopped here."""
    _, b = pair
    b.namespace.run("ip", "route", "add", f"{POOL4[9]}/32", "via", "192.0.2.1")
    b.namespace.run("ip", "route", "add", f"{POOL6[9]}/128", "via", "2001:db8::1")
    for address in (POOL4[9], POOL6[9]):
        sender = b.namespace.udp("::" if address.version == 6 else "0.0.0.0")
        with pytest.raises(PermissionError):
            sender.sendto(b"x", (str(address), 53))
    assert b.count("leaked") == 2


def test_the_machine_may_talk_to_itself(pair: Pair) -> None:
    """Local programs reach the machine's own mesh addresses without any grant."""
    _, b = pair
    for address in (b.address4, b.address6):
        server = b.namespace.listen(str(address), 8080)
        b.namespace.connect(str(address), 8080)
        b.namespace.accept(server)


def test_a_peer_that_is_not_configured_gets_no_handshake() -> None:
    """A caller whose key is not configured hears nothing, although it knows ours."""
    with tunnel(connect=False) as (a, b):
        a.namespace.wait(a.firewall.remove)
        known: TunnelPeer = replace(b.peer((b.underlay, b.port)), keepalive_seconds=1)
        a.up(known)
        assert "0 received" in a.namespace.run("ping", "-c", "2", "-W", "1", str(b.address4),
                                               check=False)  # fmt: skip
        status = a.namespace.wait(a.wireguard.read)[known.public_key]
        assert status.tx > 0
        assert (status.rx, status.last_handshake) == (0, 0.0)


@pytest.mark.parametrize("control_port", [None, 6000], ids=["two ports", "no daemon"])
@pytest.mark.parametrize("underlay", ["192.0.2", "2001:db8::"])
def test_noise_to_the_port_gets_no_answer(control_port: int | None, underlay: str) -> None:
    """Random bytes, and bytes that look like WireGuard's messages, are answered by silence.

    Also while nobody listens behind the shared port: the kernel's own refusal stays inside.
    """
    dot = "" if underlay.endswith(":") else "."
    with tunnel() as (a, b):
        b.control_port = control_port
        b.grant()
        probe = a.namespace.udp(f"{underlay}{dot}1")
        errors = a.namespace.open(
            socket.SOCK_RAW, family=probe.family, proto=1 if dot else socket.IPPROTO_ICMPV6
        )
        target = (f"{underlay}{dot}2", b.port)
        sizes = {0x01000000: 148, 0x02000000: 92, 0x03000000: 64, 0x04000000: 32}
        for first, size in (*sizes.items(), (0x05000000, 64), (0xFFFFFFFF, 1200)):
            probe.sendto(struct.pack("!I", first) + bytes(size - 4), target)
        for size in (0, 1, 3, 1400):
            probe.sendto(b"\x5a" * size, target)
        assert silent(probe)
        assert unreachable(errors) == []


def unreachable(errors: socket.socket) -> list[bytes]:
    """Return the reports of unreachable ports that have come, IPv4's or IPv6's."""
    errors.settimeout(0.1)
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            packet = errors.recv(2048)
            body = packet if errors.family == socket.AF_INET6 else packet[20:]
            if body[0] == (1 if errors.family == socket.AF_INET6 else 3):
                found.append(body)
    return found
