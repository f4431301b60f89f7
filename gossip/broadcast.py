"""What is being spread: one bounded queue per class, the least often sent first.

A fresh item goes to `fanout` peers at once, then to two more every round until it was sent often
enough (SWIM section 4.1) or to everybody; it also rides on whatever datagram has room. No timer
runs while the queue is empty. Classes follow facts: revocations and heads before refutations
before accusations before records before the rest; and each class gets one place in a datagram
before any gets a second, so that none can starve another (memberlist issue 299).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from gossip import limits, wire
from gossip import messages as m
from gossip.core import Core

FLUSH: Final = "flush"
REPEAT_FANOUT: Final = 2
# A byte string's head in CBOR, for up to 65,535 bytes.
_HEAD_BYTES: Final = 3
_PUSH_BYTES: Final = 8


class Urgency(IntEnum):
    """The classes, most urgent first."""

    TRUST = 0
    REFUTATION = 1
    ACCUSATION = 2
    RECORD = 3
    REST = 4


@dataclass(slots=True)
class Item:
    """One signed object on its way.

    Attributes:
        id: Object id.
        raw: The envelope.
        urgency: Its class.
        sends: How often it was sent.
        known: Who has it: those it was sent to and those it came from.
    """

    id: bytes
    raw: bytes
    urgency: Urgency
    sends: int = 0
    known: set[bytes] = field(default_factory=set)


class Broadcast:
    """The queues, and the rounds that empty them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._queues: dict[Urgency, dict[bytes, Item]] = {urgency: {} for urgency in Urgency}
        self._fresh = False

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def add(self, identity: bytes, raw: bytes, urgency: Urgency, source: bytes | None) -> None:
        """Spread an object; `source` gave it to us. It leaves with the next `flush_fresh`."""
        queue = self._queues[urgency]
        if len(queue) >= limits.QUEUE_ITEMS_MAX:
            oldest = max(queue.values(), key=lambda item: item.sends)
            del queue[oldest.id]
            self._core.count(f"queue_dropped_{urgency.name.lower()}")
        queue[identity] = Item(identity, raw, urgency, known=set() if source is None else {source})
        self._fresh = True

    def drop(self, identity: bytes) -> None:
        """Spread an object no longer: a newer one takes its place."""
        for queue in self._queues.values():
            queue.pop(identity, None)

    def seen_from(self, identity: bytes, source: bytes) -> None:
        """Note that a peer has an object, so it is not sent there."""
        for queue in self._queues.values():
            item = queue.get(identity)
            if item is not None:
                item.known.add(source)

    def flush_fresh(self, now: float) -> None:
        """Send what was added since the last call to `fanout` peers, at once."""
        if self._fresh:
            self._fresh = False
            self._round(now, self._core.config.fanout)

    def on_timer(self, now: float) -> None:
        """Run one round of repeats."""
        self._round(now, REPEAT_FANOUT)

    def take(self, peer: bytes, room: int) -> list[bytes]:
        """Return encoded messages for `peer` of at most `room` bytes, and count them as sent."""
        chosen, offers = self._choose(peer, room)
        for item in chosen:
            item.known.add(peer)
            item.sends += 1
        self._retire()
        encoded = [wire.encode(offer) for offer in offers]
        raws = tuple(item.raw for item in chosen if len(item.raw) <= limits.RAW_BYTES_MAX)
        if raws:
            encoded.append(wire.encode(m.Push(raws)))
        return encoded

    def _round(self, now: float, fanout: int) -> None:
        peers = self._core.paths.proven()
        self._core.random.shuffle(peers)
        reached = 0
        for peer in peers:
            if reached >= fanout or not len(self):
                break
            if self._has_news(peer):
                self._core.transport.send(now, peer)
                reached += 1
        if not len(self):
            self._core.timers.cancel(FLUSH)
        elif reached:
            self._core.timers.set(FLUSH, now + self._core.config.round_gap_seconds)
        elif peers:
            self._clear()
        # Without a peer the queue waits; `peer_found` starts the rounds again.

    def peer_found(self, now: float) -> None:
        """Start the rounds again when there is somebody to send to."""
        if len(self):
            self._core.timers.set_earlier(FLUSH, now)

    def _has_news(self, peer: bytes) -> bool:
        return any(peer not in item.known for q in self._queues.values() for item in q.values())

    def _choose(self, peer: bytes, room: int) -> tuple[list[Item], list[m.Offer]]:
        chosen: list[Item] = []
        offers: list[m.Offer] = []
        left = room - _PUSH_BYTES
        for item in self._in_order(peer):
            if len(item.raw) > limits.RAW_BYTES_MAX:
                size = limits.OFFER_BYTES
            else:
                size = len(item.raw) + _HEAD_BYTES
            if size > left or len(chosen) >= limits.PUSHED_MAX:
                continue
            left -= size
            chosen.append(item)
            if len(item.raw) > limits.RAW_BYTES_MAX:
                offers.append(m.Offer(item.id, len(item.raw)))
        return chosen, offers

    def _in_order(self, peer: bytes) -> list[Item]:
        """Return what `peer` lacks: the first of each class, then the rest by class."""
        firsts: list[Item] = []
        rest: list[Item] = []
        for queue in self._queues.values():
            items = [item for item in queue.values() if peer not in item.known]
            items.sort(key=lambda item: item.sends)
            firsts += items[:1]
            rest += items[1:]
        return firsts + rest

    def _retire(self) -> None:
        n = self._core.members.others()
        for urgency, queue in self._queues.items():
            urgent = urgency <= Urgency.REFUTATION
            limit = self._core.config.transmit_limit(n, urgent=urgent)
            for item in [item for item in queue.values() if item.sends >= limit]:
                del queue[item.id]

    def _clear(self) -> None:
        """Everybody we can reach has everything; whoever lacks something will ask."""
        for queue in self._queues.values():
            queue.clear()
