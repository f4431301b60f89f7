"""What the firewall lets through a real tunnel, and what it does not."""

import socket
import struct
from collections.abc import Iterator

import pytest

from node.engine.desired import Direction, PortKey
from tests.kernel.tunnel import ICMP, IN, OUT, SCTP, TCP, UDP, Machine, direction, tunnel

pytestmark = pytest.mark.system

Pair = tuple[Machine, Machine]
GRE = 47

# What a caller sees of a refusal by its own kernel: over IPv4 and over IPv6.
REFUSED = "No route to host|Connection refused"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two machines with a tunnel and a firewall that denies everything."""
    with tunnel() as machines:
        yield machines


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest) -> int:
    """The family of the inner addresses."""
    return int(request.param)


def address(machine: Machine, family: int) -> str:
    """Return the machine's inner address of a family."""
    return str(machine.address4 if family == 4 else machine.address6)


def ping(source: Machine, target: str) -> bool:
    """Say whether one echo request is answered."""
    printed = source.namespace.run("ping", "-c", "1", "-W", "1", target, check=False)
    return "1 received" in printed


def received(sink: socket.socket) -> bytes | None:
    """Return what comes within half a second, or None."""
    sink.settimeout(0.5)
    try:
        return sink.recv(2048)
    except TimeoutError:
        return None


def test_a_granted_port_connects_and_its_neighbours_do_not(pair: Pair, family: int) -> None:
    """With both ends enforcing, the granted port works and a caller of another learns at once."""
    a, b = pair
    target = address(b, family)
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    a.grant(None, direction(b, [(TCP, 80, 80, OUT, None)]))
    before = a.count("denied_out")
    servers = {port: b.namespace.listen(target, port) for port in (79, 80, 81)}
    client = a.namespace.connect(target, 80)
    client.sendall(b"hello")
    assert b.namespace.accept(servers[80]).recv(16) == b"hello"
    for port in (79, 81):
        with pytest.raises(OSError, match=REFUSED):
            a.namespace.connect(target, port)
    # The first packet of each was enough: nobody had to try twice.
    assert a.count("denied_out") - before == 2
    assert b.count("denied_in") == 0


def test_the_responder_alone_is_authoritative(pair: Pair, family: int) -> None:
    """A caller without any firewall of its own reaches the granted port and nothing else."""
    a, b = pair
    target = address(b, family)
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    a.namespace.wait(a.firewall.remove)
    servers = [b.namespace.listen(target, port) for port in (80, 81)]
    a.namespace.connect(target, 80)
    b.namespace.accept(servers[0])
    with pytest.raises(TimeoutError):
        a.namespace.connect(target, 81, timeout_seconds=0.7)
    assert b.count("denied_in") >= 1


def test_the_initiator_alone_refuses(pair: Pair, family: int) -> None:
    """A caller's own firewall refuses what it has no grant for, whatever the other end allows."""
    a, b = pair
    target = address(b, family)
    b.grant(direction(a, [(None, None, None, IN, None)]))
    b.namespace.listen(target, 80)
    with pytest.raises(OSError, match=REFUSED):
        a.namespace.connect(target, 80)
    assert b.count("granted_in") == 0


def test_a_grant_has_one_direction(pair: Pair, family: int) -> None:
    """What lets A reach B does not let B reach A, on the same port."""
    a, b = pair
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    a.grant(None, direction(b, [(TCP, 80, 80, OUT, None)]))
    b.namespace.wait(b.firewall.remove)
    a.namespace.listen(address(a, family), 80)
    with pytest.raises(TimeoutError):
        b.namespace.connect(address(a, family), 80, timeout_seconds=0.7)
    assert a.count("denied_in") >= 1


def test_a_source_port_is_no_grant(pair: Pair) -> None:
    """A new flow from the granted port number to another port is refused."""
    a, b = pair
    b.grant(direction(a, [(UDP, 53, 53, IN, None)]))
    a.namespace.wait(a.firewall.remove)
    sink = b.namespace.udp(str(b.address4), 1000)
    a.namespace.udp(str(a.address4), 53).sendto(b"x", (str(b.address4), 1000))
    assert received(sink) is None
    assert b.counted("denied_in", 1)


def test_port_ranges_end_where_they_say(pair: Pair, family: int) -> None:
    """Both ends of a range are in it, the ports beside it are not; UDP answers come back."""
    a, b = pair
    target = address(b, family)
    b.grant(direction(a, [(UDP, 1000, 1009, IN, None), (UDP, 65535, 65535, IN + 1, None)]))
    a.namespace.wait(a.firewall.remove)
    caller = a.namespace.udp(address(a, family))
    for port, allowed in ((999, 0), (1000, 1), (1009, 1), (1010, 0), (65534, 0), (65535, 1)):
        sink = b.namespace.udp(target, port)
        caller.sendto(b"question", (target, port))
        if not allowed:
            assert received(sink) is None
            continue
        question, source = sink.recvfrom(64)
        sink.sendto(b"answer to " + question, source)
        assert caller.recv(64) == b"answer to question"


def test_ping_needs_a_grant_for_icmp(pair: Pair, family: int) -> None:
    """One ICMP grant covers the ICMP of the packet's family; without it there is no answer."""
    a, b = pair
    target = address(b, family)
    assert not ping(a, target)
    b.grant(direction(a, [(ICMP, None, None, IN, None)]))
    a.grant(None, direction(b, [(ICMP, None, None, OUT, None)]))
    assert ping(a, target)
    assert not ping(b, address(a, family))


@pytest.mark.parametrize("proto", [TCP, None], ids=["protocol", "any"])
def test_a_grant_without_ports_covers_every_port(pair: Pair, family: int, proto: int) -> None:
    """A grant for the protocol, and one for everything, both reach an arbitrary port."""
    a, b = pair
    target = address(b, family)
    b.grant(direction(a, [(proto, None, None, IN, None)]))
    a.grant(None, direction(b, [(proto, None, None, OUT, None)]))
    server = b.namespace.listen(target, 4321)
    a.namespace.connect(target, 4321)
    b.namespace.accept(server)
    assert ping(a, target) is (proto is None)


def test_an_ended_port_does_not_hide_the_protocol(pair: Pair) -> None:
    """When a port's own grant is over, the grant for its whole protocol still lets it through."""
    a, b = pair
    target = str(b.address4)
    grants = direction(a, [(TCP, 80, 80, IN, 1.0), (TCP, None, None, IN + 1, None)])
    b.grant(grants)
    a.namespace.wait(a.firewall.remove)
    b.namespace.listen(target, 80)
    a.namespace.connect(target, 80)


def test_another_address_of_the_machine_stays_closed(pair: Pair) -> None:
    """A granted port is open on the mesh address only, not on the machine's other addresses."""
    a, b = pair
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    a.namespace.wait(a.firewall.remove)
    b.namespace.run("ip", "addr", "add", "198.51.100.1/32", "dev", "lo")
    a.namespace.run("ip", "route", "add", "198.51.100.1/32", "dev", a.interface)
    a.namespace.run("wg", "set", a.interface, "peer", _wg_key(a), "allowed-ips",
                    "100.64.0.2/32,198.51.100.1/32")  # fmt: skip
    server = b.namespace.listen("0.0.0.0", 80)
    a.namespace.connect(str(b.address4), 80)
    b.namespace.accept(server)
    with pytest.raises(TimeoutError):
        a.namespace.connect("198.51.100.1", 80, timeout_seconds=0.7)
    assert b.count("denied_in") >= 1


def test_nothing_is_forwarded(pair: Pair) -> None:
    """A packet from the tunnel to somewhere behind the machine is dropped and counted."""
    a, b = pair
    b.grant(direction(a, [(None, None, None, IN, None)]))
    a.namespace.wait(a.firewall.remove)
    b.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    a.namespace.run("ip", "route", "add", "198.51.100.0/24", "dev", a.interface)
    a.namespace.run("wg", "set", a.interface, "peer", _wg_key(a), "allowed-ips",
                    "100.64.0.2/32,198.51.100.0/24")  # fmt: skip
    b.namespace.run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1", "dev", "eth0")
    a.namespace.udp(str(a.address4)).sendto(b"x", ("198.51.100.7", 9))
    assert not ping(a, "198.51.100.7")
    assert b.count("forwarded") >= 2


def _wg_key(machine: Machine) -> str:
    """Return the key of the machine's only peer."""
    return machine.namespace.run("wg", "show", machine.interface, "peers").strip()


def _raw(source: Machine, target: Machine, family: int, proto: int, payload: bytes) -> None:
    """Send one packet of any protocol through the tunnel."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    sender = source.namespace.open(socket.SOCK_RAW, family=kind, proto=proto)
    sender.bind((address(source, family), 0))
    sender.sendto(payload, (address(target, family), 0))


def _sink(machine: Machine, family: int, proto: int) -> socket.socket:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    sink = machine.namespace.open(socket.SOCK_RAW, family=kind, proto=proto)
    sink.bind((address(machine, family), 0))
    return sink


@pytest.mark.parametrize("proto", [GRE, 253], ids=["gre", "unknown"])
def test_bytes_of_other_protocols_are_never_ports(pair: Pair, family: int, proto: int) -> None:
    """Where a port would stand in TCP, 80 means nothing in a protocol without ports."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    granted = direction(a, [(TCP, 80, 80, IN, None), (UDP, 80, 80, IN + 1, None)])
    ports = {**granted.ports, PortKey(7, proto, 80, 80): IN}
    b.grant(Direction(granted.classes, ports, granted.live))
    sink = _sink(b, family, proto)
    looks_like_port_80 = struct.pack("!HHHH", 80, 80, 80, 80)
    _raw(a, b, family, proto, looks_like_port_80)
    assert received(sink) is None
    b.grant(direction(a, [(proto, None, None, IN + 2, None)]))
    _raw(a, b, family, proto, looks_like_port_80)
    assert received(sink) is not None


def test_fragments_are_judged_whole(pair: Pair, family: int) -> None:
    """A datagram in fragments passes by its port and is refused by its port."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(UDP, 80, 80, IN, None)]))
    caller = a.namespace.udp(address(a, family))
    for port, allowed in ((81, False), (80, True)):
        sink = b.namespace.udp(address(b, family), port)
        caller.sendto(bytes(4000), (address(b, family), port))
        found = received(sink)
        assert (found is not None) is allowed


def test_a_packet_without_a_next_header_is_dropped(pair: Pair) -> None:
    """An IPv6 packet that ends before any protocol (RFC 8200 section 4.7) is no TCP."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(TCP, 80, 80, IN, None), (TCP, None, None, IN + 1, None)]))
    before = b.count("invalid")
    _raw(a, b, 6, 59, struct.pack("!HHHH", 80, 80, 80, 80))
    assert b.counted("invalid", before + 1)
    assert b.count("granted_in") == 0


def test_sctp_ports_are_ports(pair: Pair, family: int) -> None:
    """SCTP, which the kernel parses, is judged by its destination port."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(SCTP, 80, 80, IN, None), (TCP, 81, 81, IN + 1, None)]))
    sink = _sink(b, family, SCTP)
    for port, allowed in ((81, False), (80, True)):
        _raw(a, b, family, SCTP, _sctp_init(port))
        assert (received(sink) is not None) is allowed
    b.grant(direction(a, [(None, None, None, IN + 2, None)]))
    _raw(a, b, family, SCTP, _sctp_init(81))
    assert received(sink) is not None


def _sctp_init(port: int) -> bytes:
    """Return an INIT to `port` (RFC 9260 section 3.3.2)."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
    header = struct.pack("!HHI", 4000, port, 0)
    checksum = struct.pack("<I", _crc32c(header + bytes(4) + chunk))
    return header + checksum + chunk


def _crc32c(data: bytes) -> int:
    """Return the checksum of RFC 9260 appendix A."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF
