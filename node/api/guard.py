"""Who may talk to the daemon: root, the daemon's own user, and the group that owns the socket.

The socket's mode keeps everyone else from connecting. This asks the kernel again who is at the
other end (SO_PEERCRED, unix(7)), so that a mode changed by accident opens nothing.
"""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import LocalError

HOSTS = frozenset({"hedgerow", "localhost"})

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


def caller_of(connection: socket.socket) -> Caller:
    """Ask the kernel who is at the other end of a unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Caller(*_CREDENTIALS.unpack(raw))


def may_call(caller: Caller, group: int | None) -> bool:
    """Whether a process may give commands; `group` is the one that owns the socket, if any."""
    if caller.uid in {0, os.geteuid()}:
        return True
    return group is not None and (caller.gid == group or group in _groups(caller))


def _groups(caller: Caller) -> list[int]:
    try:
        name = pwd.getpwuid(caller.uid).pw_name
    except KeyError:
        return []
    return os.getgrouplist(name, caller.gid)


def refusal(headers: Mapping[str, str]) -> str | None:
    """Return why a request is refused before it is read, or None.

    No browser reaches a unix socket by itself; a proxy on the way that forwards pages' requests
    is caught by the name it was called by and by the page's origin.
    """
    if headers.get("Host", "").partition(":")[0] not in HOSTS:
        return "the Host header is not ours"
    if "Origin" in headers:
        return "web pages may not talk to the daemon"
    return None


def group_id(name: str | None) -> int | None:
    """Return the number of the group that may talk to the daemon, or None for nobody but root.

    Raises:
        LocalError: there is no such group.
    """
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise LocalError(
            f"there is no group {name!r} to own the daemon's socket",
            remedy=f"make it with `groupadd --system {name}`, or change socket_group",
        ) from error


def listen(path: Path, group: int | None) -> socket.socket:
    """Open the daemon's socket: mode 0600, or 0660 where a group may use it.

    Raises:
        LocalError: another daemon listens there, or the path cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        return _bind(path, group)
    except OSError as error:
        raise LocalError(
            f"the daemon's socket {path} cannot be opened: {error.strerror}",
            remedy="run as root, or check who owns the folder",
        ) from error


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise LocalError(
        f"another daemon listens on {path}",
        remedy="stop it first, or give this node a folder of its own with --state DIR",
    )


def _bind(path: Path, group: int | None) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        channel.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
        channel.listen()  # at once: a socket that does not listen looks like a dead daemon's
        channel.setblocking(False)
    except BaseException:
        channel.close()
        raise
    finally:
        os.umask(before)
    return channel
