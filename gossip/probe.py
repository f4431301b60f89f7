"""Probes: SWIM's rounds with Lifeguard's corrections, and every other ping.

Each interval one member of a shuffled list is pinged (SWIM section 4.3). Without an ack in time,
three others are asked to ping it; each says "nack" at 80 % of what is left of the round, so that
silence of theirs is known to be our own trouble (Lifeguard section IV.A). What counts as a failed
probe: our path was proven and nothing came back, or somebody who has a path tried in vain. Where
nobody has a path, silence counts only against a suspect, or the third time.

A ping's number is a secret challenge, so its ack also proves the address the ping went to.
"""

from dataclasses import dataclass, field
from typing import Final

from gossip import limits
from gossip import messages as m
from gossip.core import Core
from gossip.events import Address, MemberState, PingResult

PROBE: Final = "probe"
TIMEOUT: Final = "probe-timeout"
END: Final = "probe-end"
NACK: Final = "nack"
PING_END: Final = "ping-end"
MISSES_MAX: Final = 3
"""Probes without a path by anybody after which silence counts all the same."""

PINGS_MAX: Final = 1_024
PING_SECONDS: Final = 10.0
ASK_SECONDS: Final = 2.0
CATCH_UP_SECONDS: Final = 0.1
_SEQ_BYTES: Final = 6


@dataclass(slots=True)
class Probe:
    """One probe of one member.

    Attributes:
        target: Who.
        ends_at: When the round is over.
        direct: Whether a ping went along a proven path.
        asked: Members asked to ping it.
        silent: Those of them that have not said anything.
        tried: Whether one of those had a path.
    """

    target: bytes
    ends_at: float
    direct: bool = False
    asked: frozenset[bytes] = frozenset()
    silent: set[bytes] = field(default_factory=set)
    tried: bool = False


@dataclass(frozen=True, slots=True)
class SentPing:
    """A ping on its way."""

    target: bytes
    address: Address
    sent_at: float


@dataclass(frozen=True, slots=True)
class Relayed:
    """A ping made for somebody else."""

    asker: bytes
    seq: int
    target: bytes


@dataclass(slots=True)
class Asked:
    """A ping the driver asked for."""

    token: int
    target: bytes
    asked_at: float


@dataclass(slots=True)
class _Round:
    order: list[bytes] = field(default_factory=list)


class Prober:
    """Sends pings, answers them, and judges silence."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._round = _Round()
        self._pings: dict[int, SentPing] = {}
        self._probes: dict[int, Probe] = {}
        self._relayed: dict[int, Relayed] = {}
        self._asked: dict[int, Asked] = {}
        self._misses: dict[bytes, int] = {}
        self._slowest = 0.0
        self._caught_up_at = float("-inf")

    def slow_round_trip(self) -> float:
        """Return a round trip that few exceed: a peak of the measured ones that decays slowly."""
        return self._slowest

    # Requests.

    def wake(self, now: float) -> None:
        """Start the rounds when there is somebody to probe; each node at its own phase."""
        if self._core.timers.at(PROBE) is None and self._core.members.others():
            wait = self._interval() * self._core.random.random()
            self._core.timers.set(PROBE, now + wait)

    def probe(self, now: float, target: bytes) -> None:
        """Probe a member now, unless that is under way."""
        if any(probe.target == target for probe in self._probes.values()):
            return
        if len(self._probes) >= limits.PROBES_MAX:
            self._core.count("probes_over_limit")
            return
        seq = self._challenge()
        probe = Probe(target, now + self._interval())
        self._probes[seq] = probe
        self._core.count("probes")
        address = self._core.paths.proven_address(target)
        if address is None:
            # Its anchors will be asked in a moment: have a path to them by then.
            for device_id in (target, *self._core.anchors.of(target)):
                if self._core.paths.is_untried(device_id):
                    self._core.paths.attempt(now, device_id)
        else:
            probe.direct = True
            self._ping(now, seq, target, address)
        self._core.timers.set(TIMEOUT, now + self._timeout(), _key(seq))
        self._core.timers.set(END, probe.ends_at, _key(seq))

    def challenge(self, now: float, target: bytes, address: Address) -> None:
        """Ask a member to prove that it is at this address."""
        self._ping(now, self._challenge(), target, address)

    def catch_up(self, now: float) -> None:
        """Ping somebody, to see whether we lack something: a stranger knows us."""
        peers = self._core.paths.proven()
        if peers and now >= self._caught_up_at + CATCH_UP_SECONDS:
            self._caught_up_at = now
            peer = self._core.random.choice(peers)
            address = self._core.paths.address(peer)
            if address is not None:
                self.challenge(now, peer, address)

    def ask(self, now: float, target: bytes, token: int) -> None:
        """Measure the round trip to a member for the driver."""
        seq = self._challenge()
        self._asked[seq] = Asked(token, target, now)
        self._core.timers.set(PING_END, now + ASK_SECONDS, _key(seq))
        address = self._core.paths.proven_address(target)
        if address is None:
            self._core.paths.attempt(now, target)
        else:
            self._ping(now, seq, target, address)

    def contacted(self, target: bytes, round_trip: float) -> None:
        """Note that a member answered a hello or a ping: whatever waited for that is done."""
        self._measured(round_trip)
        for seq, probe in list(self._probes.items()):
            if probe.target == target:
                self._succeeded(seq)
        for seq, asked in list(self._asked.items()):
            if asked.target == target:
                self._answer(seq, round_trip)

    def forget(self, device_id: bytes) -> None:
        """Drop what concerns a device that is no longer in force."""
        self._misses.pop(device_id, None)
        for seq, probe in list(self._probes.items()):
            if probe.target == device_id:
                self._drop_probe(seq)

    # Messages.

    def on_ping(self, now: float, sender: bytes, source: Address, ping: m.Ping) -> None:
        """Answer, to where it came from."""
        ack = m.Ack(ping.seq, self._core.record.epoch, self._core.intake.fingerprint(), source)
        self._core.transport.send(now, sender, ack, address=source)
        self._core.reconciler.compare(now, sender, ping.fingerprint)

    def on_ack(self, now: float, sender: bytes, ack: m.Ack) -> None:
        """Match an ack with its ping; acks nobody waits for are dropped."""
        sent = self._pings.pop(ack.seq, None)
        if sent is None or sent.target != sender:
            return
        round_trip = now - sent.sent_at
        self._core.paths.proved(now, sender, sent.address, round_trip)
        self._core.record.observed(now, sender, ack.observed)
        self.contacted(sender, round_trip)
        relayed = self._relayed.pop(ack.seq, None)
        if relayed is not None:
            self._core.timers.cancel(NACK, _key(ack.seq))
            self._core.transport.send(now, relayed.asker, m.RelayedAck(relayed.seq))
        self._core.reconciler.compare(now, sender, ack.fingerprint)

    def on_request(self, now: float, sender: bytes, request: m.PingRequest) -> None:
        """Ping a member for somebody, or say at once that there is no path."""
        core = self._core
        address = core.paths.proven_address(request.target)
        if address is None or len(self._relayed) >= limits.RELAYED_PROBES_MAX:
            answer: list[m.Message] = [m.Nack(request.seq, tried=False)]
            evidence = core.suspicion.evidence(request.target)
            if evidence is not None and core.paths.is_proven(sender):
                answer.append(evidence)
            core.transport.send(now, sender, *answer)
            return
        seq = self._challenge()
        self._relayed[seq] = Relayed(sender, request.seq, request.target)
        self._ping(now, seq, request.target, address)
        wait = request.budget_ms / 1_000 * core.config.nack_share
        core.timers.set(NACK, now + wait, _key(seq))

    def on_relayed_ack(self, now: float, sender: bytes, ack: m.RelayedAck) -> None:
        """Take a helper's word that the target answered it, though it has not answered us."""
        probe = self._probes.get(ack.seq)
        if probe is not None and sender in probe.asked:
            self._succeeded(ack.seq)
            if probe.direct:
                self._core.paths.doubted(now, probe.target)

    def on_nack(self, sender: bytes, nack: m.Nack) -> None:
        """Count a helper's "no answer": the helper at least is well, and so are we."""
        probe = self._probes.get(nack.seq)
        if probe is not None and sender in probe.silent:
            probe.silent.remove(sender)
            probe.tried = probe.tried or nack.tried

    # Timers.

    def on_timer(self, now: float) -> None:
        """Probe the next member of the round."""
        target = self._next_target()
        if target is None:
            return
        self._core.timers.set(PROBE, now + self._interval())
        self._forget_old_pings(now)
        self.probe(now, target)

    def on_timeout(self, now: float, key: bytes) -> None:
        """Ask others: no ack came in time."""
        seq = int.from_bytes(key, "big")
        probe = self._probes.get(seq)
        if probe is not None:
            self._ask_others(now, seq, probe)

    def on_end(self, now: float, key: bytes) -> None:
        """Judge a probe that nobody answered."""
        probe = self._drop_probe(int.from_bytes(key, "big"))
        if probe is None or not self._core.in_force(probe.target):
            return
        self._core.worsen(len(probe.silent) if probe.asked else 1)
        if not self._is_evidence(probe):
            self._core.count("probes_without_evidence")
            return
        self._core.count("probes_failed")
        self._core.suspicion.accuse(now, probe.target)
        if probe.direct:
            self._core.paths.lost(now, probe.target)

    def _is_evidence(self, probe: Probe) -> bool:
        """Say whether silence speaks against the target.

        It does if a ping went along a proven path, ours or a helper's; if it is suspected by
        somebody already; and after three probes in which nobody had a path at all.
        """
        if probe.direct or probe.tried:
            return True
        self._misses[probe.target] = self._misses.get(probe.target, 0) + 1
        state = self._core.members.state(probe.target)
        return state is MemberState.SUSPECT or self._misses[probe.target] >= MISSES_MAX

    def on_nack_due(self, now: float, key: bytes) -> None:
        """Tell the asker that the target has not answered us either."""
        relayed = self._relayed.pop(int.from_bytes(key, "big"), None)
        if relayed is not None:
            self._core.transport.send(now, relayed.asker, m.Nack(relayed.seq, tried=True))

    def on_ping_end(self, key: bytes) -> None:
        """Tell the driver that its ping was in vain."""
        self._answer(int.from_bytes(key, "big"), None)

    # Inside.

    def _interval(self) -> float:
        return self._core.config.probe_interval_seconds * (self._core.health + 1)

    def _timeout(self) -> float:
        return self._core.config.probe_timeout_seconds * (self._core.health + 1)

    def _challenge(self) -> int:
        return int.from_bytes(self._core.entropy(_SEQ_BYTES), "big")

    def _ping(self, now: float, seq: int, target: bytes, address: Address) -> None:
        if len(self._pings) >= PINGS_MAX:
            del self._pings[next(iter(self._pings))]
        self._pings[seq] = SentPing(target, address, now)
        ping = m.Ping(seq, self._core.record.epoch, self._core.intake.fingerprint())
        messages: list[m.Message] = [ping]
        # The accused must learn of it first (Lifeguard's buddy system, section IV.C).
        evidence = self._core.suspicion.evidence(target)
        if evidence is not None and self._core.paths.is_proven(target):
            messages.append(evidence)
        self._core.transport.send(now, target, *messages, address=address)

    def _ask_others(self, now: float, seq: int, probe: Probe) -> None:
        helpers = self._core.anchors.helpers(probe.target, self._core.config.indirect_probes)
        budget = max(0, int((probe.ends_at - now) * 1_000))
        probe.asked = frozenset(helpers)
        probe.silent = set(helpers)
        for helper in helpers:
            self._core.transport.send(now, helper, m.PingRequest(seq, probe.target, budget))

    def _next_target(self) -> bytes | None:
        states = (MemberState.ALIVE, MemberState.SUSPECT)
        for _ in range(2):
            while self._round.order:
                target = self._round.order.pop()
                if self._core.in_force(target) and self._core.members.state(target) in states:
                    return target
            self._round.order = [entry.device_id for entry in self._core.members.live()]
            self._core.random.shuffle(self._round.order)
        return None

    def _succeeded(self, seq: int) -> None:
        probe = self._drop_probe(seq)
        if probe is not None:
            self._misses.pop(probe.target, None)
            self._core.worsen(-1)

    def _drop_probe(self, seq: int) -> Probe | None:
        for kind in (TIMEOUT, END):
            self._core.timers.cancel(kind, _key(seq))
        return self._probes.pop(seq, None)

    def _answer(self, seq: int, round_trip: float | None) -> None:
        asked = self._asked.pop(seq, None)
        if asked is not None:
            self._core.timers.cancel(PING_END, _key(seq))
            self._core.emit(PingResult(asked.token, asked.target, round_trip))

    def _measured(self, round_trip: float) -> None:
        """Follow the slow end of the round trips: jump up, come down by 2 % a sample."""
        self._slowest = max(round_trip, self._slowest * 0.98)

    def _forget_old_pings(self, now: float) -> None:
        while self._pings:
            seq = next(iter(self._pings))
            if now - self._pings[seq].sent_at < PING_SECONDS:
                return
            del self._pings[seq]


def _key(seq: int) -> bytes:
    return seq.to_bytes(_SEQ_BYTES, "big")
