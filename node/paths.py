"""Where a node keeps its state and listens for commands.

A mesh has its folder under /var/lib/hedgerow and its socket under /run/hedgerow. A node that was
given a folder of its own, as every node but the first on one machine must be, has its socket in
it. Nothing else is global, so several meshes and several nodes live on one host.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import LocalError

STATE_ROOT = Path("/var/lib/hedgerow")
RUN_ROOT = Path("/run/hedgerow")
CONFIG_ROOT = Path("/etc/hedgerow")

# sockaddr_un holds 108 bytes with the final zero.
SOCKET_PATH_BYTES_MAX = 107

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Paths:
    """The places of one node.

    Attributes:
        state: the state directory.
        socket: where the daemon listens for commands.
        config: the settings file, which need not exist.
    """

    state: Path
    socket: Path
    config: Path

    @property
    def database(self) -> Path:
        """Everything the node knows, verified again whenever it is loaded."""
        return self.state / "state.db"

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it runs."""
        return self.state / "lock"

    @property
    def log(self) -> Path:
        """What a daemon in the background writes."""
        return self.state / "daemon.log"


def given(state: Path) -> Paths:
    """Return the places of a node whose folder was named.

    Raises:
        LocalError: the path is too long to hold a unix socket.
    """
    state = state.absolute()
    if state.parent == STATE_ROOT:
        return of_mesh(state.name)
    socket = state / "daemon.sock"
    if len(bytes(socket)) > SOCKET_PATH_BYTES_MAX:
        raise LocalError(
            f"the path {state} is too long: a unix socket in it could not be opened",
            remedy=f"choose a directory of at most {SOCKET_PATH_BYTES_MAX - 12} bytes",
        )
    return Paths(state=state, socket=socket, config=state / "settings.toml")


def pending() -> Paths:
    """Return where a request's keys wait while the mesh is not known yet.

    No mesh can be called so, and no state file lies there.
    """
    state = STATE_ROOT / ".pending"
    return Paths(state=state, socket=state / "daemon.sock", config=state / "settings.toml")


def of_mesh(mesh_name: str) -> Paths:
    """Return the default places for a mesh.

    Raises:
        LocalError: the name cannot be the name of a folder.
    """
    if not _FOLDER_NAME.fullmatch(mesh_name):
        raise LocalError(
            f"the mesh name {mesh_name!r} cannot be the name of a folder",
            remedy="name a folder for this node with --state DIR",
        )
    return Paths(
        state=STATE_ROOT / mesh_name,
        socket=RUN_ROOT / f"{mesh_name}.sock",
        config=CONFIG_ROOT / f"{mesh_name}.toml",
    )


def locate(state: Path | None) -> Paths:
    """Return the places of the node meant by a command: the one named, or the only one there is.

    Raises:
        LocalError: none was named, and there is none or more than one.
    """
    if state is not None:
        return given(state)
    found = sorted(STATE_ROOT.glob("*/state.db")) if STATE_ROOT.is_dir() else []
    if not found:
        raise LocalError(
            "this machine has not joined a mesh",
            remedy="join one with `hedgerow join INVITE`, or name the node's folder: --state DIR",
        )
    if len(found) > 1:
        names = ", ".join(path.parent.name for path in found)
        raise LocalError(
            f"this machine is in several meshes: {names}",
            remedy=f"name one: hedgerow --state {found[0].parent} …",
        )
    return of_mesh(found[0].parent.name)
