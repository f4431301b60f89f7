"""The daemon's unix socket: who may talk, what is answered, what the client makes of it."""

import asyncio
import contextlib
import grp
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import LocalError
from node.api import guard
from node.api.client import Client, DeniedError, NotRunningError
from node.api.server import Server

NOBODY = 65534


class Service:
    """A daemon that remembers what it was asked."""

    def __init__(self) -> None:
        self.published: list[bytes] = []

    async def status(self) -> dict[str, Any]:
        """Return a status."""
        return {"mesh": "acme", "peers": [{"name": "db1"}]}

    def why(self, source: str, destination: str, service: str) -> dict[str, Any]:
        """Repeat the question."""
        return {"asked": [source, destination, service]}

    async def ping(self, name: str) -> dict[str, Any]:
        """Know only db1."""
        if name != "db1":
            raise LocalError(f"no device is named {name!r}", remedy="see `hedgerow peers`")
        return {"name": name, "rtt_ms": 1.5}

    async def publish(self, data: bytes) -> dict[str, Any]:
        """Take everything."""
        self.published.append(data)
        return {"admitted": []}

    async def down(self) -> dict[str, Any]:
        """Agree."""
        return {"left": True}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may enter, as /run is; pytest's own folders keep them out."""
    made = Path(tempfile.mkdtemp(prefix="hedgerow-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextlib.asynccontextmanager
async def serving(service: Service, path: Path, group: int | None = None) -> AsyncIterator[Client]:
    """Serve the interface on a socket."""
    server = Server(service, guard.listen(path, group), group)
    await server.start()
    try:
        yield Client(path)
    finally:
        await server.stop()


def as_nobody(
    path: Path, request: str = "GET /v1/status HTTP/1.1\r\nHost: hedgerow\r\n\r\n"
) -> str:
    """Send a request as a user without rights, and return the first line or the error."""
    program = (
        "import os, socket, sys\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try:\n"
        f"    s.connect({str(path)!r}); s.sendall({request!r}.encode())\n"
        "    print(s.recv(1000).decode().splitlines()[0])\n"
        "except OSError as error:\n"
        "    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@needs_root
async def test_t57_another_user_cannot_connect(folder: Path) -> None:
    """T57: the socket has mode 0600, and the kernel refuses everyone but its owner."""
    path = folder / "d.sock"
    async with serving(Service(), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(as_nobody, path) == "PermissionError"


@needs_root
async def test_t57_a_mode_changed_by_accident_opens_nothing(folder: Path) -> None:
    """T57: even with mode 0666 the caller's user is asked from the kernel and refused."""
    path = folder / "d.sock"
    service = Service()
    request = "POST /v1/publish HTTP/1.1\r\nHost: hedgerow\r\nContent-Length: 1\r\n\r\nx"
    async with serving(service, path):
        path.chmod(0o666)
        answer = await asyncio.to_thread(as_nobody, path, request)
    assert "403" in answer
    assert service.published == []


@needs_root
async def test_t57_the_group_of_the_socket_may_call(folder: Path) -> None:
    """T57: with a group the mode is 0660, and a process of that group is answered."""
    path = folder / "d.sock"
    async with serving(Service(), path, group=NOBODY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert path.stat().st_gid == NOBODY
        assert "200" in await asyncio.to_thread(as_nobody, path)


def test_only_root_ourselves_and_the_group_may_call() -> None:
    """The decision itself, for callers that a test cannot become."""
    assert guard.may_call(guard.Caller(1, 0, 0), None)
    assert guard.may_call(guard.Caller(1, os.geteuid(), 5), None)
    assert not guard.may_call(guard.Caller(1, NOBODY, NOBODY), None)
    assert not guard.may_call(guard.Caller(1, NOBODY, NOBODY), 12)
    assert guard.may_call(guard.Caller(1, NOBODY, 12), 12)
    assert not guard.may_call(guard.Caller(1, 4_000_000, 13), 12)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "hedgerow.evil.example", ""])
async def test_another_host_is_refused(folder: Path, host: str) -> None:
    """A request that was meant for another name comes from a page or a proxy."""
    async with serving(Service(), folder / "d.sock"):
        request = f"GET /v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n"
        assert "403" in await asyncio.to_thread(raw, folder / "d.sock", request)


async def test_a_web_page_is_refused(folder: Path) -> None:
    """Any Origin header, null included, is refused."""
    async with serving(Service(), folder / "d.sock"):
        for origin in ("https://evil.example", "null"):
            request = f"GET /v1/status HTTP/1.1\r\nHost: hedgerow\r\nOrigin: {origin}\r\n\r\n"
            assert "403" in await asyncio.to_thread(raw, folder / "d.sock", request)


def raw(path: Path, request: str) -> str:
    """Send bytes as they are and return the first line of the answer."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(path))
        channel.sendall(request.encode())
        return channel.recv(1000).decode().splitlines()[0]


async def test_every_route_reaches_the_service(folder: Path) -> None:
    """The client and the server agree on names and shapes."""
    service = Service()
    async with serving(service, folder / "d.sock") as client:
        assert (await asyncio.to_thread(client.get, "/v1/status"))["mesh"] == "acme"
        peers = await asyncio.to_thread(client.get, "/v1/peers")
        assert peers == {"peers": [{"name": "db1"}]}
        why = await asyncio.to_thread(client.get, "/v1/why?source=a&destination=b&service=tcp/22")
        assert why == {"asked": ["a", "b", "tcp/22"]}
        ping = await asyncio.to_thread(client.post, "/v1/ping", {"name": "db1"})
        assert ping["rtt_ms"] == 1.5
        await asyncio.to_thread(client.post, "/v1/publish", b"\x00\xff")
        assert service.published == [b"\x00\xff"]
        assert await asyncio.to_thread(client.post, "/v1/down", {}) == {"left": True}


async def test_an_error_of_the_daemon_keeps_its_sentence_and_remedy(folder: Path) -> None:
    """What the daemon says is what the person reads."""
    async with serving(Service(), folder / "d.sock") as client:
        with pytest.raises(DeniedError, match="no device is named 'x'") as caught:
            await asyncio.to_thread(client.post, "/v1/ping", {"name": "x"})
    assert caught.value.remedy == "see `hedgerow peers`"


@pytest.mark.parametrize(
    ("target", "body"), [("/v1/ping", b"no json"), ("/v1/ping", b"[]"), ("/v1/ping", b'{"n":1}')]
)
async def test_a_malformed_call_is_an_error(folder: Path, target: str, body: bytes) -> None:
    """Wrong bodies are refused by name, not by a traceback."""
    async with serving(Service(), folder / "d.sock") as client:
        with pytest.raises(DeniedError, match="the body is not"):
            await asyncio.to_thread(client.post, target, body)


async def test_why_without_a_question_is_an_error(folder: Path) -> None:
    """Both ends must be named."""
    async with serving(Service(), folder / "d.sock") as client:
        with pytest.raises(DeniedError, match="source, destination and service"):
            await asyncio.to_thread(client.get, "/v1/why?source=a")


def test_no_daemon_is_said(folder: Path) -> None:
    """A missing socket and a dead one read the same, with the remedy to start it."""
    with pytest.raises(NotRunningError, match="no daemon is running") as caught:
        Client(folder / "d.sock").get("/v1/status")
    assert "hedgerow up" in caught.value.remedy
    guard.listen(folder / "d.sock", None).close()
    with pytest.raises(NotRunningError):
        Client(folder / "d.sock").get("/v1/status")


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(folder: Path) -> None:
    """After a kill the next daemon listens; beside a living one it does not."""
    path = folder / "d.sock"
    guard.listen(path, None).close()
    with guard.listen(path, None), pytest.raises(LocalError, match="another daemon listens"):
        guard.listen(path, None)


def test_a_stranger_on_the_socket_is_recognised(folder: Path) -> None:
    """Something that is no hedgerow daemon gives one sentence, not a traceback."""
    path = folder / "d.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        child = os.fork()
        if child == 0:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            os._exit(0)
        with pytest.raises(LocalError, match="not a hedgerow daemon"):
            Client(path).get("/v1/status")
        os.waitpid(child, 0)


def test_a_group_that_is_not_there_is_named() -> None:
    """The remedy makes it."""
    with pytest.raises(LocalError, match="no group 'nosuch'") as caught:
        guard.group_id("nosuch")
    assert "groupadd" in caught.value.remedy
    assert guard.group_id(None) is None
    first = grp.getgrall()[0]
    assert guard.group_id(first.gr_name) == first.gr_gid


def test_the_client_is_the_standard_library_alone() -> None:
    """Start-up time: the client brings in neither the server's library nor the daemon's."""
    program = (
        "import sys, node.api.client\n"
        "print([name for name in ('aiohttp', 'asyncio', 'structlog', 'pyroute2')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
