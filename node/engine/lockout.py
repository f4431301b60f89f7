"""Find tunnels that cannot come up although both machines are there, and say what to renew.

WireGuard refuses an initiation that is not newer than the newest one it has seen of that peer
(TAI64N, WireGuard paper section 5.1). A machine whose clock was ahead once has left such a mark
with its peers, and when its clock is right again they refuse it until time has caught up, maybe
in years. Removing the peer at the end that refuses, and adding it again, forgets the mark.

That end sees nothing of it: what it refuses it does not count. So the end that sends in vain
begins a new life in gossip, and whoever sees a peer in a new life, with no session alive, renews
it: the new life may have another clock. A peer with a session is never touched.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# No session outlives this without a handshake (REJECT_AFTER_TIME, WireGuard paper section 6.1).
SESSION_SECONDS = 180.0
# One peer is not renewed more often than this.
RENEW_SECONDS = 600.0
# A new life costs every member a little.
NEW_LIFE_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one peer at one moment.

    Attributes:
        reachable: whether gossip has a proven path to it.
        boot_ms: the number of its life in gossip, None while unknown.
        handshake: when WireGuard completed the last handshake, by whatever clock; 0.0 for never.
        tx: bytes that WireGuard has sent to it, handshakes included.
    """

    reachable: bool
    boot_ms: int | None
    handshake: float
    tx: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do.

    Attributes:
        renew: public keys of the peers to remove and add again.
        stuck: public keys of those to which handshakes are sent in vain.
        new_life: whether to begin a new life in gossip.
    """

    renew: frozenset[bytes]
    stuck: frozenset[bytes]
    new_life: bool


@dataclass(slots=True)
class _Memory:
    seen: Sight
    seen_at: float
    shaken_at: float
    in_vain: int = 0
    other_life: bool = False
    renewed_at: float = float("-inf")


class Lockout:
    """Watches the peers of one node. Time is monotonic; no wall clock is believed here."""

    def __init__(self) -> None:
        self._peers: dict[bytes, _Memory] = {}
        self._new_life_at = float("-inf")

    def look(self, now: float, sights: Mapping[bytes, Sight]) -> Advice:
        """Take in what is seen of every peer that is set up, and say what to do."""
        self._peers = {key: kept for key, kept in self._peers.items() if key in sights}
        for key, sight in sights.items():
            known = self._peers.get(key)
            if known is None:
                # How old a session is that was there before us nobody knows: it counts as new.
                self._peers[key] = _Memory(sight, seen_at=now, shaken_at=now)
            else:
                _take(known, sight, now)
        silent = {
            key: kept
            for key, kept in self._peers.items()
            if kept.seen.reachable and now - kept.shaken_at >= SESSION_SECONDS
        }
        # Two looks in a row: one datagram into a tunnel that was just given up is no complaint.
        stuck = frozenset(key for key, kept in silent.items() if kept.in_vain > 1)
        due = {key for key, kept in silent.items() if kept.other_life} | stuck
        renew = self._renew(due, now)
        new_life = bool(stuck) and now - self._new_life_at >= NEW_LIFE_SECONDS
        if new_life:
            self._new_life_at = now
        return Advice(renew, stuck, new_life)

    def _renew(self, due: Iterable[bytes], now: float) -> frozenset[bytes]:
        renew = set()
        for key in due:
            kept = self._peers[key]
            if now - kept.renewed_at >= RENEW_SECONDS:
                kept.renewed_at, kept.other_life = now, False
                renew.add(key)
        return frozenset(renew)


def _take(kept: _Memory, sight: Sight, now: float) -> None:
    before, kept.seen = kept.seen, sight
    # Until a session has surely ended, what is sent may well be data.
    has_ended = kept.seen_at - kept.shaken_at >= SESSION_SECONDS
    kept.seen_at = now
    if sight.handshake != before.handshake:
        # A peer that was added again begins at never: that is no handshake.
        if sight.handshake:
            kept.shaken_at = now
        kept.in_vain = 0
    elif has_ended and sight.tx > before.tx:
        kept.in_vain += 1
    else:
        kept.in_vain = 0
    if None not in {before.boot_ms, sight.boot_ms} and before.boot_ms != sight.boot_ms:
        kept.other_life = True
    if sight.boot_ms is None:
        # Whoever is away for a while is compared with what he was.
        kept.seen = Sight(sight.reachable, before.boot_ms, sight.handshake, sight.tx)
