"""Hear at once when a program changes our firewall table.

The kernel tells on netlink of every change of a ruleset in this namespace, as `nft monitor` shows
it (linux/netfilter/nf_tables.h): what was changed and, as the end of one transaction, which
process did it. So another program that flushes all rules is noticed within a second, and nobody
has to read the table every minute to find that it is as it was.

The process number that the message names is the whole machine's, which is not the one by which a
daemon in a container knows its nft. So the port counts that the change came from: netlink gives a
process the port of its number, as its own container counts (netlink(7), nl_pid).
"""

import socket
import struct
from collections.abc import Iterator

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_GROUP_NFTABLES = 7
_NEW_GENERATION = 10 << 8 | 15
_HEADER = struct.Struct("=IHHII")
_PIECE_BYTES = 65_536
_PIECES_MAX = 64

# Who changed it when that was lost.
SOMEBODY = 0


class TableWatch:
    """A descriptor that becomes readable when a ruleset of this namespace changes.

    Args:
        table: whose changes count.

    Raises:
        OSError: the system does not tell.
    """

    def __init__(self, table: str) -> None:
        self._name = table.encode() + b"\0"
        self._named = False
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _GROUP_NFTABLES)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def acknowledge(self) -> frozenset[int]:
        """Take what was said so far; return which processes have changed our table."""
        writers: set[int] = set()
        for _ in range(_PIECES_MAX):
            try:
                piece = self._socket.recv(_PIECE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                # ENOBUFS: more was said than could be kept, and our name may have been in it.
                writers.add(SOMEBODY)
                continue
            writers.update(self._read(piece))
        return frozenset(writers)

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()

    def _read(self, piece: bytes) -> Iterator[int]:
        """Yield who ended a transaction in which our table was named."""
        at = 0
        while at + _HEADER.size <= len(piece):
            length, kind, _, _, port = _HEADER.unpack_from(piece, at)
            body = piece[at + _HEADER.size : at + max(length, _HEADER.size)]
            at += max(length + 3 & ~3, _HEADER.size)
            if kind != _NEW_GENERATION:
                # Every message has the name of its table.
                self._named = self._named or self._name in body
            elif self._named:
                self._named = False
                yield port
