"""Reconciliation: two members find out what each lacks, at a cost that follows the difference.

Every ping and ack carries a fingerprint of all a member holds. Where two differ, ranges of ids
(prefixes of hexadecimal digits) are compared, split in sixteen while they differ and are large,
and listed when small (range-based set reconciliation, as in negentropy). Who lacks an object asks
for it, a window at a time, so the pace is the receiver's. Neither side keeps a session: a lost
datagram costs one more round. A round that brought nothing makes the next one wait longer, since
the two may differ for good, for example over an object that one of them refuses.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gossip import limits
from gossip import messages as m
from gossip.buckets import Buckets
from gossip.core import Core
from gossip.events import MemberState, Synced

SYNC: Final = "sync"
PULL: Final = "pull"
SPLIT_ABOVE: Final = 16
"""Ranges with more ids than this are split and not listed."""

TRIES_MAX: Final = 3
HAVE_MAX: Final = limits.SYNC_DATAGRAMS_MAX * limits.IDS_PER_MESSAGE_MAX
_DIGITS: Final = "0123456789abcdef"
_RANGES_BYTES: Final = 900
_PUSH_BYTES: Final = 1_080
_ID_BYTES: Final = 18
_PRINT_BYTES: Final = 60


@dataclass(slots=True)
class Peering:
    """What is under way with one peer.

    Attributes:
        fingerprint: What it last said it holds.
        next_at: Before this no new round begins.
        gap: Wait after the next round.
        offered: Short ids it has and we lack, with the number of tries.
        asked: Those of them that were asked for.
    """

    fingerprint: bytes = b""
    next_at: float = 0.0
    gap: float = 0.0
    offered: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    asked: dict[bytes, int] = field(default_factory=dict)


class Reconciler:
    """Compares, lists, asks and serves."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._peers: dict[bytes, Peering] = {}
        self._asked: dict[bytes, bytes] = {}
        self._synced = False
        self._rate = Buckets(rate=limits.SYNCS_PER_SECOND, burst=limits.SYNC_BURST)

    def compare(self, now: float, peer: bytes, fingerprint: bytes) -> None:
        """Take a peer's fingerprint; begin a round if it differs and the time has come."""
        peering = self._peers.setdefault(peer, Peering())
        peering.fingerprint = fingerprint
        if fingerprint == self._core.intake.fingerprint():
            peering.gap = 0.0
            self._core.timers.cancel(SYNC, peer)
            if not self._synced:
                self._synced = True
                self._core.emit(Synced())
        elif now >= peering.next_at:
            self._begin(now, peer, peering)
        else:
            self._core.timers.set_earlier(SYNC, peering.next_at, peer)

    def alone(self) -> None:
        """Note that nobody answers: the next agreement is news again."""
        self._synced = False

    def forget(self, peer: bytes) -> None:
        """Drop what is under way with a peer."""
        peering = self._peers.pop(peer, None)
        if peering is not None:
            for short in peering.asked:
                self._asked.pop(short, None)
        for kind in (SYNC, PULL):
            self._core.timers.cancel(kind, peer)

    def arrived(self, now: float, identity: bytes) -> None:
        """Note that an object came, whatever becomes of it."""
        short = identity[: m.SHORT_ID_BYTES]
        peer = self._asked.pop(short, None)
        if peer is None:
            return
        peering = self._peers[peer]
        peering.asked.pop(short, None)
        peering.gap = 0.0
        if len(peering.asked) <= limits.WANTED_IDS_MAX // 2:
            self._pump(now, peer, peering)
        if not peering.asked and not peering.offered:
            # The last of a batch: what differs still shows in a round of its own.
            peering.next_at = now
            self._core.timers.cancel(PULL, peer)
            self._core.timers.set_earlier(SYNC, now + self._settle(), peer)

    # Messages.

    def on_sync(self, now: float, peer: bytes, sync: m.Sync) -> None:
        """Answer the ranges that differ: with ids where few, with fingerprints where many."""
        if not self._core.paths.is_proven(peer):
            return
        if not self._rate.take(now, peer):
            self._core.count("sync_rate_limited")
            return
        self._peers.setdefault(peer, Peering()).fingerprint = sync.fingerprint
        answers: list[m.Range] = []
        have: list[bytes] = []
        lacking: list[bytes] = []
        for item in sync.ranges:
            if isinstance(item, m.RangeIds):
                self._compare_ids(item, have, lacking)
            else:
                self._compare_print(item, answers, have)
        messages: list[m.Message] = [
            *(m.Sync(self._core.intake.fingerprint(), part) for part in _parts(answers)),
            *(m.Have(part) for part in _chunks(have, limits.IDS_PER_MESSAGE_MAX)),
        ]
        if messages:
            allowed = messages[: limits.SYNC_DATAGRAMS_MAX]
            if len(allowed) < len(messages):
                self._core.count("sync_answers_cut")
            self._core.transport.send(now, peer, *allowed)
        self._offer(now, peer, lacking)

    def on_have(self, now: float, peer: bytes, have: m.Have) -> None:
        """Ask for what we lack of a peer's ids."""
        self._offer(now, peer, self._core.intake.ids.missing(have.ids))

    def on_want(self, now: float, peer: bytes, want: m.Want) -> None:
        """Send what a peer asks for; with the record of a dead member go the accusations."""
        core = self._core
        if not core.paths.is_proven(peer):
            return
        raws: list[bytes] = []
        messages: list[m.Message] = []
        for short in want.ids:
            identity = core.intake.ids.full(short)
            raw = None if identity is None else core.intake.raw(identity)
            if identity is None or raw is None:
                continue
            if not core.bulk.may_serve(now, peer, len(raw)):
                break
            if len(raw) > limits.RAW_BYTES_MAX:
                messages.append(m.Offer(identity, len(raw)))
            else:
                raws.append(raw)
            subject = core.members.subject(identity)
            if subject is not None and core.members.state(subject) is MemberState.DEAD:
                evidence = core.suspicion.evidence(subject)
                raws += () if evidence is None else evidence.raws
        messages += [m.Push(part) for part in _packed(raws)]
        if messages:
            core.transport.send(now, peer, *messages)

    # Timers.

    def on_timer(self, now: float, peer: bytes) -> None:
        """Begin the round that had to wait, if the two still differ."""
        peering = self._peers.get(peer)
        if peering is None or not self._core.paths.is_proven(peer):
            return
        if peering.fingerprint == self._core.intake.fingerprint():
            self.compare(now, peer, peering.fingerprint)
        elif not peering.asked:
            self._begin(now, peer, peering)

    def on_pull(self, now: float, peer: bytes) -> None:
        """Ask again for what did not come."""
        peering = self._peers.get(peer)
        if peering is None:
            return
        for short, tries in peering.asked.items():
            self._asked.pop(short, None)
            if tries < TRIES_MAX:
                peering.offered[short] = tries
        peering.asked.clear()
        if self._core.paths.is_proven(peer):
            self._pump(now, peer, peering)

    # Inside.

    def _begin(self, now: float, peer: bytes, peering: Peering) -> None:
        config = self._core.config
        if not self._core.paths.is_proven(peer):
            return
        peering.gap = min(
            config.sync_gap_max_seconds, max(config.sync_gap_seconds, peering.gap * 2)
        )
        peering.next_at = now + peering.gap
        self._core.count("sync_rounds")
        ranges = [self._list("")] if self._is_small("") else list(self._split(""))
        for part in _parts(ranges):
            self._core.transport.send(now, peer, m.Sync(self._core.intake.fingerprint(), part))

    def _settle(self) -> float:
        """Return a short wait, for what is still on its way."""
        return self._core.config.round_gap_seconds

    def _is_small(self, prefix: str) -> bool:
        return self._core.intake.ids.summary(prefix)[1] <= SPLIT_ABOVE

    def _list(self, prefix: str) -> m.RangeIds:
        ids = self._core.intake.ids.below(prefix)
        return m.RangeIds(prefix, tuple(item[: m.SHORT_ID_BYTES] for item in ids))

    def _split(self, prefix: str) -> Iterator[m.Range]:
        for digit in _DIGITS:
            fingerprint, count = self._core.intake.ids.summary(prefix + digit)
            yield m.RangePrint(prefix + digit, fingerprint, count)

    def _compare_print(
        self, item: m.RangePrint, answers: list[m.Range], have: list[bytes]
    ) -> None:
        fingerprint, count = self._core.intake.ids.summary(item.prefix)
        if fingerprint == item.fingerprint:
            return
        if not item.count:
            # Listing costs time: not more of it than one answer has room for.
            if len(have) < HAVE_MAX:
                ids = self._core.intake.ids.below(item.prefix)
                have += [identity[: m.SHORT_ID_BYTES] for identity in ids]
        elif count <= SPLIT_ABOVE:
            answers.append(self._list(item.prefix))
        else:
            answers += self._split(item.prefix)

    def _compare_ids(self, item: m.RangeIds, have: list[bytes], lacking: list[bytes]) -> None:
        # As above: whatever a peer lists, our own ids are listed for one answer.
        if len(have) < HAVE_MAX:
            theirs = set(item.ids)
            ours = self._core.intake.ids.below(item.prefix)
            shorts = [identity[: m.SHORT_ID_BYTES] for identity in ours]
            have += [short for short in shorts if short not in theirs]
        lacking += self._core.intake.ids.missing(item.ids)

    def _offer(self, now: float, peer: bytes, shorts: Iterable[bytes]) -> None:
        peering = self._peers.setdefault(peer, Peering())
        for short in shorts:
            if short in self._asked or self._core.intake.is_refused(now, short):
                continue
            if len(peering.offered) >= limits.OFFERED_IDS_MAX:
                self._core.count("offers_over_limit")
                break
            peering.offered.setdefault(short, 0)
        self._pump(now, peer, peering)

    def _pump(self, now: float, peer: bytes, peering: Peering) -> None:
        """Ask for as many of the offered objects as the window has room for."""
        batch: list[bytes] = []
        while peering.offered and len(peering.asked) < limits.WANTED_IDS_MAX:
            short, tries = peering.offered.popitem(last=False)
            if short in self._asked or not self._core.intake.ids.missing([short]):
                continue
            self._asked[short] = peer
            peering.asked[short] = tries + 1
            batch.append(short)
        for part in _chunks(batch, limits.IDS_PER_MESSAGE_MAX):
            self._core.transport.send(now, peer, m.Want(part))
        if batch:
            self._core.timers.set(PULL, now + self._core.config.pull_timeout_seconds, peer)


def _chunks(items: Sequence[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


def _parts(ranges: Sequence[m.Range]) -> Iterator[tuple[m.Range, ...]]:
    """Return ranges in groups that fit one datagram each."""
    group: list[m.Range] = []
    size = 0
    for item in ranges:
        ids = item.ids if isinstance(item, m.RangeIds) else ()
        weight = _PRINT_BYTES + _ID_BYTES * len(ids)
        if group and (size + weight > _RANGES_BYTES or len(group) >= limits.SYNC_ENTRIES_MAX):
            yield tuple(group)
            group, size = [], 0
        group.append(item)
        size += weight
    if group:
        yield tuple(group)


def _packed(raws: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Return raw objects in groups that fit one datagram each."""
    group: list[bytes] = []
    size = 0
    for raw in raws:
        if group and size + len(raw) > _PUSH_BYTES:
            yield tuple(group)
            group, size = [], 0
        group.append(raw)
        size += len(raw) + 3
    if group:
        yield tuple(group)
