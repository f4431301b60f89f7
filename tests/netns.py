"""Network namespaces for tests: made with unique names, removed whatever happens.

A socket belongs for its whole life to the namespace it was made in, so a test makes sockets in
several namespaces and uses them side by side in one process; a coroutine runs in a thread that
has entered the namespace, and so do the programs it starts.
"""

import asyncio
import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000
_counter = itertools.count()
SECONDS_MAX = 20.0


def _setns(name: str) -> None:
    """Move the calling thread into a namespace."""
    handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {name}")
    finally:
        os.close(handle)


def command(*argv: str, text: str | None = None, check: bool = True) -> str:
    """Run a program outside any test namespace and return what it printed."""
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Namespace:
    """One network namespace with its loopback up."""

    name: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def run(self, *argv: str, text: str | None = None, check: bool = True) -> str:
        """Run a program in here and return what it printed."""
        return command("ip", "netns", "exec", self.name, *argv, text=text, check=check)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program in here; it ends with the test at the latest."""
        process = subprocess.Popen(
            ("ip", "netns", "exec", self.name, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function in a thread that is in here."""
        with ThreadPoolExecutor(1, initializer=_setns, initargs=(self.name,)) as pool:
            return pool.submit(function).result(SECONDS_MAX * 2)

    def wait(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine to its end in here, on an event loop of its own."""
        return self.call(lambda: asyncio.run(work()))

    def open(
        self, kind: int, address: str = "", port: int = 0, *, proto: int = 0, family: int = 0
    ) -> socket.socket:
        """Make a socket in here, bound when an address is given. It waits 5 s at most."""
        family = family or (socket.AF_INET6 if ":" in address else socket.AF_INET)
        made = self.call(lambda: socket.socket(family, kind, proto))
        self.sockets.append(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(5.0)
        if address:
            made.bind((address, port))
        return made

    def udp(self, address: str, port: int = 0) -> socket.socket:
        """Make a UDP socket bound to `address`."""
        return self.open(socket.SOCK_DGRAM, address, port)

    def listen(self, address: str, port: int) -> socket.socket:
        """Make a listening TCP socket."""
        server = self.open(socket.SOCK_STREAM, address, port)
        server.listen(16)
        return server

    def accept(self, server: socket.socket) -> socket.socket:
        """Take the next connection of a listening socket."""
        connection, _ = server.accept()
        connection.settimeout(5.0)
        self.sockets.append(connection)
        return connection

    def connect(self, address: str, port: int, *, timeout_seconds: float = 5.0) -> socket.socket:
        """Open a TCP connection from in here."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = self.open(socket.SOCK_STREAM, family=family)
        client.settimeout(timeout_seconds)
        client.connect((address, port))
        return client


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[tuple[Namespace, ...]]:
    """Make `count` namespaces and remove them, and what runs in them, at the end."""
    made: list[Namespace] = []
    try:
        for _ in range(count):
            name = f"hgt{os.getpid()}-{next(_counter)}"
            command("ip", "netns", "add", name)
            made.append(Namespace(name))
            made[-1].run("ip", "link", "set", "lo", "up")
        yield tuple(made)
    finally:
        for one in made:
            for opened in one.sockets:
                opened.close()
            for process in one.processes:
                process.kill()
                process.communicate()
            for pid in command("ip", "netns", "pids", one.name, check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            command("ip", "netns", "del", one.name, check=False)


def veth(one: Namespace, two: Namespace, *names: str, addresses: tuple[str, str]) -> None:
    """Join two namespaces by a cable with the given addresses (with prefix length) at its ends."""
    near, far = names
    command("ip", "link", "add", near, "netns", one.name, "type", "veth", "peer", "name", far,
            "netns", two.name)  # fmt: skip
    for namespace, name, address in ((one, near, addresses[0]), (two, far, addresses[1])):
        extra = ("nodad",) if ":" in address else ()
        namespace.run("ip", "addr", "add", address, "dev", name, *extra)
        namespace.run("ip", "link", "set", name, "up")
