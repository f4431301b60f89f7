"""The one place that imports pyroute2: sockets, and what its errors mean.

pyroute2's asynchronous classes work only on the stock event loop: under uvloop they fail, because
it has no netlink sockets.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from node import lean

lean.bare("pyroute2")

from pyroute2.iproute.linux import AsyncIPRoute  # noqa: E402 - only once the package is bare
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402
from pyroute2.netlink.generic.wireguard import AsyncWireGuard  # noqa: E402

__all__ = ["NetlinkError", "code", "route_socket", "wireguard_socket"]


def route_socket() -> AbstractAsyncContextManager[Any]:
    """Return a socket for links, addresses and routes, to be used with `async with`."""
    return cast("AbstractAsyncContextManager[Any]", AsyncIPRoute())


def wireguard_socket() -> AbstractAsyncContextManager[Any]:
    """Return a socket for the kernel's WireGuard, to be used with `async with`."""
    return cast("AbstractAsyncContextManager[Any]", AsyncWireGuard())


def code(error: BaseException) -> int:
    """Return the errno of a NetlinkError."""
    return int(getattr(error, "code", 0))
