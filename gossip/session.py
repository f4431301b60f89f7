"""Datagram encryption between members: pairwise keys, counters, replay windows.

    0xAA | sender's tag 8 | counter 8 | seal(frame)

The key comes from X25519 of both sides' *session* keys. A member makes a fresh one at each boot
and each day and names it in its signed record, so what was captured before a restart opens
nowhere after it, and what was made for one member opens at no other. Both ids stand in the
derivation: a record that names another member's key opens nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from crypto.agreement import TAG_BYTES, aead_open, aead_seal, hkdf, x25519, x25519_public
from crypto.errors import ObjectError
from gossip import limits

DATA: Final = 0xAA
WINDOW_BITS: Final = 2_048
_KEY: Final = 32
_NAME: Final = 8
CHANNELS_PER_PEER_MAX: Final = 32
"""Channels kept of one member, those of its earlier keys too; the oldest go first."""

HEADER_BYTES: Final = 1 + _NAME + 8
FRAME_BYTES_MAX: Final = limits.DATAGRAM_BYTES_MAX - HEADER_BYTES - TAG_BYTES
_MASK: Final = (1 << WINDOW_BITS) - 1


class ReplayWindow:
    """Which counters of one key have been seen (RFC 6479 in spirit, as one big integer)."""

    __slots__ = ("_bits", "_next")

    def __init__(self) -> None:
        self._next = 0
        self._bits = 0

    def is_new(self, counter: int) -> bool:
        """Say whether `counter` is neither seen nor too old to tell."""
        if counter >= self._next:
            return True
        age = self._next - 1 - counter
        return age < WINDOW_BITS and not self._bits >> age & 1

    def mark(self, counter: int) -> None:
        """Take `counter` as seen; only after its datagram proved authentic."""
        if counter >= self._next:
            ahead = counter + 1 - self._next
            # A member may send any counter: shift by no more than the window holds.
            self._bits = (self._bits << ahead | 1) & _MASK if ahead < WINDOW_BITS else 1
            self._next = counter + 1
        else:
            self._bits |= 1 << (self._next - 1 - counter)


@dataclass(frozen=True, slots=True)
class SessionKey:
    """One of our session keys."""

    private: bytes = field(repr=False)
    public: bytes


@dataclass(slots=True)
class Channel:
    """Both directions between one of our keys and one of a member's."""

    send_key: bytes = field(repr=False)
    receive_key: bytes = field(repr=False)
    sent: int = 0
    window: ReplayWindow = field(default_factory=ReplayWindow)


@dataclass(slots=True)
class _Peer:
    """The session keys a member has named: the newest and, for a while, the one before."""

    current: bytes
    previous: bytes | None = None
    previous_until: float = 0.0


class Sessions:
    """Every channel of one member, found by tag on receipt and by device id for sending.

    Args:
        mesh_id: Goes into every key and every associated data.
        device_id: Our own.
        entropy: Returns as many random bytes as asked for.
        overlap_seconds: How long a replaced key, ours or a member's, is still accepted.
        settle_seconds: How long we go on sending under our old key after a change.
    """

    def __init__(
        self,
        *,
        mesh_id: bytes,
        device_id: bytes,
        entropy: Callable[[int], bytes],
        overlap_seconds: float,
        settle_seconds: float,
    ) -> None:
        self._mesh_id = mesh_id
        self._device_id = device_id
        self._entropy = entropy
        self._overlap = overlap_seconds
        self._settle = settle_seconds
        self._own = self._make_key()
        self._old: SessionKey | None = None
        self._changed_at = 0.0
        self._peers: dict[bytes, _Peer] = {}
        self._tags: dict[bytes, tuple[bytes, bytes]] = {}
        self._channels: dict[bytes, dict[tuple[bytes, bytes], Channel]] = {}

    @property
    def public(self) -> bytes:
        """Our current session key, as our record names it."""
        return self._own.public

    def rotate(self, now: float) -> None:
        """Make a new key; the old one is accepted for the overlap."""
        self._drop_old()
        self._old = self._own
        self._own = self._make_key()
        self._changed_at = now

    def expire(self, now: float) -> None:
        """Forget keys, ours and members', whose overlap is over."""
        if self._old is not None and now >= self._changed_at + self._overlap:
            self._drop_old()
        for device_id, peer in self._peers.items():
            if peer.previous is not None and now >= peer.previous_until:
                self._drop_key(device_id, peer.previous)
                peer.previous = None

    def set_peer(self, now: float, device_id: bytes, public: bytes, *, rebooted: bool) -> None:
        """Take the session key of a member's newest record.

        After a reboot the key before is dead at once: what was sealed with it is a replay. A key
        may come back: a hello brings a new one, an older record that is only now heard of the one
        before, and the newest record the new one again. Then it goes on where it was.
        """
        peer = self._peers.get(device_id)
        if peer is None:
            self._peers[device_id] = _Peer(public)
        elif peer.current != public:
            if peer.previous is not None:
                self._drop_key(device_id, peer.previous)
            peer.previous, peer.current = peer.current, public
            peer.previous_until = now + self._overlap
            if rebooted:
                self._drop_key(device_id, peer.previous)
                peer.previous = None
        self._tags[self._tag(device_id, public)] = (device_id, public)

    def forget(self, device_id: bytes) -> None:
        """Accept nothing more from a member and send it nothing.

        Counters and windows of its channels stay, so that a device that comes back under the
        same keys can neither be replayed nor see a counter twice.
        """
        peer = self._peers.pop(device_id, None)
        if peer is None:
            return
        for public in (peer.current, peer.previous):
            if public is not None:
                self._tags.pop(self._tag(device_id, public), None)

    def knows(self, device_id: bytes) -> bool:
        """Say whether there is a key to send to this member with."""
        return device_id in self._peers

    def seal(self, now: float, device_id: bytes, frame: bytes) -> bytes | None:
        """Return the datagram for a member, or None without its key."""
        peer = self._peers.get(device_id)
        if peer is None:
            return None
        own = self._own
        if self._old is not None and now < self._changed_at + self._settle:
            own = self._old
        channel = self._channel(own, device_id, peer.current)
        if channel is None:
            return None
        counter = channel.sent
        channel.sent += 1
        tag = self._tag(self._device_id, own.public)
        head = bytes([DATA]) + tag + counter.to_bytes(8, "little")
        return head + aead_seal(channel.send_key, counter, frame, self._mesh_id + head)

    def open(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return (sender, frame), or None unless the datagram is authentic and new."""
        if not HEADER_BYTES + TAG_BYTES < len(data) <= limits.DATAGRAM_BYTES_MAX:
            return None
        known = self._tags.get(data[1 : 1 + _NAME])
        if known is None:
            return None
        device_id, public = known
        counter = int.from_bytes(data[1 + _NAME : HEADER_BYTES], "little")
        aad = self._mesh_id + data[:HEADER_BYTES]
        for own in (self._own, self._old):
            channel = None if own is None else self._channel(own, device_id, public)
            if channel is None or not channel.window.is_new(counter):
                continue
            frame = aead_open(channel.receive_key, counter, data[HEADER_BYTES:], aad)
            if frame is not None:
                channel.window.mark(counter)
                return device_id, frame
        return None

    def _channel(self, own: SessionKey, device_id: bytes, public: bytes) -> Channel | None:
        name = (own.public, public)
        channels = self._channels.setdefault(device_id, {})
        channel = channels.get(name)
        if channel is None:
            try:
                secret = x25519(own.private, public)
            except ObjectError:
                return None
            channel = Channel(
                self._key(secret, (own.public, public), (self._device_id, device_id)),
                self._key(secret, (public, own.public), (device_id, self._device_id)),
            )
            channels[name] = channel
            if len(channels) > CHANNELS_PER_PEER_MAX:
                del channels[next(iter(channels))]
        return channel

    def _key(self, secret: bytes, keys: tuple[bytes, bytes], ids: tuple[bytes, bytes]) -> bytes:
        info = b"hedgerow-data" + b"".join(keys) + b"".join(ids)
        return hkdf(secret, self._mesh_id, info, _KEY)

    def _tag(self, device_id: bytes, public: bytes) -> bytes:
        return sha256(b"hedgerow-tag" + self._mesh_id + device_id + public).digest()[:_NAME]

    def _make_key(self) -> SessionKey:
        private = self._entropy(_KEY)
        return SessionKey(private, x25519_public(private))

    def _drop_old(self) -> None:
        if self._old is None:
            return
        gone, self._old = self._old.public, None
        for channels in self._channels.values():
            for name in [name for name in channels if name[0] == gone]:
                del channels[name]

    def _drop_key(self, device_id: bytes, public: bytes) -> None:
        """Accept nothing under a key any more. Its channels stay, for should it come back."""
        self._tags.pop(self._tag(device_id, public), None)
