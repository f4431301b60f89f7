"""What members say about themselves and each other: cheap checks, signature, table, spread.

An old epoch costs a comparison and no signature check, so a replayed record is dropped unread. A
statement whose signer is not in force here waits for the signer's device object.
"""

from crypto.errors import ExpiredError
from crypto.objects import Accusation, Leave, Member, SignedObject, parse
from crypto.signing import Envelope, ObjectType, decode
from gossip.broadcast import Urgency
from gossip.core import Core
from gossip.events import MemberState
from gossip.members import Held

TYPES = frozenset({ObjectType.MEMBER, ObjectType.ACCUSATION, ObjectType.LEAVE})
"""The types that come here; all others are for `crypto.trust`."""


class Statements:
    """Admits statements, others' and our own."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def admit(self, now: float, envelope: Envelope, source: bytes | None) -> None:
        """Verify and apply a statement that came from elsewhere, and spread it if it is news.

        Raises:
            PeerError: If it is not acceptable; an UnknownParentError may be resolved by another
                object. State unchanged.
        """
        body = parse(envelope)
        if isinstance(body, Accusation):
            self._admit_accusation(now, envelope, body, source)
        elif isinstance(body, Member | Leave):
            self._admit_own_word(now, envelope, body, source)

    def publish(self, now: float, raw: bytes, urgency: Urgency) -> None:
        """Apply and spread this node's own record or leave."""
        envelope = decode(raw)
        self._apply(now, envelope, parse(envelope), urgency, None)

    def publish_accusation(self, now: float, accusation: Accusation, raw: bytes) -> None:
        """Apply and spread this node's own accusation."""
        held = Held(decode(raw).id, raw)
        self._core.broadcast.add(held.id, raw, Urgency.ACCUSATION, None)
        self._core.suspicion.accused(now, accusation, held)

    def _admit_accusation(
        self, now: float, envelope: Envelope, accusation: Accusation, source: bytes | None
    ) -> None:
        core = self._core
        if not core.suspicion.is_news(accusation):
            return
        self._verify(now, envelope)
        if not core.suspicion.is_within_rate(now, accusation.accuser):
            return
        if accusation.subject != core.me:
            core.broadcast.add(envelope.id, envelope.raw, Urgency.ACCUSATION, source)
        core.suspicion.accused(now, accusation, Held(envelope.id, envelope.raw))

    def _admit_own_word(
        self, now: float, envelope: Envelope, body: Member | Leave, source: bytes | None
    ) -> None:
        core = self._core
        if not core.members.is_newer(body.device_id, body.epoch, envelope.id):
            core.count("statements_old")
            return
        if body.epoch.boot_ms > core.wall_ms(now) + core.config.record_ahead_seconds * 1_000:
            raise ExpiredError("a record comes from the future")
        if not core.members.has_room(body.device_id):
            core.count("members_over_limit")
            return
        self._verify(now, envelope)
        if body.device_id == core.me:
            core.record.outdated(now, body.epoch)
        else:
            self._apply(now, envelope, body, None, source)

    def _verify(self, now: float, envelope: Envelope) -> None:
        self._core.trust.verify_statement(envelope.raw, self._core.wall(now))

    def _apply(
        self,
        now: float,
        envelope: Envelope,
        body: SignedObject,
        urgency: Urgency | None,
        source: bytes | None,
    ) -> None:
        core = self._core
        held = Held(envelope.id, envelope.raw)
        if isinstance(body, Member):
            refutes = core.members.state(body.device_id) in {MemberState.SUSPECT, MemberState.DEAD}
            replaced = self._apply_record(now, body, held)
            usual = Urgency.REFUTATION if refutes else Urgency.RECORD
        elif isinstance(body, Leave):
            replaced = core.members.state_leave(now, body.device_id, body.epoch, held)
            usual = Urgency.REFUTATION
            core.paths.left(now, body.device_id)
        else:
            return
        if replaced is not None:
            core.intake.ids.discard(replaced.id)
            core.broadcast.drop(replaced.id)
        core.intake.hold(envelope)
        core.broadcast.add(held.id, held.raw, usual if urgency is None else urgency, source)

    def _apply_record(self, now: float, record: Member, held: Held) -> Held | None:
        core = self._core
        entry = core.members.get(record.device_id)
        booted = -1 if entry is None or entry.epoch is None else entry.epoch.boot_ms
        replaced = core.members.state_record(now, record, held)
        if record.device_id != core.me:
            rebooted = record.epoch.boot_ms > booted
            core.sessions.set_peer(now, record.device_id, record.gossip_key, rebooted=rebooted)
            core.paths.renewed(now, record.device_id)
            core.outreach.look(now)
            core.prober.wake(now)
        return replaced
