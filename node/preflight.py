"""What a daemon needs of its machine, asked before it changes anything.

Each thing that is missing has its own message and remedy, and every one is a LocalError: the
command ends with exit code 1 and the machine is as it was.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crypto.errors import LocalError
from node import lock, udp
from node.admin import files
from node.kernel import links
from node.paths import RUN_ROOT

# Random, because with one fixed port for all, two nodes behind one Linux translator take each
# other's mapping (docs/adr/0005); above the ports that services use, below the ephemeral
# ones of most systems.
PORT_FIRST, PORT_LAST = 20_000, 32_000
_PORT_TRIES = 64

_CAP_NET_ADMIN = 12
_STATUS = Path("/proc/self/status")
_NAMESPACE = Path("/proc/thread-self/ns/net")


def check_rights(status: Path = _STATUS) -> None:
    """Raise unless this process may configure the network.

    Raises:
        LocalError: it may not.
    """
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff" and int(value, 16) >> _CAP_NET_ADMIN & 1:
            return
    raise LocalError(
        "this process may not configure the network",
        remedy="run it as root, or give it the capability CAP_NET_ADMIN",
    )


def check_firewall(nft: str = "nft") -> None:
    """Raise unless the program that loads the firewall is there.

    Raises:
        LocalError: it is not.
    """
    if shutil.which(nft) is None:
        raise LocalError(
            f"the program {nft} is not installed, and without a firewall nothing may start",
            remedy="install the package nftables",
        )


@contextmanager
def claim_table(table: str, *, folder: Path = RUN_ROOT) -> Iterator[None]:
    """Hold a firewall table for the length of the block, in this network namespace.

    Its lock is a file where only root can make one: with a name that anybody may take, any user
    of the machine could keep the daemon from starting.

    Raises:
        LocalError: another daemon in this namespace has it, or the file cannot be made.
    """
    namespace = _NAMESPACE.stat().st_ino
    with files.explained("make", folder):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.held(folder / f"{table}-{namespace}.lock"))
        except lock.AlreadyRunningError as error:
            raise LocalError(
                f"another hedgerow daemon here holds the firewall table {table!r}",
                remedy='give this one another: firewall_table = "NAME" in its settings',
            ) from error
        yield


def choose_port(*, asked: int | None, kept: int | None, interface: str) -> int:
    """Return the UDP port for WireGuard: the one asked for, the kept one, or a random one.

    A tunnel of ours that outlived its daemon holds the kept port, so that one is not tried.

    Raises:
        PortInUseError: the port asked for or kept belongs to another program.
    """
    port = asked or kept
    if port is None:
        return _free_port()
    if not (port == kept and links.exists(interface)):
        udp.bind(port).close()
    return port


def _free_port() -> int:
    for _ in range(_PORT_TRIES):
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST)
        try:
            udp.bind(port).close()
        except udp.PortInUseError:
            continue
        return port
    raise LocalError(
        f"no free UDP port was found between {PORT_FIRST} and {PORT_LAST}",
        remedy="name one with `hedgerow up --port PORT`",
    )


async def open_control(kept: int | None) -> udp.ControlSocket:
    """Open the control socket, on the kept port if it can be had: rules in force point at it.

    Raises:
        LocalError: no socket can be had at all.
    """
    if kept is not None:
        try:
            return await udp.ControlSocket.open(kept)
        except udp.PortInUseError:
            pass
    return await udp.ControlSocket.open(0)
