"""Talk to the daemon: HTTP over a unix socket, with the standard library only.

The command line starts quickly because it imports this and not the server.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from crypto.errors import LocalError

HOST = "hedgerow"
TIMEOUT_SECONDS = 30.0

Reply = dict[str, Any]


class NotRunningError(LocalError):
    """No daemon listens there. State unchanged."""


class DeniedError(LocalError):
    """The daemon refused, and said why. The message and the remedy are its own."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(HOST, timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Open the socket instead of a TCP connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """The daemon behind one socket.

    Args:
        path: its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, target: str) -> Reply:
        """Ask for something.

        Raises:
            NotRunningError: nobody listens.
            DeniedError: the daemon said no.
            LocalError: we may not talk to it, or it answered nonsense.
        """
        return self._call("GET", target, None)

    def post(self, target: str, body: bytes | Reply) -> Reply:
        """Ask for something to be done, with bytes or with a JSON object. Raises as `get`."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._call("POST", target, data)

    def _call(self, method: str, target: str, body: bytes | None) -> Reply:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return self._read(response.status, response.read())
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunningError(
                f"no daemon is running: nothing listens on {self._path}",
                remedy="start it with `hedgerow up`",
            ) from error
        except PermissionError as error:
            raise LocalError(
                f"you may not talk to the daemon on {self._path}",
                remedy="run the command as root, or join the group that owns the socket",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise LocalError(
                f"the daemon on {self._path} does not answer: {error!r}",
                remedy="look at its log, and start it again if need be: it cuts nothing",
            ) from error
        finally:
            connection.close()

    def _read(self, status: int, body: bytes) -> Reply:
        try:
            reply = json.loads(body)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise LocalError(f"what listens on {self._path} is not a hedgerow daemon")
        if status >= http.client.BAD_REQUEST:
            raise DeniedError(
                str(reply.get("error", "the daemon refused")), remedy=str(reply.get("remedy", ""))
            )
        return reply
