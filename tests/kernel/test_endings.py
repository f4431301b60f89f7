"""How a grant ends: by its deadline, by revocation, and how a flow outlives one of several."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from node.engine.desired import Direction
from tests.kernel.tunnel import IN, OUT, TCP, UDP, Machine, direction, tunnel

pytestmark = pytest.mark.system

Pair = tuple[Machine, Machine]

# A flow is watched for at most this long; that it ended, and in which order, is what counts.
WATCH_SECONDS_MAX = 15.0
PULSE_SECONDS = 0.02


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


def now() -> float:
    """Return the wall clock, which deadlines are given in."""
    return time.time()  # noqa: TID251 - the test stands for the daemon


def flow(a: Machine, b: Machine, family: int, port: int = 80) -> tuple[socket.socket, ...]:
    """Open a TCP connection from A to B and exchange a few bytes on it."""
    server = b.namespace.listen(address(b, family), port)
    client = a.namespace.connect(address(b, family), port)
    connection = b.namespace.accept(server)
    exchange(client, connection)
    return client, connection


def exchange(client: socket.socket, connection: socket.socket) -> None:
    """Send a few bytes there and back."""
    client.sendall(b"question")
    assert connection.recv(64) == b"question"
    connection.sendall(b"answer")
    assert client.recv(64) == b"answer"


def fails_within_bounds(client: socket.socket) -> tuple[OSError, float]:
    """Send until the kernel says the flow is over; return what it said and when."""
    begin = time.monotonic()
    while time.monotonic() < begin + WATCH_SECONDS_MAX:
        try:
            client.send(b".")
        except OSError as error:
            return error, now()
        time.sleep(PULSE_SECONDS)
    pytest.fail("the flow did not end")


def push(server: socket.socket, subscriber: tuple[str, int]) -> tuple[int, OSError, float]:
    """Send numbered datagrams until the kernel refuses; return how many, why and when."""
    begin = time.monotonic()
    pushed = 0
    while time.monotonic() < begin + WATCH_SECONDS_MAX:
        try:
            server.sendto(b"%d" % pushed, subscriber)
        except OSError as error:
            return pushed, error, now()
        pushed += 1
        time.sleep(PULSE_SECONDS)
    pytest.fail("the stream did not end")


def test_a_deadline_resets_a_live_tcp_flow(pair: Pair, family: int) -> None:
    """The kernel alone ends a TCP flow at its deadline, and the caller is reset."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    deadline = now() + 2
    b.grant(direction(a, [(TCP, 80, 80, IN, deadline)]))
    client, connection = flow(a, b, family)
    error, ended = fails_within_bounds(client)
    assert isinstance(error, ConnectionResetError | BrokenPipeError)
    # Jiffies are coarse, never by more than a few of them early.
    assert ended > deadline - 0.1
    assert b.count("ended") >= 1
    error, _ = fails_within_bounds(connection)
    assert isinstance(error, ConnectionResetError | BrokenPipeError)


def test_a_deadline_ends_a_pushed_stream(pair: Pair, family: int) -> None:
    """A server that only pushes UDP is stopped at the deadline too, and learns of it."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    deadline = now() + 2
    b.grant(direction(a, [(UDP, 53, 53, IN, deadline)]))
    server = b.namespace.udp(address(b, family), 53)
    client = a.namespace.udp(address(a, family))
    client.sendto(b"subscribe", (address(b, family), 53))
    _, subscriber = server.recvfrom(64)
    pushed, error, ended = push(server, subscriber)
    assert isinstance(error, PermissionError)
    assert ended > deadline - 0.1
    assert pushed > 2
    got = []
    client.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            got.append(client.recv(64))
    assert got == [b"%d" % number for number in range(pushed)]


def test_a_udp_caller_is_told_that_its_flow_ended(pair: Pair, family: int) -> None:
    """When a UDP flow ends, the caller's socket reports an ICMP refusal from the other end."""
    a, b = pair
    b.grant(direction(a, [(UDP, 53, 53, IN, None)]))
    a.grant(None, direction(b, [(UDP, 53, 53, OUT, None)]))
    server = b.namespace.udp(address(b, family), 53)
    client = a.namespace.udp(address(a, family))
    client.connect((address(b, family), 53))
    client.send(b"question")
    assert server.recv(64) == b"question"
    b.grant(Direction())
    error, _ = fails_within_bounds(client)
    assert not isinstance(error, PermissionError) or family == 6
    assert b.count("ended") >= 1


def test_a_stranger_is_told_nothing(pair: Pair, family: int) -> None:
    """What never was a flow is dropped without an answer."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    client = a.namespace.udp(address(a, family))
    client.connect((address(b, family), 53))
    client.settimeout(0.5)
    client.send(b"anyone there?")
    with pytest.raises(TimeoutError):
        client.recv(64)
    assert b.count("denied_in") >= 1
    assert b.count("ended") == 0


def test_revocation_cuts_at_once(pair: Pair, family: int) -> None:
    """Taking the element out ends the flow with the very next packet, at either end."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    client, connection = flow(a, b, family)
    b.grant(Direction())
    client.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        client.recv(64)
    # The reset is the answer to the one byte: nothing of it reached the server.
    connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.recv(64)


def test_the_initiators_own_deadline_ends_its_flow(pair: Pair, family: int) -> None:
    """The caller's kernel ends the flow at its own deadline and resets the caller's socket."""
    a, b = pair
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    a.grant(None, direction(b, [(TCP, 80, 80, OUT, now() + 1.5)]))
    client, _ = flow(a, b, family)
    error, _ = fails_within_bounds(client)
    assert isinstance(error, ConnectionResetError | BrokenPipeError)
    assert a.count("ended") >= 1
    assert b.count("ended") == 0


@pytest.mark.parametrize("first", ["client", "server"])
def test_another_grant_carries_the_flow_on(pair: Pair, family: int, first: str) -> None:
    """When one of two grants ends the flow goes on unbroken, whichever end speaks next."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    soon = now() + 1
    b.grant(direction(a, [(TCP, 80, 80, IN, soon), (TCP, None, None, IN + 1, None)]))
    client, connection = flow(a, b, family)
    assert f"mark={IN}" in marks(b)
    time.sleep(max(0.0, soon + 0.2 - now()))
    speaker, listener = (client, connection) if first == "client" else (connection, client)
    speaker.sendall(b"still here")
    assert listener.recv(64) == b"still here"
    exchange(client, connection)
    assert f"mark={IN + 1}" in marks(b)
    assert b.count("ended") == 0


@pytest.mark.parametrize("first", ["client", "server"])
def test_the_initiator_carries_its_flow_on_too(pair: Pair, family: int, first: str) -> None:
    """The same holds for the caller's own firewall when its grant is replaced by another."""
    a, b = pair
    b.namespace.wait(b.firewall.remove)
    a.grant(None, direction(b, [(TCP, 80, 80, OUT, None)]))
    client, connection = flow(a, b, family)
    a.grant(None, direction(b, [(TCP, 70, 90, OUT + 1, None)], cls=8))
    speaker, listener = (client, connection) if first == "client" else (connection, client)
    speaker.sendall(b"still here")
    assert listener.recv(64) == b"still here"
    assert f"mark={OUT + 1}" in marks(a)
    assert a.count("ended") == 0


def test_a_stale_mark_opens_nothing(pair: Pair) -> None:
    """A flow keeps the mark of its ended grant; a later grant for another port does not help."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    client, _ = flow(a, b, 4)
    b.grant(direction(a, [(TCP, 81, 81, IN + 1, None)]))
    error, _ = fails_within_bounds(client)
    assert isinstance(error, ConnectionResetError | BrokenPipeError)
    assert f"mark={IN + 1}" not in marks(b)


def test_an_icmp_error_revives_nothing(pair: Pair) -> None:
    """A peer with a grant for ICMP cannot mark its dead flow with it by an error about it."""
    a, b = pair
    a.namespace.wait(a.firewall.remove)
    b.grant(direction(a, [(UDP, 53, 53, IN, None)]))
    server = b.namespace.udp(str(b.address4), 53)
    client = a.namespace.udp(str(a.address4), 5353)
    client.sendto(b"question", (str(b.address4), 53))
    _, source = server.recvfrom(64)
    server.sendto(b"answer", source)
    assert client.recv(64) == b"answer"
    b.grant(direction(a, [(1, None, None, IN + 1, None)]))
    before = b.count("denied_in")
    raw = a.namespace.open(socket.SOCK_RAW, family=socket.AF_INET, proto=1)
    raw.sendto(_time_exceeded(b, a), (str(b.address4), 0))
    assert b.counted("denied_in", before + 1)
    assert f"mark={IN + 1}" not in marks(b)
    with pytest.raises(PermissionError):
        server.sendto(b"more", source)


def _time_exceeded(sender: Machine, receiver: Machine) -> bytes:
    """Return an ICMP error (RFC 792) about a datagram from port 53 to port 5353."""
    quoted = bytes.fromhex("450000220000400040110000")
    quoted += sender.address4.packed + receiver.address4.packed
    quoted += bytes.fromhex("003514e9000e0000") + b"answer"
    body = bytes.fromhex("0b000000") + bytes(4) + quoted
    total = sum(int.from_bytes(body[at : at + 2], "big") for at in range(0, len(body), 2))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF
    return body[:2] + checksum.to_bytes(2, "big") + body[4:]


def marks(machine: Machine) -> str:
    """Return the machine's table of connections."""
    return machine.namespace.run("conntrack", "-L") + machine.namespace.run(
        "conntrack", "-L", "-f", "ipv6"
    )
