"""What the gossip core tells its driver: addresses, events, views and the sink they go to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from crypto.objects import Member
from crypto.signing import ObjectType

Address: TypeAlias = tuple[str, int]
"""IP address as text, never v4-mapped, and UDP port."""


class MemberState(StrEnum):
    """What this node concludes about a member; the table of changes is in `gossip.members`."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Seed:
    """A member to join through: where it listens and the keys it must prove."""

    address: Address
    device_id: bytes
    gossip_public: bytes


@dataclass(frozen=True, slots=True)
class MemberView:
    """One row of `Machine.members()`."""

    device_id: bytes
    state: MemberState
    since: float
    path: Address | None
    rtt_seconds: float | None
    record: Member | None


@dataclass(frozen=True, slots=True)
class ObjectAdmitted:
    """A fresh signed object; the sink persists it before this call returns."""

    type: ObjectType
    id: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class PartAdmitted:
    """A whole part whose hash a head names."""

    hash: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class BundleReady:
    """The candidate head and all its parts are here: adopt or refuse it."""

    head_id: bytes


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """This node changed its mind about a member's liveness. Never a matter of permission."""

    device_id: bytes
    state: MemberState


@dataclass(frozen=True, slots=True)
class PathChanged:
    """The direct path to a member is new, has moved, or is lost (None)."""

    device_id: bytes
    address: Address | None


@dataclass(frozen=True, slots=True)
class Observed:
    """A member in force sees us at this address."""

    address: Address


@dataclass(frozen=True, slots=True)
class JoinAccepted:
    """A member vouches for this device, and it is in force."""

    sponsor: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """Our set of objects equals a peer's."""


@dataclass(frozen=True, slots=True)
class PingResult:
    """The answer to `Machine.ping`; no round trip means no answer in time."""

    token: int
    device_id: bytes
    rtt_seconds: float | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should know."""

    code: str
    text: str


Event: TypeAlias = (
    ObjectAdmitted
    | PartAdmitted
    | BundleReady
    | MemberChanged
    | PathChanged
    | Observed
    | JoinAccepted
    | Synced
    | PingResult
    | Alarm
)


class Sink(Protocol):
    """Where effects go. Both methods return at once and never raise."""

    def send(self, address: Address, data: bytes) -> None:
        """Send one datagram."""

    def event(self, event: Event) -> None:
        """Take one event; an `ObjectAdmitted` is stored before this returns."""
