"""Where signed objects come in: decode, verify, admit, apply, and only then spread.

Objects that stand (roots to revocations) are for `crypto.trust` to judge, statements for
`gossip.statements`. An object is verified once and known by its payload hash from then on. One
whose parent is not here yet waits in a small room; one that is refused is not asked for again for
a while. The driver is told of a fresh object, and has stored it, before anybody else is.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from crypto.errors import PeerError, UnknownParentError
from crypto.objects import Device, Root, SignedObject, Sponsor, parse
from crypto.signing import Envelope, ObjectType, decode
from gossip import limits, statements
from gossip.broadcast import Urgency
from gossip.buckets import Buckets
from gossip.core import Core
from gossip.events import Alarm, BundleReady, JoinAccepted, ObjectAdmitted, PartAdmitted
from gossip.idset import IdSet
from gossip.messages import SHORT_ID_BYTES

REFUSED_SECONDS: Final = 60.0
SEEN_MAX: Final = 4_096
# Parents before children: the order in which a newcomer can use them.
_RANKS: Final = {
    kind: rank
    for rank, kind in enumerate(
        (
            *(ObjectType.ROOT, ObjectType.HEAD, ObjectType.REVOKE, ObjectType.TICKET),
            *(ObjectType.DEVICE, ObjectType.SPONSOR, ObjectType.MEMBER, ObjectType.LEAVE),
        )
    )
}
# The urgent ones, which are also those that may take others out of `Trust.objects()`.
_GOVERNING: Final = frozenset({ObjectType.ROOT, ObjectType.HEAD, ObjectType.REVOKE})


@dataclass(frozen=True, slots=True)
class _Waiting:
    envelope: Envelope
    source: bytes | None
    parent: bytes


class Intake:
    """Admits objects, and holds the ids of all that are held."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.ids = IdSet()
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()
        self._checks = Buckets(rate=limits.CHECKS_PER_SECOND, burst=limits.CHECK_BURST)
        self._announced: bytes | None = None

    def fingerprint(self) -> bytes:
        """Return the fingerprint of everything held."""
        return self.ids.fingerprint()

    def waiting(self) -> int:
        """Return how many objects wait for a parent."""
        return len(self._waiting)

    def is_waiting(self, identity: bytes) -> bool:
        """Say whether an object is here and waits for a parent."""
        return identity in self._waiting

    def is_refused(self, now: float, short: bytes) -> bool:
        """Say whether an object was refused of late."""
        return now < self._refused.get(short, now)

    def raw(self, identity: bytes) -> bytes | None:
        """Return a held object or statement by its id."""
        return self._core.trust.raw(identity) or self._core.members.statement(identity)

    def take(self, now: float, raw: bytes, source: bytes | None) -> None:
        """Take an object a peer sent; whatever is wrong with it is counted, never raised."""
        digest = sha256(raw).digest()
        identity = self._seen.get(digest)
        if identity is None or identity not in self.ids:
            envelope = self._decode(now, raw, source)
            if envelope is None:
                return
            identity = envelope.id
            self._remember(digest, identity)
            if identity not in self.ids:
                self._core.reconciler.arrived(now, identity)
                self._try(now, envelope, source)
                return
        self._core.reconciler.arrived(now, identity)
        if source is not None:
            self._core.broadcast.seen_from(identity, source)

    def publish(self, now: float, raw: bytes) -> None:
        """Admit and spread an object of the driver's.

        Raises:
            PeerError: If it is not acceptable. State unchanged.
        """
        envelope = decode(raw)
        if envelope.id not in self.ids:
            self._admit(now, envelope, None)

    def take_part(self, now: float, data: bytes) -> bool:
        """Keep a part if a head names it and it lacked; say so."""
        if not self._core.trust.admit_part(data):
            return False
        self._core.emit(PartAdmitted(sha256(data).digest(), data))
        self.announce(now)
        return True

    def mirror(self, now: float) -> None:
        """Make the set of ids equal to what trust and the member table hold."""
        trust = self._core.trust
        held = {
            identity: _RANKS[kind]
            for kind, identity, _ in trust.objects()
            if not trust.is_pending(identity)
        }
        held |= dict.fromkeys(self._core.members.statements(), _RANKS[ObjectType.MEMBER])
        for identity in [identity for identity in self.ids if identity not in held]:
            self.ids.discard(identity)
            self._core.broadcast.drop(identity)
        for identity, rank in held.items():
            self.ids.add(identity, rank)
        self.announce(now)

    def announce(self, now: float) -> None:
        """Tell the driver once of a candidate that is complete; look for parts that lack."""
        ready = self._core.trust.ready()
        if ready is not None and ready.head_id != self._announced:
            self._announced = ready.head_id
            self._core.emit(BundleReady(ready.head_id))
        self._core.bulk.look(now)

    def hold(self, envelope: Envelope) -> None:
        """Note that a statement is held."""
        self.ids.add(envelope.id, _RANKS[envelope.type])

    def released(self, now: float, parent: bytes) -> None:
        """Try again what waits for this parent: an object, or a device now in force."""
        for identity, item in list(self._waiting.items()):
            if item.parent == parent and self._waiting.pop(identity, None) is not None:
                self._try(now, item.envelope, item.source)

    def _decode(self, now: float, raw: bytes, source: bytes | None) -> Envelope | None:
        if source is not None and not self._checks.take(now, source):
            self._core.count("objects_rate_limited")
            return None
        try:
            return decode(raw)
        except PeerError:
            self._core.count("objects_malformed")
            return None

    def _try(self, now: float, envelope: Envelope, source: bytes | None) -> None:
        try:
            self._admit(now, envelope, source)
        except UnknownParentError as error:
            self._wait(envelope, source, error.parent_id)
        except PeerError:
            self._core.count("objects_refused")
            self._refuse(now, envelope.id)

    def _admit(self, now: float, envelope: Envelope, source: bytes | None) -> None:
        core = self._core
        if envelope.type in statements.TYPES:
            core.statements.admit(now, envelope, source)
            return
        admitted = core.trust.admit(envelope.raw, core.wall(now))
        if not admitted.fresh:
            return
        core.emit(ObjectAdmitted(admitted.type, admitted.id, envelope.raw))
        for alarm in admitted.alarms:
            core.emit(Alarm(alarm.code, alarm.text))
        body = parse(envelope)
        if not core.trust.is_pending(envelope.id):
            self._pass_on(envelope, source)
        self._after(now, envelope, body)

    def _pass_on(self, envelope: Envelope, source: bytes | None) -> None:
        """Hold an object for all.

        A device that nobody has let in is not held: whoever has a ticket can make any number.
        """
        self.ids.add(envelope.id, _RANKS[envelope.type])
        urgency = Urgency.TRUST if envelope.type in _GOVERNING else Urgency.REST
        self._core.broadcast.add(envelope.id, envelope.raw, urgency, source)

    def _after(self, now: float, envelope: Envelope, body: SignedObject) -> None:
        """Do what follows from a fresh object."""
        core = self._core
        if envelope.type in _GOVERNING:
            self.mirror(now)
        device = body if isinstance(body, Device) else None
        if isinstance(body, Sponsor):
            device = self._sponsored(now, body)
        core.roster.changed(now, at_once=envelope.type is ObjectType.REVOKE)
        self.released(now, envelope.id)
        if isinstance(body, Root):
            # What a head waits for is named by its epoch.
            self.released(now, body.version.to_bytes(8, "big"))
        if device is not None:
            self.released(now, device.device_id)

    def _sponsored(self, now: float, sponsor: Sponsor) -> Device | None:
        core = self._core
        raw = core.trust.raw(sponsor.device)
        envelope = None if raw is None else decode(raw)
        device = None if envelope is None else parse(envelope)
        if envelope is None or not isinstance(device, Device):
            return None
        if envelope.id not in self.ids:
            self._pass_on(envelope, None)
        if device.device_id == core.me and core.trust.device_state(core.me, core.wall(now))[0]:
            core.emit(JoinAccepted(sponsor.sponsor))
        return device

    def _wait(self, envelope: Envelope, source: bytes | None, parent: bytes) -> None:
        if len(self._waiting) >= limits.WAITING_ROOM_MAX:
            self._waiting.popitem(last=False)
            self._core.count("waiting_room_dropped")
        self._waiting[envelope.id] = _Waiting(envelope, source, parent)

    def _refuse(self, now: float, identity: bytes) -> None:
        if len(self._refused) >= limits.REFUSED_IDS_MAX:
            self._refused.popitem(last=False)
        self._refused[identity[:SHORT_ID_BYTES]] = now + REFUSED_SECONDS

    def _remember(self, digest: bytes, identity: bytes) -> None:
        if len(self._seen) >= SEEN_MAX:
            self._seen.popitem(last=False)
        self._seen[digest] = identity
