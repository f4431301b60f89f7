"""The class that a node, an admin's tool and a simulated member all ask; see the package."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Literal, TypeAlias

from crypto.clock import Interval
from crypto.errors import (
    ConstraintError,
    ExpiredError,
    ObjectError,
    RevokedError,
    TrustError,
    UnknownParentError,
)
from crypto.identity import short_id
from crypto.objects import (
    Accusation,
    Device,
    Directory,
    Head,
    Leave,
    Member,
    RevokeKind,
    Root,
    Ticket,
    parse,
)
from crypto.signing import ObjectType, decode, signers
from crypto.trust import admission, restoring, sponsoring
from crypto.trust.records import (
    Admitted,
    Alarm,
    Limits,
    MissingPart,
    ReadyBundle,
    Restored,
    Statement,
)
from crypto.trust.roots import earliest
from crypto.trust.standing import EXPIRED, NOT_YET, REVOKED
from crypto.trust.tables import Tables

Freshness: TypeAlias = Literal["none", "fresh", "stale", "expired"]


class Trust:
    """All that a node holds for true of one mesh, and the only way to change it.

    Args:
        root_v1_raw: The first root, taken on trust: it came with the invite or the admin.
        limits: Bounds of what is kept.

    Raises:
        PeerError: If it is no first root, signed by enough of its own root keys.
    """

    def __init__(self, root_v1_raw: bytes, *, limits: Limits | None = None) -> None:
        self._tables = Tables(root_v1_raw, limits or Limits())

    @classmethod
    def restore(
        cls,
        objects: Iterable[bytes],
        now: Interval,
        *,
        adopted: bytes | None = None,
        mesh_id: bytes | None = None,
        limits: Limits | None = None,
    ) -> Restored:
        """Build the state again from what `objects` gave, in any order; all of it is verified.

        Nothing is refused for its time: what was accepted stays accepted when time passes or a
        clock is set back. Parts and the directory are not among the objects: hand them to
        `admit_part` and `set_directory` afterwards.

        Args:
            objects: Raw envelopes, a first root among them.
            now: For telling what has expired since.
            adopted: Id of the head that was adopted.
            mesh_id: Which mesh it has to be; by default that of the only first root there is.
            limits: Bounds of what is kept.

        Raises:
            ObjectError: If there is no first root, or there are several and no `mesh_id`.
            PeerError: If the first root is not signed by itself.
        """
        tables, refused = restoring.restore(
            objects, adopted=adopted, mesh_id=mesh_id, limits=limits or Limits()
        )
        trust = cls.__new__(cls)
        trust._tables = tables  # noqa: SLF001 -- its own, in another constructor
        alarms = admission.expired_root(tables.roots.newest, now)
        return Restored(trust, refused, alarms)

    # What it is about.

    @property
    def mesh_id(self) -> bytes:
        """Hash of the first root's payload."""
        return self._tables.roots.mesh_id

    @property
    def mesh_name(self) -> str:
        """What people call the mesh; it never changes."""
        return self.root.mesh_name

    @property
    def root(self) -> Root:
        """The newest root."""
        return self._tables.roots.newest

    @property
    def epoch(self) -> int:
        """Version of the newest root, and the epoch of the heads under it."""
        return self.root.version

    @property
    def pool4(self) -> IPv4Network:
        """Where the mesh's IPv4 addresses come from."""
        return self.root.pool4

    @property
    def floor(self) -> int:
        """The latest time a threshold of keys has signed: the true time is not before it."""
        return self._tables.floor

    @property
    def version(self) -> int:
        """Counts the changes: while it stays, only time changes any answer."""
        return self._tables.version

    # Admission.

    def admit(self, raw: bytes, now: Interval) -> Admitted:
        """Take in a root, head, ticket, device, sponsor or revoke, if it is acceptable.

        An object that is known is not verified again, whoever has signed this copy of it.

        Raises:
            PeerError: If it is not acceptable. State unchanged.
        """
        return admission.admit(self._tables, decode(raw), now)

    def verify_statement(self, raw: bytes, now: Interval) -> Statement:
        """Return a member, accusation or leave, signed by the device in force that says it.

        Nothing is kept of it: which statement of a device is the newest is for the caller.

        Raises:
            UnknownParentError: If the device is not known, or not enrolled yet.
            RevokedError: If it is revoked.
            ExpiredError: If its validity is over or has not begun.
            ConstraintError: If it is not in force for another reason.
            SignatureError: If somebody else has signed.
            PeerError: If it is none of the three. State unchanged.
        """
        envelope = decode(raw)
        match parse(envelope):
            case Accusation() as body:
                signer = body.accuser
            case Member() | Leave() as body:
                signer = body.device_id
            case _:
                raise ObjectError(f"a {envelope.type} is no device's statement")
        self._check_in_force(signer, now)
        signers(envelope, self.mesh_id, (signer,))
        return Statement(envelope, body, signer)

    def _check_in_force(self, device_id: bytes, now: Interval) -> None:
        in_force, reason = self.device_state(device_id, now)
        if in_force:
            return
        if not self._tables.enrolment.of(device_id):
            raise UnknownParentError("device", device_id)
        causes: Mapping[str, type[TrustError]] = {
            REVOKED: RevokedError,
            EXPIRED: ExpiredError,
            NOT_YET: ExpiredError,
        }
        cause = causes.get(reason, ConstraintError)
        raise cause(f"device {short_id(device_id)} is not in force: {reason}")

    # Heads and parts.

    @property
    def head(self) -> Head | None:
        """The head in force."""
        adopted = self._tables.heads.adopted
        return adopted.head if adopted else None

    @property
    def head_id(self) -> bytes | None:
        """Object id of the head in force."""
        adopted = self._tables.heads.adopted
        return adopted.id if adopted else None

    @property
    def candidate(self) -> Head | None:
        """The head that is to follow, once its parts are here and the node has installed it."""
        candidate = self._tables.heads.candidate
        return candidate.head if candidate else None

    @property
    def candidate_id(self) -> bytes | None:
        """Object id of the candidate."""
        candidate = self._tables.heads.candidate
        return candidate.id if candidate else None

    def missing(self) -> tuple[MissingPart, ...]:
        """Return the parts that the candidate lacks, and then those of the head in force."""
        return self._tables.heads.missing()

    def admit_part(self, data: bytes) -> bool:
        """Keep a part that was missing; say whether it was: False if no head names these bytes."""
        return self._tables.heads.admit_part(data)

    def part(self, digest: bytes) -> bytes | None:
        """Return the part with this hash, to use it or to serve it."""
        return self._tables.heads.part(digest)

    def ready(self) -> ReadyBundle | None:
        """Return the candidate with its parts, once all of them are here."""
        return self._tables.heads.ready()

    def adopt(self, head_id: bytes) -> None:
        """Put the candidate in force: the node has checked and installed it.

        Raises:
            LocalError: If it is not the candidate, or lacks parts. State unchanged.
        """
        self._tables.heads.adopt(head_id)
        self._tables.changed()

    def refuse(self, head_id: bytes, reason: str) -> None:
        """Never make this candidate one again; the head in force stays.

        Raises:
            LocalError: If it is not the candidate. State unchanged.
        """
        self._tables.heads.refuse(head_id, reason)
        self._tables.changed()

    def conflicts(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return pairs of raw heads of one order: the evidence that policy keys sign both ways."""
        return self._tables.heads.conflicts()

    def freshness(self, now: Interval) -> Freshness:
        """Say how old the head in force is by its own terms; "none" if there is none."""
        head = self.head
        if head is None:
            return "none"
        if now.may_have_reached(head.expires):
            return "expired"
        return "stale" if now.may_have_reached(head.stale_after) else "fresh"

    def root_has_expired(self, now: Interval) -> bool:
        """Say whether the newest root has expired: it still brings in its successor."""
        return now.may_have_reached(self.root.expires)

    # Devices.

    def set_directory(self, directory: Directory) -> tuple[Alarm, ...]:
        """Settle its devices, close its tickets, pin its names, in place of the one before."""
        return self._tables.set_directory(directory)

    def devices(self, now: Interval) -> Mapping[bytes, Device]:
        """Return every device in force by id; cheap while nothing has changed."""
        return self._tables.standing.devices(now)

    def device_state(self, device_id: bytes, now: Interval) -> tuple[bool, str]:
        """Return whether a device is in force, and why or why not."""
        return self._tables.standing.state(device_id, now)

    def device(self, device_id: bytes) -> Device | None:
        """Return the newest word about an enrolled device, in force or not."""
        nodes = self._tables.enrolment.of(device_id)
        return nodes[0].newest.device if nodes else None

    def is_pending(self, object_id: bytes) -> bool:
        """Say whether this is a device object that came with a ticket and nobody has let in."""
        return object_id in self._tables.register.pending

    def ticket(self, ticket_id: bytes) -> Ticket | None:
        """Return a ticket by its object id, whether it still enrols or not."""
        kept = self._tables.register.tickets.get(ticket_id)
        return kept.ticket if kept else None

    def may_sponsor(self, device: bytes, sponsor: bytes, now: Interval) -> tuple[bool, str]:
        """Return whether an honest member would let a device in now, and why or why not.

        Args:
            device: Object id of the device, which has been admitted.
            sponsor: Device id of the member.
            now: The member's clock.
        """
        return sponsoring.may_sponsor(self._tables, device, sponsor, now)

    def name_is_authoritative(self, device_id: bytes) -> bool:
        """Say whether the admins gave the device its name: then rules may rely on it."""
        nodes = self._tables.enrolment.of(device_id)
        return bool(nodes) and self._tables.standing.has_authoritative_name(nodes[0])

    def is_revoked(self, kind: RevokeKind | str, subject: bytes | str) -> bool:
        """Say whether something is revoked; a device or ticket that is not known may be, too."""
        return sponsoring.is_revoked(self._tables, RevokeKind(kind), subject)

    def revocation(self, kind: RevokeKind, subject: bytes | str) -> bytes | None:
        """Return a revocation of this subject as it was received, to prove it to others."""
        return self._tables.revocations.proof(kind, subject)

    def next_change(self, now: Interval) -> float | None:
        """Return the wall time, on the middle of `now`, of the next change that needs no object.

        Until then `devices` and `freshness` give the same answers. None if time changes nothing.
        """
        waits = [self._tables.standing.seconds_to_change(now)]
        if self.head is not None:
            ends = (self.head.stale_after, self.head.expires)
            waits += [end - now.hi for end in ends if not now.may_have_reached(end)]
        wait = earliest(waits)
        return None if wait is None else (now.lo + now.hi) / 2 + wait

    # Everything.

    def objects(self) -> Iterator[tuple[ObjectType, bytes, bytes]]:
        """Give (type, id, raw) of everything to keep and pass on, each after what it rests on."""
        return self._tables.objects()

    def raw(self, object_id: bytes) -> bytes | None:
        """Return any object that is known, a device without a sponsor too, as it was received."""
        return self._tables.raw(object_id)
