"""What trust hands out: verdicts, alarms, wanted parts; and the bounds of what it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crypto.errors import PeerError
from crypto.objects import Accusation, Head, Leave, Member
from crypto.signing import Envelope, ObjectType

if TYPE_CHECKING:
    from crypto.trust.state import Trust

SPONSOR_SKEW_SECONDS: Final = 120
"""How far a sponsor's clock may be ahead of ours; more is a disagreement about the time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is kept, so that no signer and no carrier can fill a node's memory.

    Attributes:
        rotations_max: Root versions after the first.
        tickets_max: Tickets.
        devices_max: Device objects that a registrar signed, a member sponsored or a directory
            settled.
        pending_devices_max: Device objects still without a sponsor; the oldest go first.
        spare_devices_per_ticket: Device objects kept of one ticket beyond its uses, and as many
            again without a sponsor; the last sponsored go first.
        sponsors_per_device_max: Sponsorships kept of one device object; the latest go first.
        revokes_per_signer_max: Subjects that one revoker can revoke. A new revoker key, named by
            the next root, starts from none.
        conflicts_max: Heads of equal order and different hash, in pairs; the oldest go first.
        refused_heads_max: Heads this node has refused and remembers; the oldest go first.
        bundle_bytes_max: All parts of one head together; two heads' parts are kept at most.
    """

    rotations_max: int = 1_024
    tickets_max: int = 16_384
    devices_max: int = 32_768
    pending_devices_max: int = 8_192
    spare_devices_per_ticket: int = 16
    sponsors_per_device_max: int = 8
    revokes_per_signer_max: int = 16_384
    conflicts_max: int = 16
    refused_heads_max: int = 16
    bundle_bytes_max: int = 32 * 1_024 * 1_024


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person has to know: `code` for programs, `text` for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of an object that was acceptable.

    Attributes:
        type: What it is.
        id: Its object id.
        fresh: Whether it changed what is known, so that it has to be kept and passed on.
        alarms: What it brought to light.
    """

    type: ObjectType
    id: bytes
    fresh: bool
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A device's word about itself or another, signed by a device that is in force.

    Attributes:
        envelope: As received.
        body: What it says.
        signer: Device id of who says so.
    """

    envelope: Envelope
    body: Member | Accusation | Leave
    signer: bytes

    @property
    def type(self) -> ObjectType:
        """What it is."""
        return self.envelope.type

    @property
    def id(self) -> bytes:
        """Its object id."""
        return self.envelope.id

    @property
    def raw(self) -> bytes:
        """Its envelope's bytes."""
        return self.envelope.raw


@dataclass(frozen=True, slots=True)
class MissingPart:
    """A part that a head names and nobody has brought yet."""

    name: str
    version: int
    hash: bytes
    length: int


@dataclass(frozen=True, slots=True)
class ReadyBundle:
    """The candidate head with all its parts: it can be checked, installed and adopted."""

    head_id: bytes
    head: Head
    parts: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Restored:
    """Trust rebuilt from what was kept, and what of it did not verify, with the reason."""

    trust: "Trust"
    refused: tuple[tuple[bytes, PeerError], ...]
    alarms: tuple[Alarm, ...] = ()
