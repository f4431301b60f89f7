"""WireGuard in user space: wireguard-go, configured over its unix socket.

The process is a daemon of its own. It outlives ours, kill -9 included, so a restart finds the
tunnel up and adopts it; it ends when its interface is removed.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from node.engine.desired import TunnelPeer
from node.kernel import links
from node.kernel.process import MissingProgramError, ProgramTimeoutError, run
from node.kernel.wireguard.peers import (
    KnownPeer,
    PeerStatus,
    WireGuardError,
    applied,
    changes,
    same_key,
)
from node.kernel.wireguard.uapi import END, GET, UapiDevice, parse, render_device, render_peers

SOCKETS = Path("/var/run/wireguard")

# Peers in one operation: wireguard-go sets about 20 a millisecond, and nothing else waits.
PEERS_PER_OPERATION = 200
ANSWER_BYTES_MAX = 64 * 1024 * 1024
ANSWER_SECONDS_MAX = 10.0
START_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.02


class UserspaceWireGuard:
    """Drives one wireguard-go.

    Args:
        program: The program to start.
        sockets: Where it puts its socket, which is one place for all network namespaces.
    """

    backend = "userspace"

    def __init__(self, program: str = "wireguard-go", sockets: Path = SOCKETS) -> None:
        self._program = program
        self._sockets = sockets
        self._interface = ""
        self._known: dict[bytes, KnownPeer] | None = None
        self._lock = asyncio.Lock()

    async def up(self, interface: str, private_key: bytes, listen_port: int) -> None:
        """Have the tunnel run with this key and port; adopt one that already does.

        Raises:
            WireGuardError: It could not be started; the remedy says what is missing.
            LinkError: The interface could not be brought up.
        """
        async with self._lock:
            self._interface = interface
            self._known = None
            device = await self._running()
            if device is not None and not same_key(device.private_key, private_key):
                await self._stop()
                device = None
            if device is None:
                await self._start(listen_port)
                await self._set(render_device(private_key=private_key, listen_port=listen_port))
            elif device.listen_port != listen_port:
                await self._set(render_device(listen_port=listen_port))
            await links.bring_up(interface)
            await self._listening(listen_port)

    async def apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        """Make it hold exactly `peers`, touching only what differs.

        An operation is not atomic: after an error what came before it stands. So what it holds is
        read back and the rest is tried once more.

        Raises:
            WireGuardError: It is not running, or refused twice.
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
            WireGuardError: It is not running.
        """
        async with self._lock:
            device = await self._get()
        return {
            key: PeerStatus(
                peer.endpoint,
                peer.handshake_seconds + peer.handshake_nanoseconds / 1e9,
                peer.rx,
                peer.tx,
            )
            for key, peer in device.peers.items()
        }

    async def down(self) -> None:
        """Stop the tunnel and remove its interface.

        Raises:
            LinkError: The kernel refused to remove it.
            WireGuardError: The process did not end.
        """
        async with self._lock:
            if self._interface:
                await self._stop()
            self._known = None

    @property
    def _socket(self) -> Path:
        return self._sockets / f"{self._interface}.sock"

    async def _apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        known = self._known
        if known is None:
            device = await self._get()
            known = {
                key: KnownPeer(frozenset(peer.allowed_ips), peer.endpoint, peer.keepalive_seconds)
                for key, peer in device.peers.items()
            }
        pending = changes(known, peers)
        self._known = None
        while batch := list(itertools.islice(pending, PEERS_PER_OPERATION)):
            await self._set(render_peers(batch))
        self._known = applied(known, peers)

    async def _running(self) -> UapiDevice | None:
        """Return the state of a wireguard-go that serves our interface, if one does."""
        try:
            device = await self._get()
        except WireGuardError:
            if links.exists(self._interface):
                # A kernel tunnel, or the remains of something else under our name.
                await links.remove(self._interface)
            return None
        if not links.exists(self._interface):
            raise WireGuardError(
                f"a wireguard-go for {self._interface} runs in another network namespace",
                remedy=f"stop that daemon, or remove {self._socket} if there is none",
            )
        return device

    async def _start(self, listen_port: int) -> None:
        _check_port(listen_port)
        # Without -f it detaches by itself, once the interface and the socket are there. Its log
        # would be lost in any case, so it is told to keep none.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "silent"}
        try:
            done = await run([self._program, self._interface], env=environment)
        except (MissingProgramError, ProgramTimeoutError) as error:
            raise WireGuardError(error.message, remedy=error.remedy) from error
        if done.returncode:
            lines = (done.stdout.decode(errors="replace") + done.stderr).strip().splitlines()
            said = lines[-1][:200] if lines else f"exit status {done.returncode}"
            raise WireGuardError(
                f"wireguard-go cannot make the interface {self._interface}: {said}",
                remedy="run as root and see that /dev/net/tun exists (`modprobe tun`)",
            )
        await self._wait(present=True)

    async def _stop(self) -> None:
        if links.exists(self._interface):
            await links.remove(self._interface)
        else:
            # It also ends when its socket is taken away.
            self._socket.unlink(missing_ok=True)
        await self._wait(present=False)

    async def _wait(self, *, present: bool) -> None:
        """Wait until somebody serves the socket, or nobody does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS_MAX):
                while await self._served() is not present:  # noqa: ASYNC110 - another process's socket
                    await asyncio.sleep(_POLL_SECONDS)
                return
        raise WireGuardError(
            f"wireguard-go for {self._interface} did not {'start' if present else 'end'} in time",
            remedy="look for it with `pgrep -a wireguard-go`",
        )

    async def _listening(self, port: int) -> None:
        """Wait until it has opened its UDP port, which it does some time after the link is up.

        A handshake that came before would be lost, and the next try is five seconds away.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS_MAX):
                while not _has_port(port):  # noqa: ASYNC110 - another process's socket
                    await asyncio.sleep(_POLL_SECONDS)
                return
        raise WireGuardError(
            f"wireguard-go for {self._interface} did not open UDP port {port}",
            remedy="see with `ss -lunp` what else has the port, or choose another one",
        )

    async def _served(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        writer.close()
        return True

    async def _get(self) -> UapiDevice:
        return await self._exchange(GET)

    async def _set(self, operation: str) -> None:
        device = await self._exchange(operation)
        if device.errno:
            number = abs(device.errno)
            remedy = "the tunnel keeps what it had; the next update tries again"
            if number == errno.EADDRINUSE:
                remedy = "another program uses the UDP port; stop it or choose another port"
            raise WireGuardError(
                f"wireguard-go refused the configuration: {os.strerror(number)}", remedy=remedy
            )

    async def _exchange(self, operation: str) -> UapiDevice:
        """Send one operation over a fresh connection and read its answer."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                reader, writer = await asyncio.open_unix_connection(
                    self._socket, limit=ANSWER_BYTES_MAX
                )
                writer.write(operation.encode())
                await writer.drain()
                answer = await reader.readuntil(END)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise WireGuardError(
                f"wireguard-go for {self._interface} does not answer: {error}",
                remedy="restart the daemon: it starts wireguard-go again",
            ) from error
        finally:
            if writer is not None:
                writer.close()
        return parse(answer.decode())


def _check_port(port: int) -> None:
    """Find out that a port is taken now: wireguard-go would only log it.

    Raises:
        WireGuardError: Another program has the port.
    """
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - a probe
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise WireGuardError(
                    f"UDP port {port} is already in use",
                    remedy="stop the program that has it (`ss -lunp`), or choose another port",
                ) from error


def _has_port(port: int) -> bool:
    """Say whether a UDP socket of this network namespace has the port (proc_net(5))."""
    ending = f":{port:04X}"
    for name in ("udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/thread-self/net", name).read_text("ascii").splitlines()[1:]:
                if line.split()[1].endswith(ending):
                    return True
    return False
