"""Who is dead: signed accusations, counted.

Who cannot reach a member signs an accusation of its current epoch. The member's observers, named
by a hash so that nobody picks them, then probe it at once; only their accusations count. A member
is taken for dead when min(3, how many others could tell) of them accuse it, it had the time to
answer, and it did not: an answer is a newer record, which only it can sign. So one liar kills
nobody.

With so few members that fewer than three could tell, this node's own accusation is always one of
those needed, because it does not count as "other" whom it accuses itself.
"""

from typing import Final

from crypto.objects import Accusation
from crypto.signing import ObjectType, seal
from gossip import limits
from gossip import messages as m
from gossip.buckets import Buckets
from gossip.core import Core
from gossip.events import MemberState
from gossip.members import Change, Entry, Held

VERDICT: Final = "verdict"


class Suspicion:
    """Accuses, hears accusations, and condemns."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._origins = Buckets(rate=limits.ACCUSATIONS_PER_SECOND, burst=limits.ACCUSATION_BURST)

    def accuse(self, now: float, subject: bytes) -> None:
        """Say that we cannot reach a member, unless we have said so of this epoch."""
        core = self._core
        entry = core.members.get(subject)
        if entry is None or entry.epoch is None or core.me in entry.accusations:
            return
        if entry.state not in {MemberState.ALIVE, MemberState.SUSPECT}:
            return
        accusation = Accusation(core.me, subject, entry.epoch, core.wall_seconds(now))
        seeds = [core.keys.sign_seed]
        raw = seal(ObjectType.ACCUSATION, core.own.mesh_id, accusation.to_payload(), seeds)
        core.count("accusations_made")
        core.statements.publish_accusation(now, accusation, raw)
        # Whom we accuse cannot observe: others may now be condemned by fewer.
        for device_id in sorted(core.members.suspects):
            self._judge(now, device_id)

    def is_news(self, accusation: Accusation) -> bool:
        """Say whether an accusation is worth the check of its signature."""
        core = self._core
        entry = core.members.get(accusation.subject)
        if entry is None or entry.epoch != accusation.epoch:
            return False
        if accusation.accuser in entry.accusations:
            return False
        if len(entry.accusations) >= limits.ACCUSATIONS_PER_SUBJECT_MAX:
            core.count("accusations_over_limit")
            return False
        observers = core.members.observers(accusation.subject)
        if accusation.subject == core.me or accusation.accuser in observers:
            return True
        # A hint: it makes the observers look, and does not count.
        hints = len(entry.accusations.keys() - set(observers))
        if hints >= limits.HINTS_PER_SUBJECT_MAX:
            core.count("hints_over_limit")
            return False
        return True

    def is_within_rate(self, now: float, accuser: bytes) -> bool:
        """Say whether an accuser may be heard again; asked after its signature was verified."""
        if self._origins.take(now, accuser):
            return True
        self._core.count("accusations_rate_limited")
        return False

    def accused(self, now: float, accusation: Accusation, held: Held) -> None:
        """Apply a verified accusation."""
        core = self._core
        if accusation.subject == core.me:
            if accusation.accuser != core.me:
                core.worsen(1)
                core.record.refute(now)
            return
        entry = core.members.get(accusation.subject)
        if entry is None:
            return
        core.members.accuse(now, entry, accusation.accuser, held)
        if accusation.accuser != core.me and core.me not in entry.accusations:
            self._look(now, entry)
        self._judge(now, accusation.subject)

    def evidence(self, subject: bytes) -> m.Push | None:
        """Return the accusations of a suspect or dead member, to show to it and to others."""
        entry = self._core.members.get(subject)
        if entry is None or not entry.accusations:
            return None
        judges = self._judges(entry)
        accusers = sorted(entry.accusations, key=lambda accuser: (accuser not in judges, accuser))
        chosen = accusers[: self._core.config.accusations_needed]
        return m.Push(tuple(entry.accusations[accuser].raw for accuser in chosen))

    def confront(self, now: float, subject: bytes) -> None:
        """Show a member what it is accused of."""
        evidence = self.evidence(subject)
        if evidence is not None:
            self._core.transport.send(now, subject, evidence)

    def needed(self, subject: bytes) -> int:
        """Return how many accusers it takes to condemn a member now."""
        return max(1, min(self._core.config.accusations_needed, self._able(subject)))

    def on_verdict(self, now: float, subject: bytes) -> None:
        """Look again at a suspect whose time is over."""
        self._judge(now, subject)

    def _judges(self, entry: Entry) -> set[bytes]:
        """Return whose accusations count: those of its observers, and our own."""
        counted = {self._core.me, *self._core.members.observers(entry.device_id)}
        return counted & entry.accusations.keys()

    def _able(self, subject: bytes) -> int:
        return len(self._core.members.observers(subject))

    def _look(self, now: float, entry: Entry) -> None:
        """Probe a suspect at once if we are one of its observers."""
        if self._core.me in self._core.members.observers(entry.device_id):
            self._core.prober.probe(now, entry.device_id)

    def _judge(self, now: float, subject: bytes) -> None:
        core = self._core
        entry = core.members.get(subject)
        if entry is None or entry.state is not MemberState.SUSPECT:
            return
        if len(self._judges(entry)) < self.needed(subject):
            return
        due = entry.suspect_since + self._patience()
        if now < due:
            core.timers.set(VERDICT, due, subject)
            return
        core.members.change(now, entry, Change.CONDEMNED)
        core.paths.lost(now, subject)
        core.outreach.died(now, subject)
        # One witness less may settle the cases it was to judge.
        for device_id in sorted(core.members.suspects):
            self._judge(now, device_id)

    def _patience(self) -> float:
        core = self._core
        return core.config.suspicion_seconds(
            core.members.others() + 1, core.prober.slow_round_trip(), core.health
        )
