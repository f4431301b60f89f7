"""Bulk: parts of a bundle, and signed objects too long for a datagram, pulled in chunks.

The receiver sets the pace: at most a window of chunks is under way from each holder, and what
does not come is asked of another. Any member that holds the whole may serve it. Chunks are not
verified one by one; the whole is, by the hash in the head (for an object, by its signatures). If
a whole made of several holders' chunks is wrong, it is pulled again from one holder at a time, and
who then delivers rubbish is not asked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from gossip import limits
from gossip import messages as m
from gossip.buckets import Buckets
from gossip.core import Core

BULK: Final = "bulk"
HOLDERS_MAX: Final = 4
ABSENT_SECONDS: Final = 1.0
WINDOW_FIRST: Final = 4
MISSES_MAX: Final = 3


@dataclass(slots=True)
class Holder:
    """One member a pull asks.

    Attributes:
        window: Chunks to have under way; doubles while all goes well.
        asked: Indices under way, and when they were asked for.
        misses: Timeouts in a row.
    """

    window: int = WINDOW_FIRST
    asked: dict[int, float] = field(default_factory=dict)
    misses: int = 0


@dataclass(slots=True)
class Pull:
    """One transfer.

    Attributes:
        id: Hash of the part, or id of the object.
        length: Of the whole.
        is_part: Whether it is a part of a bundle.
        chunks: What has come, by index.
        holders: Whom we ask.
        avoid: Who has not got it, until when; for ever if it served rubbish.
        alone: Whether only one holder at a time is asked, after a mixed whole was wrong.
        sources: Known holders, for objects: those who offered it.
    """

    id: bytes
    length: int
    is_part: bool
    chunks: dict[int, bytes] = field(default_factory=dict)
    holders: dict[bytes, Holder] = field(default_factory=dict)
    avoid: dict[bytes, float] = field(default_factory=dict)
    alone: bool = False
    sources: set[bytes] = field(default_factory=set)

    @property
    def count(self) -> int:
        """How many chunks the whole has."""
        return -(-self.length // limits.CHUNK_BYTES)

    def free(self) -> list[int]:
        """Return the indices that have neither come nor are under way, in order."""
        busy = {index for holder in self.holders.values() for index in holder.asked}
        return [i for i in range(self.count) if i not in self.chunks and i not in busy]


class Bulk:
    """Pulls and serves chunks."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pulls: dict[bytes, Pull] = {}
        self._served = Buckets(
            rate=limits.SERVED_BYTES_PER_SECOND, burst=limits.SERVED_BURST_BYTES
        )

    def __len__(self) -> int:
        return len(self._pulls)

    def look(self, now: float) -> None:
        """Pull the parts that lack, and nothing that nobody needs any more."""
        missing = {part.hash: part for part in self._core.trust.missing()}
        for identity, pull in list(self._pulls.items()):
            if pull.is_part and identity not in missing:
                self._end(identity)
        for part in missing.values():
            self._start(now, Pull(part.hash, part.length, is_part=True))

    def on_offer(self, now: float, peer: bytes, offer: m.Offer) -> None:
        """Pull an object that a peer offers, unless it is here or was refused."""
        core = self._core
        short = offer.id[: m.SHORT_ID_BYTES]
        if offer.id in core.intake.ids or core.intake.is_refused(now, short) or not offer.length:
            return
        if core.intake.is_waiting(offer.id):
            # Of a long chain the first ones may come last: what waits for them leaves them room.
            return
        pull = self._pulls.get(offer.id)
        if pull is None:
            if self._is_full(peer):
                core.count("pulls_over_limit")
                return
            pull = Pull(offer.id, offer.length, is_part=False, alone=True)
            pull.sources.add(peer)
            self._start(now, pull)
        elif not pull.is_part:
            pull.sources.add(peer)

    def on_request(self, now: float, peer: bytes, request: m.ChunkRequest) -> None:
        """Serve chunks along a proven path, within the peer's budget."""
        core = self._core
        if not core.paths.is_proven(peer):
            return
        data = core.trust.part(request.id) or core.trust.raw(request.id)
        if data is None:
            core.transport.send(now, peer, m.Absent(request.id))
            return
        for index in request.indices:
            start = index * limits.CHUNK_BYTES
            piece = data[start : start + limits.CHUNK_BYTES]
            if not piece:
                continue
            if not self.may_serve(now, peer, len(piece)):
                return
            core.transport.send(now, peer, m.Chunk(request.id, index, len(data), piece))

    def may_serve(self, now: float, peer: bytes, size: int) -> bool:
        """Take `size` bytes out of what a peer may ask for, and say whether there was enough."""
        if self._served.take(now, peer, size):
            return True
        self._core.count("served_over_limit")
        return False

    def on_chunk(self, now: float, peer: bytes, chunk: m.Chunk) -> None:
        """Keep a chunk that was asked of this peer; finish the whole with the last one."""
        pull = self._pulls.get(chunk.id)
        holder = None if pull is None else pull.holders.get(peer)
        if pull is None or holder is None or holder.asked.pop(chunk.index, None) is None:
            self._core.count("chunks_unasked")
            return
        if chunk.length != pull.length or len(chunk.data) != self._size(pull, chunk.index):
            self._core.count("chunks_wrong")
            self._ban(pull, peer)
        else:
            pull.chunks[chunk.index] = chunk.data
            holder.misses = 0
            holder.window = min(limits.CHUNKS_IN_FLIGHT_MAX, holder.window * 2)
        if len(pull.chunks) == pull.count:
            self._finish(now, pull)
        else:
            self._pump(now, pull)

    def on_absent(self, now: float, peer: bytes, absent: m.Absent) -> None:
        """Ask somebody else."""
        pull = self._pulls.get(absent.id)
        if pull is not None and peer in pull.holders:
            self._drop_holder(pull, peer, now + ABSENT_SECONDS)
            self._pump(now, pull)

    def on_timer(self, now: float, identity: bytes) -> None:
        """Ask again for what did not come in time."""
        pull = self._pulls.get(identity)
        if pull is None:
            return
        before = now - self._core.config.pull_timeout_seconds
        for peer, holder in list(pull.holders.items()):
            late = [index for index, at in holder.asked.items() if at <= before]
            for index in late:
                del holder.asked[index]
            if late:
                holder.misses += 1
                holder.window = WINDOW_FIRST
            if holder.misses >= MISSES_MAX or not self._core.paths.is_proven(peer):
                self._drop_holder(pull, peer, now + ABSENT_SECONDS * MISSES_MAX)
        self._pump(now, pull)

    # Inside.

    def _start(self, now: float, pull: Pull) -> None:
        if pull.id in self._pulls:
            return
        self._pulls[pull.id] = pull
        self._pump(now, pull)

    def _is_full(self, peer: bytes) -> bool:
        """Say whether no object more can be pulled, or none that only this member offers.

        Offers cost their maker nothing, so they must neither take all places nor any that the
        parts of a head need: of those there are few, and policy keys have signed for them.
        """
        sources = [pull.sources for pull in self._pulls.values() if not pull.is_part]
        own = sum(each == {peer} for each in sources)
        return len(sources) >= limits.PULLS_MAX or own >= limits.PULLS_PER_PEER_MAX

    def _end(self, identity: bytes) -> None:
        del self._pulls[identity]
        self._core.timers.cancel(BULK, identity)

    def _pump(self, now: float, pull: Pull) -> None:
        """Fill every holder's window; find holders while there are too few."""
        if not pull.is_part and not pull.holders and not pull.sources:
            # Nobody who offered it delivers; reconciliation will find out who holds it.
            self._end(pull.id)
            return
        self._find_holders(now, pull)
        free = pull.free()
        for peer, holder in pull.holders.items():
            room = holder.window - len(holder.asked)
            while room > 0 and free:
                batch = free[: min(room, limits.CHUNKS_PER_REQUEST_MAX)]
                free = free[len(batch) :]
                room -= len(batch)
                holder.asked.update(dict.fromkeys(batch, now))
                self._core.transport.send(now, peer, m.ChunkRequest(pull.id, tuple(batch)))
        wait = self._core.config.pull_timeout_seconds
        self._core.timers.set_earlier(BULK, now + wait, pull.id)

    def _find_holders(self, now: float, pull: Pull) -> None:
        most = 1 if pull.alone else HOLDERS_MAX
        if len(pull.holders) >= most:
            return
        able = self._able(now, pull)
        self._core.random.shuffle(able)
        if pull.alone and able:
            # Chunks of two holders never mix: then it is clear who served rubbish.
            pull.chunks.clear()
        for peer in able[: most - len(pull.holders)]:
            pull.holders[peer] = Holder()

    def _able(self, now: float, pull: Pull) -> list[bytes]:
        proven: Iterable[bytes] = self._core.paths.proven()
        if not pull.is_part:
            proven = [peer for peer in proven if peer in pull.sources]
        return [
            peer
            for peer in proven
            if peer not in pull.holders and pull.avoid.get(peer, now) <= now
        ]

    def _size(self, pull: Pull, index: int) -> int:
        last = pull.count - 1
        if index < last:
            return limits.CHUNK_BYTES
        return pull.length - last * limits.CHUNK_BYTES

    def _ban(self, pull: Pull, peer: bytes) -> None:
        self._drop_holder(pull, peer, float("inf"))

    def _drop_holder(self, pull: Pull, peer: bytes, until: float) -> None:
        pull.holders.pop(peer, None)
        pull.sources.discard(peer)
        pull.avoid[peer] = until

    def _finish(self, now: float, pull: Pull) -> None:
        data = b"".join(pull.chunks[index] for index in range(pull.count))
        if not pull.is_part:
            self._end(pull.id)
            self._core.intake.take(now, data, next(iter(pull.holders), None))
            return
        if sha256(data).digest() == pull.id:
            self._end(pull.id)
            self._core.intake.take_part(now, data)
            return
        self._core.count("parts_wrong")
        if pull.alone:
            for peer in list(pull.holders):
                self._ban(pull, peer)
        pull.alone = True
        pull.chunks.clear()
        pull.holders.clear()
        self._pump(now, pull)
