"""The control socket: datagrams in through asyncio-dgram, out through our own socket.

asyncio-dgram reports a refused send at the next send, to another and healthy peer, so sending
goes through the socket that we made and keep: the error comes at once and is counted against the
right address. Its receive queue has no bound, so the one reader must await nothing but `receive`.
Both were measured with version 3.0.0.
"""

import errno
import ipaddress
import os
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncio_dgram
from asyncio_dgram.aio import DatagramStream

from crypto.errors import LocalError

Address = tuple[str, int]

# Ours are at most 1,200 bytes. What is longer is cut here, and then fails its authentication.
DATAGRAM_BYTES_MAX = 2048
RECEIVE_BUFFER_BYTES = 1 << 20
DRAIN_DATAGRAMS_MAX = 256

_MAPPED = "::ffff:"


class PortInUseError(LocalError):
    """The UDP port is taken. State unchanged."""


def normalise(host: str) -> str:
    """Return an address as the core knows it: an IPv4 peer of a dual-stack socket is IPv4."""
    if not host.startswith(_MAPPED):
        return host
    # As the system writes them: this is asked for every datagram, and parsing costs more.
    rest = host.removeprefix(_MAPPED)
    if ":" not in rest and "." in rest:
        return rest
    mapped = ipaddress.IPv6Address(host).ipv4_mapped
    return host if mapped is None else str(mapped)


def _address(source: Any) -> Address:  # noqa: ANN401 - as the socket module types it
    return normalise(source[0]), source[1]


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    own = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family is socket.AF_INET6:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        own.setblocking(False)
        own.bind((host, port))
    except BaseException:
        own.close()
        raise
    return own


def bind(port: int) -> socket.socket:
    """Bind a UDP port on every address of the machine, IPv6 and IPv4 in one socket.

    Args:
        port: the port, or 0 for any that is free.

    Raises:
        PortInUseError: the port is taken.
        LocalError: the system refuses for another reason.
    """
    try:
        try:
            return _bind(socket.AF_INET6, "::", port)
        except OSError as error:
            if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                raise
            return _bind(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - a node serves every address
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"UDP port {port} is in use by another program",
                remedy="stop that program, or choose another port with `hedgerow up --port PORT`",
            ) from error
        raise LocalError(f"UDP port {port} cannot be opened: {error.strerror}") from error


class ControlSocket:
    """The socket of gossip; make one with `open`.

    Attributes:
        port: the port that it is bound to.
        refused: how often the system refused to send, by the name of the error.
    """

    def __init__(self, own: socket.socket, stream: DatagramStream) -> None:
        self.port: int = own.getsockname()[1]
        self.refused: Counter[str] = Counter()
        self._own = own
        self._six = own.family == socket.AF_INET6
        self._stream = stream

    @classmethod
    async def open(cls, port: int) -> "ControlSocket":
        """Bind a port and attach the socket to the running loop.

        Raises:
            LocalError: the port cannot be had.
        """
        own = bind(port)
        stream = await asyncio_dgram.from_socket(own)
        # The stock loop allocates 256 KiB for every datagram unless told. There is no public way,
        # so a test asserts that these attributes exist.
        vars(stream)["_transport"].max_size = DATAGRAM_BYTES_MAX
        return cls(own, stream)

    async def receive(self) -> tuple[bytes, Address]:
        """Wait for one datagram and return it with its source.

        Raises:
            asyncio_dgram.TransportClosed: the socket was closed.
        """
        while True:
            try:
                data, source = await self._stream.recv()
            except OSError as error:
                # An ICMP error of an earlier send: it says nothing about what is to be read.
                self._count(error)
                continue
            return data, _address(source)

    def drain(self) -> Iterator[tuple[bytes, Address]]:
        """Yield what already waits in the system's buffer, up to a bound, without waiting.

        Called before timers run: after a pause the answers lie here, and a timer that ran first
        would blame their senders for the pause.
        """
        for _ in range(DRAIN_DATAGRAMS_MAX):
            try:
                data, source = self._own.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError as error:
                self._count(error)
                continue
            yield data, _address(source)

    def send(self, address: Address, data: bytes) -> bool:
        """Send one datagram; return whether the system took it. Never raises, never waits."""
        host, port = address
        if self._six and ":" not in host:
            host = f"::ffff:{host}"
        try:
            self._own.sendto(data, (host, port))
        except OSError as error:
            self._count(error)
            return False
        return True

    def close(self) -> None:
        """Close the socket; a waiting `receive` ends."""
        self._stream.close()

    def _count(self, error: OSError) -> None:
        number = error.errno or 0
        self.refused[errno.errorcode.get(number, os.strerror(number))] += 1
