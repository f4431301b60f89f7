"""Paths: where a member can be reached directly, and how a path is found, kept and given up.

A path is *proven* when the member answered something that only it could read, sent to that
address; only then is the driver told, and only then may much be sent there. Hellos to all of a
wanted member's endpoints go out at once, and a common member carries one more inside (RFC 8445
section 7 in spirit, without its checklists), so both sides open their NATs in the same moment.

An address out of a record is only its owner's claim. Until it is proven it gets at most three
quick datagrams per record (all claims of one member a few dozen, however often it renews it), and
beyond that the slow back-off of wanted and of dead members: nobody can aim a mesh at a stranger.
"""

from typing import Final

from gossip import limits
from gossip import messages as m
from gossip.buckets import Buckets
from gossip.core import Core
from gossip.events import Address, MemberState, PathChanged
from gossip.path import Contacted, Path

PUNCH: Final = "punch"
PROVE: Final = "prove"
AGAIN: Final = "punch-again"
KEEP: Final = "keep"
QUICK_MAX: Final = 3
"""Quick datagrams to an address that nobody has proven, per record epoch."""

IDLE_SECONDS: Final = 60.0
"""A path through a NAT that was silent this long is not counted on for news."""

CHALLENGE_GAP_SECONDS: Final = 0.1
CHALLENGE_SECONDS: Final = 0.1
CHALLENGES_MAX: Final = 4
"""Questions to an address that does not answer, the first included; waits double."""

PUNCHES_PER_SECOND: Final = 8.0
PUNCH_BURST: Final = 64.0


class Paths:
    """The paths to all members."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._paths: dict[bytes, Path] = {}
        self._proven: set[bytes] = set()
        self._wanted: set[bytes] = set()
        self.contacted = Contacted()
        self._punches = Buckets(rate=PUNCHES_PER_SECOND, burst=PUNCH_BURST)
        self._quicks = Buckets(rate=limits.QUICKS_PER_SECOND, burst=limits.QUICK_BURST)
        self._now = 0.0
        self.ever_proven = False

    # Views.

    def address(self, device_id: bytes) -> Address | None:
        """Return where to send to, proven or not."""
        path = self._paths.get(device_id)
        return None if path is None else path.address

    def proven_address(self, device_id: bytes) -> Address | None:
        """Return the proven path, or None."""
        path = self._paths.get(device_id)
        return path.address if path is not None and path.proven else None

    def is_proven(self, device_id: bytes) -> bool:
        """Say whether the path to a member is proven."""
        return device_id in self._proven

    def count(self) -> int:
        """Return how many paths are proven."""
        return len(self._proven)

    def round_trip(self, device_id: bytes) -> float | None:
        """Return the smoothed round trip to a member in seconds, or None."""
        path = self._paths.get(device_id)
        return None if path is None else path.round_trip

    def proven(self) -> list[bytes]:
        """Return the members that news can go to: proven, not dead, and not asleep behind NAT."""
        return [device_id for device_id in sorted(self._proven) if self._is_awake(device_id)]

    # Requests.

    def want(self, now: float, device_ids: frozenset[bytes]) -> None:
        """Keep a path to exactly these members, and look for those that are missing."""
        added = device_ids - self._wanted - {self._core.me}
        self._wanted = set(device_ids) - {self._core.me}
        for device_id in sorted(added):
            if self.is_proven(device_id):
                self._keep(now, device_id)
            else:
                # The driver's wish is worth three more tries, whatever was tried before.
                self._attempt_afresh(now, device_id)

    def keep(self, now: float, device_id: bytes) -> None:
        """Look after a path from now on, if it is one to be kept."""
        if self._core.timers.at(KEEP, device_id) is None:
            self._keep(now, device_id)

    def attempt(self, now: float, device_id: bytes) -> None:
        """Look for a path now, unless an attempt has just begun."""
        if device_id == self._core.me or not self._core.may_talk(device_id):
            return
        path = self._path(device_id)
        if self._core.members.state(device_id) is MemberState.LEFT:
            return
        next_at = path.started_at + self._core.config.punch_restart_gap_seconds
        if now < next_at:
            if device_id in self._wanted:
                self._core.timers.set(AGAIN, next_at, device_id)
            return
        path.started_at, path.step = now, 0
        self.on_punch(now, device_id)

    def moved(self, now: float) -> None:
        """Our own addresses changed: show those we have a path to where we are now.

        That is the wanted ones and a few others; the rest find out by the next ping.
        """
        self.contacted.clear()
        others = sorted(self._proven - self._wanted)
        self._core.random.shuffle(others)
        shown = others[: self._core.config.degree(len(others))]
        for device_id in [*sorted(self._proven & self._wanted), *shown]:
            address = self._paths[device_id].address
            if address is not None:
                self._core.admission.greet(now, device_id, [address])
                self._paths[device_id].unanswered += 1
                wait = self._core.config.keepalive_retry_seconds
                self._core.timers.set(KEEP, now + wait, device_id)
        for device_id in sorted(self._wanted - self._proven):
            self.attempt(now, device_id)

    def forget(self, device_id: bytes) -> None:
        """Drop everything about a device that is no longer in force."""
        if self._paths.pop(device_id, None) is not None and device_id in self._proven:
            self._proven.discard(device_id)
            self._core.emit(PathChanged(device_id, None))
        for kind in (PUNCH, AGAIN, PROVE, KEEP):
            self._core.timers.cancel(kind, device_id)

    # What happened.

    def heard(self, now: float, device_id: bytes, source: Address) -> None:
        """Note an authentic datagram and where it came from."""
        self._core.heard_at = self._now = now
        path = self._path(device_id)
        if path.address == source:
            path.heard_at = now
        elif not path.proven:
            path.address, path.heard_at = source, now
            if self.contacted.is_unsolicited(now, source):
                self._core.record.dialled(now)

    def question(self, now: float, device_id: bytes, source: Address) -> None:
        """Ask for proof of an address a datagram came from, unless what it said has proven it."""
        path = self._path(device_id)
        if path.proven and path.address == source:
            return
        if now - path.challenged_at >= CHALLENGE_GAP_SECONDS:
            self._challenge(now, device_id, source)
            path.challenges = 1

    def proved(self, now: float, device_id: bytes, address: Address, round_trip: float) -> None:
        """Note that a member answered, from `address`, what was sent there `round_trip` ago.

        A proven path moves only if it was silent while the other address answered.
        """
        self._core.heard_at = self._now = now
        path = self._path(device_id)
        path.measured(round_trip)
        if path.proven and path.address != address and path.heard_at > now - round_trip:
            return
        moved = not path.proven or path.address != address
        path.address = path.last_proven = address
        path.proven, path.heard_at = True, now
        path.proven_at = now
        path.unanswered = 0
        path.step = None
        self._core.timers.cancel(PUNCH, device_id)
        self._core.timers.cancel(PROVE, device_id)
        self._proven.add(device_id)
        self.ever_proven = True
        if moved:
            self._core.emit(PathChanged(device_id, address))
            self._core.broadcast.peer_found(now)
            self._keep(now, device_id)
        if self._core.members.state(device_id) is MemberState.DEAD:
            # It answers: it shall know what is said of it, and refute it.
            self._core.suspicion.confront(now, device_id)

    def doubted(self, now: float, device_id: bytes) -> None:
        """Note that a member answers others and not us: the path is bad, not the member."""
        path = self._path(device_id)
        if path.proven and not path.unanswered:
            path.unanswered = 1
            self.on_keep(now, device_id)

    def lost(self, now: float, device_id: bytes) -> None:
        """Give a path up; a wanted one is looked for again at once."""
        path = self._path(device_id)
        path.address, path.proven = None, False
        path.unanswered = 0
        self._core.timers.cancel(KEEP, device_id)
        if device_id in self._proven:
            self._proven.discard(device_id)
            self._core.emit(PathChanged(device_id, None))
            self._core.outreach.look(now)
        if device_id in self._wanted:
            self.attempt(now, device_id)

    def renewed(self, now: float, device_id: bytes) -> None:
        """Note a newer record: its endpoints are worth a try if the member is wanted."""
        lacks = device_id in self._wanted and not self.is_proven(device_id)
        # With a new record all the time the attempt that runs goes on instead.
        if lacks and self._quicks.take(now, device_id, limits.ENDPOINTS_MAX):
            self.attempt(now, device_id)

    def left(self, now: float, device_id: bytes) -> None:
        """Note that a member has said good-bye: nobody looks for it."""
        self.lost(now, device_id)
        self._path(device_id).step = None
        self._core.timers.cancel(PUNCH, device_id)

    # Relayed hellos.

    def on_punch_message(self, now: float, sender: bytes, message: m.Punch) -> None:
        """Carry a sealed hello on to its target, or take it if the target is us."""
        if message.target == self._core.me:
            initiator = self._core.admission.take_relayed(now, message.hello)
            if initiator is not None and not self.is_proven(initiator):
                path = self._path(initiator)
                gap = self._core.config.punch_restart_gap_seconds
                if now >= path.invited_at + gap:
                    path.invited_at = now
                    self._attempt_afresh(now, initiator)
        elif not self._punches.take(now, sender):
            self._core.count("punch_rate_limited")
        elif self.is_proven(message.target):
            self._core.transport.send(now, message.target, message)

    # Timers.

    def on_prove(self, now: float, device_id: bytes) -> None:
        """Ask an address for proof once more: the first question may have come before our key."""
        path = self._path(device_id)
        if path.proven or path.address is None or path.challenges >= CHALLENGES_MAX:
            return
        path.challenges += 1
        self._challenge(now, device_id, path.address)

    def on_punch(self, now: float, device_id: bytes) -> None:
        """Run the next step of an attempt."""
        path = self._path(device_id)
        if path.step is None or path.proven or not self._core.may_talk(device_id):
            path.step = None
            return
        delays = self._core.config.punch_delays_seconds
        step, path.step = path.step, path.step + 1
        quick = step < len(delays)
        addresses = self._candidates(device_id, path, quick=quick)
        if quick:
            known, take = path.last_proven, self._quicks.take
            addresses = [each for each in addresses if each == known or take(now, device_id)]
        if addresses:
            self._knock(now, device_id, addresses, first=step == 0)
        elif device_id not in self._wanted:
            # Nothing was sent, so nothing has to be waited for before the next attempt.
            path.step, path.started_at = None, float("-inf")
            return
        if device_id in self._wanted and (step == 0 or not quick):
            self._ask_relays(now, device_id)
        if path.step < len(delays):
            self._core.timers.set(PUNCH, path.started_at + delays[path.step], device_id)
        elif device_id in self._wanted:
            waits = self._core.config.punch_backoff_seconds
            wait = waits[min(path.step - len(delays), len(waits) - 1)]
            self._core.timers.set(PUNCH, now + wait, device_id)
        else:
            path.step = None

    def on_again(self, now: float, device_id: bytes) -> None:
        """Begin the attempt that came too soon after another."""
        if device_id in self._wanted and not self.is_proven(device_id):
            self.attempt(now, device_id)

    def on_keep(self, now: float, device_id: bytes) -> None:
        """Ping a kept path that was silent, or give it up."""
        path = self._path(device_id)
        if not path.proven or path.address is None:
            return
        if not path.unanswered:
            if not self._is_kept(device_id):
                return
            due = path.proven_at + self._core.config.keepalive_seconds * 0.75
            if now < due:
                self._core.timers.set(KEEP, due, device_id)
                return
        if path.unanswered >= self._core.config.keepalive_tries:
            self.lost(now, device_id)
            return
        path.unanswered += 1
        self._core.prober.challenge(now, device_id, path.address)
        self._core.timers.set(KEEP, now + self._core.config.keepalive_retry_seconds, device_id)

    # Inside.

    def _knock(
        self, now: float, device_id: bytes, addresses: list[Address], *, first: bool
    ) -> None:
        """Try addresses: first with a ping, a tenth of a hello, for it may know our record."""
        if first and device_id not in self._wanted and self._core.sessions.knows(device_id):
            for address in addresses:
                self._core.prober.challenge(now, device_id, address)
        else:
            self._core.admission.greet(now, device_id, addresses)

    def _challenge(self, now: float, device_id: bytes, address: Address) -> None:
        path = self._path(device_id)
        path.challenged_at = now
        self._core.prober.challenge(now, device_id, address)
        if not path.proven:
            wait = CHALLENGE_SECONDS * 2**path.challenges
            self._core.timers.set(PROVE, now + wait, device_id)

    def _attempt_afresh(self, now: float, device_id: bytes) -> None:
        """Begin an attempt with new credit, whatever was tried before.

        Only for the driver's wish and for a request that the member itself has sealed.
        """
        path = self._path(device_id)
        path.spent.clear()
        path.started_at = float("-inf")
        self.attempt(now, device_id)

    def _path(self, device_id: bytes) -> Path:
        path = self._paths.get(device_id)
        if path is None:
            path = self._paths[device_id] = Path()
        return path

    def _keep(self, now: float, device_id: bytes) -> None:
        draw = 0.75 + self._core.random.random() / 4
        self._core.timers.set(KEEP, now + self._core.config.keepalive_seconds * draw, device_id)

    def _is_kept(self, device_id: bytes) -> bool:
        return device_id in self._wanted or device_id in self._core.anchors.mine()

    def _is_awake(self, device_id: bytes) -> bool:
        if self._core.members.state(device_id) in {MemberState.DEAD, MemberState.LEFT}:
            return False
        fresh = self._now - self._paths[device_id].heard_at < IDLE_SECONDS
        return fresh or self._core.anchors.is_reachable(device_id)

    def is_untried(self, device_id: bytes) -> bool:
        """Say whether there is no path yet, and an address left to try for one."""
        if self.is_proven(device_id):
            return False
        path = self._path(device_id)
        return path.step is None and bool(self._candidates(device_id, path, quick=True, pay=False))

    def addresses(self, device_id: bytes) -> list[Address]:
        """Return every address to try slowly."""
        return self._candidates(device_id, self._path(device_id), quick=False)

    def _candidates(
        self, device_id: bytes, path: Path, *, quick: bool, pay: bool = True
    ) -> list[Address]:
        """Return the addresses to try; quick tries of unproven ones are paid for, three each."""
        entry = self._core.members.get(device_id)
        record = None if entry is None else entry.record
        epoch = None if record is None else record.epoch
        if path.spent_epoch != epoch:
            path.spent_epoch = epoch
            path.spent.clear()
        claimed = [] if record is None else [endpoint.address for endpoint in record.endpoints]
        # Not where it was only heard from: that address is asked for proof, and no more.
        seen = [] if path.last_proven is None else [path.last_proven]
        found: list[Address] = []
        for address in dict.fromkeys(seen + claimed):
            if self._core.record.is_own(address):
                continue
            if quick and address not in seen:
                if path.spent.get(address, 0) >= QUICK_MAX:
                    continue
                if pay:
                    path.spent[address] = path.spent.get(address, 0) + 1
            found.append(address)
        return found

    def _ask_relays(self, now: float, device_id: bytes) -> None:
        helpers = self._core.anchors.helpers(device_id, self._core.config.indirect_probes)
        if not helpers:
            return
        hello = self._core.admission.make_hello(now, device_id)
        if hello is not None and len(hello) <= limits.RELAYED_HELLO_BYTES_MAX:
            for helper in helpers:
                self._core.transport.send(now, helper, m.Punch(device_id, hello))
