"""Which WireGuard this machine has."""

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from node.engine.desired import TunnelPeer
from node.kernel.netlink import NetlinkError, code, route_socket
from node.kernel.wireguard.kernel import KIND, KernelWireGuard
from node.kernel.wireguard.peers import PeerStatus, WireGuardError
from node.kernel.wireguard.userspace import UserspaceWireGuard

TUN = Path("/dev/net/tun")


class WireGuard(Protocol):
    """What the daemon needs of a WireGuard, wherever it runs."""

    @property
    def backend(self) -> str:
        """Either "kernel" or "userspace"."""
        ...

    async def up(self, interface: str, private_key: bytes, listen_port: int) -> None:
        """Have the tunnel run with this key and port; adopt one that already does."""
        ...

    async def apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        """Make it hold exactly `peers`, touching only what differs."""
        ...

    async def read(self) -> Mapping[bytes, PeerStatus]:
        """Return how each peer is doing, by public key."""
        ...

    async def down(self) -> None:
        """Stop the tunnel and remove its interface."""
        ...


async def choose(*, program: str = "wireguard-go", tun: Path = TUN) -> WireGuard:
    """Return the kernel's WireGuard if it has one, else the one in user space.

    Raises:
        WireGuardError: There is neither, or not the right to use it.
    """
    if await _kernel_has_wireguard():
        return KernelWireGuard()
    _check_userspace(program, tun)
    return UserspaceWireGuard(program)


def _check_userspace(program: str, tun: Path) -> None:
    if shutil.which(program) is None:
        raise WireGuardError(
            f"this machine has no WireGuard: neither the kernel module nor {program}",
            remedy="install the package wireguard-go, or a kernel with the wireguard module",
        )
    if not tun.exists():
        raise WireGuardError(
            f"{program} needs {tun}, which does not exist",
            remedy="load the kernel module (`modprobe tun`), or give the container that device",
        )


async def _kernel_has_wireguard() -> bool:
    """Find out by making an interface: that loads the module where there is one."""
    name = f"hgp{os.getpid()}"[:15]
    try:
        async with route_socket() as netlink:
            await netlink.link("add", ifname=name, kind=KIND)
            for index in await netlink.link_lookup(ifname=name):
                await netlink.link("del", index=index)
    except NetlinkError as error:
        if code(error) in {errno.EOPNOTSUPP, errno.ENODEV}:
            return False
        remedy = "run the daemon as root, or with the capability CAP_NET_ADMIN"
        raise WireGuardError(f"cannot make network interfaces: {error}", remedy=remedy) from error
    return True
