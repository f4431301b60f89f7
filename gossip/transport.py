"""Messages out: packed into datagrams, topped up with news, sealed, and sent along the path."""

from typing import Final

from gossip import messages as m
from gossip import wire
from gossip.core import Core
from gossip.events import Address
from gossip.session import FRAME_BYTES_MAX

# An array head for up to 255 messages.
_HEAD_BYTES: Final = 2
_NEWS_BYTES_MIN: Final = 128


class Transport:
    """The one way out for authenticated messages."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def send(
        self, now: float, device_id: bytes, *messages: m.Message, address: Address | None = None
    ) -> bool:
        """Send messages to a member, by its path or to `address`; say whether anything left.

        Along a proven path the last datagram is filled with news; elsewhere nothing is added, so
        that nobody can have us pour data on an address that was never shown to be theirs.
        """
        path = self._core.paths.address(device_id)
        target = address or path
        if target is None or not self._core.may_talk(device_id):
            return False
        frames = self._pack([wire.encode(message) for message in messages])
        if target == path and self._core.paths.is_proven(device_id):
            self._top_up(device_id, frames[-1])
        sent = False
        for items in frames:
            if items:
                sent = self._send_frame(now, device_id, target, items) or sent
        return sent

    def _pack(self, items: list[bytes]) -> list[list[bytes]]:
        frames: list[list[bytes]] = [[]]
        size = _HEAD_BYTES
        for item in items:
            if frames[-1] and size + len(item) > FRAME_BYTES_MAX:
                frames.append([])
                size = _HEAD_BYTES
            frames[-1].append(item)
            size += len(item)
        return frames

    def _top_up(self, device_id: bytes, items: list[bytes]) -> None:
        if not len(self._core.broadcast):
            return
        room = FRAME_BYTES_MAX - _HEAD_BYTES - sum(len(item) for item in items)
        if room >= _NEWS_BYTES_MIN:
            items += self._core.broadcast.take(device_id, room)

    def _send_frame(
        self, now: float, device_id: bytes, target: Address, items: list[bytes]
    ) -> bool:
        data = self._core.sessions.seal(now, device_id, wire.frame(items))
        if data is None:
            return False
        self._core.send(now, target, data)
        return True
