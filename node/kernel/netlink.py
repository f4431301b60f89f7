"""The one place that imports pyroute2: sockets, and what its errors mean.

pyroute2's asynchronous classes work only on the stock event loop, never under uvloop
(facts/libraries.md section 0).
"""

from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.wireguard import AsyncWireGuard

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
