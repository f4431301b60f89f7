"""A stand-in for the daemon: takes what is published on a unix socket, and answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

ADMITTED = {"type": "head", "id": "ab" * 32, "fresh": True}


@dataclass
class Daemon:
    """What was asked of it, and what it says."""

    socket: Path
    status: int = 200
    reply: dict[str, Any] = field(default_factory=lambda: {"admitted": [ADMITTED]})
    taken: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def running(socket: Path) -> Iterator[Daemon]:
    """Listen on a socket for the length of the block."""
    daemon = Daemon(socket)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            daemon.taken.append((self.path, self.rfile.read(length)))
            body = json.dumps(daemon.reply).encode()
            self.send_response(daemon.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Stay silent."""

        def address_string(self) -> str:
            return "unix"

    with UnixStreamServer(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()
