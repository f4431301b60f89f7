"""Hear at once when an address or a link of this machine comes or goes.

The kernel multicasts such changes on netlink (rtnetlink(7)). What changed is not read from them:
they only say when to look. Messages that were lost say the same.
"""

import socket

_GROUP_LINK = 1
_GROUP_IPV4_ADDRESS = 0x10
_GROUP_IPV6_ADDRESS = 0x100
_PIECE_BYTES = 65_536
_PIECES_MAX = 64


class NetWatch:
    """A descriptor that becomes readable when the network of this namespace changes.

    Raises:
        OSError: the system has no netlink.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.setblocking(False)
        self._socket.bind((0, _GROUP_LINK | _GROUP_IPV4_ADDRESS | _GROUP_IPV6_ADDRESS))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def acknowledge(self) -> bool:
        """Forget what has been said so far; return whether anything was."""
        heard = False
        for _ in range(_PIECES_MAX):
            try:
                self._socket.recv(_PIECE_BYTES)
            except BlockingIOError:
                return heard
            except OSError:
                # ENOBUFS: more was said than could be kept, so something did change.
                return True
            heard = True
        return heard

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()
