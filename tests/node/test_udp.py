"""The control socket, with the pitfalls of asyncio-dgram that it has to avoid."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from asyncio_dgram import TransportClosed

from node import udp

LOOPBACK = "127.0.0.1"


@pytest.fixture
async def control() -> AsyncIterator[udp.ControlSocket]:
    """A control socket on any free port."""
    opened = await udp.ControlSocket.open(0)
    yield opened
    opened.close()
    await asyncio.sleep(0)


def neighbour() -> socket.socket:
    """A plain IPv4 socket on loopback."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.bind((LOOPBACK, 0))
    plain.settimeout(5)
    return plain


async def test_an_ipv4_peer_of_the_dual_stack_socket_is_ipv4(control: udp.ControlSocket) -> None:
    """The core never sees a v4-mapped address, and an answer to it arrives."""
    with neighbour() as peer:
        peer.sendto(b"hello", (LOOPBACK, control.port))
        data, source = await control.receive()
        assert (data, source) == (b"hello", (LOOPBACK, peer.getsockname()[1]))
        assert control.send(source, b"back")
        assert peer.recv(100) == b"back"


async def test_a_refused_send_blames_nobody_else(control: udp.ControlSocket) -> None:
    """A send that the system refuses is counted at once; the next one, elsewhere, arrives."""
    with neighbour() as peer:
        assert not control.send((LOOPBACK, peer.getsockname()[1]), bytes(70_000))
        assert control.send((LOOPBACK, peer.getsockname()[1]), b"healthy")
        assert peer.recv(100) == b"healthy"
    assert control.refused == {"EMSGSIZE": 1}


async def test_a_send_to_nonsense_is_counted_and_does_not_raise(
    control: udp.ControlSocket,
) -> None:
    """Port 0 and the like come from peers, so they must not end the daemon."""
    assert not control.send(("192.0.2.1", 0), b"x")
    assert sum(control.refused.values()) == 1


async def test_the_stock_loop_is_told_to_read_small_pieces(control: udp.ControlSocket) -> None:
    """The undocumented attributes that save 254 KiB a datagram still exist."""
    assert vars(control._stream)["_transport"].max_size == udp.DATAGRAM_BYTES_MAX


async def test_a_long_datagram_is_cut(control: udp.ControlSocket) -> None:
    """More than our maximum never reaches the core; the rest would fail authentication."""
    with neighbour() as peer:
        peer.sendto(bytes(5_000), (LOOPBACK, control.port))
        data, _ = await control.receive()
    assert len(data) == udp.DATAGRAM_BYTES_MAX


async def test_drain_takes_what_waits_and_does_not_wait(control: udp.ControlSocket) -> None:
    """After a pause the waiting datagrams are had without returning to the loop."""
    with neighbour() as peer:
        for number in range(5):
            peer.sendto(bytes([number]), (LOOPBACK, control.port))
        waiting = [data for data, _ in control.drain()]
    assert waiting == [bytes([number]) for number in range(5)]
    assert list(control.drain()) == []


async def test_drain_is_bounded(
    control: udp.ControlSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood cannot keep the loop in drain."""
    monkeypatch.setattr(udp, "DRAIN_DATAGRAMS_MAX", 3)
    with neighbour() as peer:
        for _ in range(10):
            peer.sendto(b"x", (LOOPBACK, control.port))
        assert len(list(control.drain())) == 3


async def test_close_ends_a_waiting_receive() -> None:
    """The reader task ends when the socket is closed."""
    control = await udp.ControlSocket.open(0)
    waiting = asyncio.create_task(control.receive())
    await asyncio.sleep(0)
    control.close()
    with pytest.raises(TransportClosed):
        await waiting


async def test_a_taken_port_is_its_own_error() -> None:
    """The message names the port and the remedy the option."""
    with udp.bind(0) as other:
        port = other.getsockname()[1]
        with pytest.raises(udp.PortInUseError) as caught:
            await udp.ControlSocket.open(port)
    assert str(caught.value) == f"UDP port {port} is in use by another program"
    assert "--port" in caught.value.remedy


def test_a_machine_without_ipv6_gets_an_ipv4_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no IPv6, the node works with IPv4."""
    real = udp._bind

    def no_ipv6(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        if family is socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, host, port)

    monkeypatch.setattr(udp, "_bind", no_ipv6)
    with udp.bind(0) as bound:
        assert bound.family == socket.AF_INET


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("::ffff:0:192.0.2.7", "::ffff:0:192.0.2.7"),
    ],
)
def test_normalise(given: str, expected: str) -> None:
    """Only v4-mapped addresses change."""
    assert udp.normalise(given) == expected
