"""The messages inside an authenticated datagram: frozen records, never changed once made."""

from dataclasses import dataclass
from typing import TypeAlias

from crypto.objects import Epoch
from gossip.events import Address

SHORT_ID_BYTES = 16
"""Ids are cut to this length where they only name what both sides can check in full."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? Carries what the asker holds, so a difference shows at no cost."""

    seq: int
    epoch: Epoch
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to a ping: also where the asker's datagram came from."""

    seq: int
    epoch: Epoch
    fingerprint: bytes
    observed: Address


@dataclass(frozen=True, slots=True)
class PingRequest:
    """Please ping `target` for me; I can wait `budget_ms`."""

    seq: int
    target: bytes
    budget_ms: int


@dataclass(frozen=True, slots=True)
class RelayedAck:
    """The target of a ping request answered."""

    seq: int


@dataclass(frozen=True, slots=True)
class Nack:
    """No answer yet at 80 % of the budget; `tried` is False without a path to the target."""

    seq: int
    tried: bool


@dataclass(frozen=True, slots=True)
class Punch:
    """A hello for `target`, carried by a member both can reach; sealed, so only it can read it."""

    target: bytes
    hello: bytes


@dataclass(frozen=True, slots=True)
class Push:
    """Signed objects."""

    raws: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A signed object too long for a datagram: pull it in chunks."""

    id: bytes
    length: int


@dataclass(frozen=True, slots=True)
class RangePrint:
    """What the sender holds below an id prefix (hexadecimal digits): a fingerprint and a count."""

    prefix: str
    fingerprint: bytes
    count: int


@dataclass(frozen=True, slots=True)
class RangeIds:
    """All short ids the sender holds below a prefix."""

    prefix: str
    ids: tuple[bytes, ...]


Range: TypeAlias = RangePrint | RangeIds


@dataclass(frozen=True, slots=True)
class Sync:
    """One step of reconciliation."""

    fingerprint: bytes
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Have:
    """Short ids of objects the receiver seems to lack."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Short ids of objects to send."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """Chunks of the object or part `id` to send, in this order."""

    id: bytes
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; `length` is that of the whole."""

    id: bytes
    index: int
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Absent:
    """I do not hold `id`."""

    id: bytes


Message: TypeAlias = (
    Ping
    | Ack
    | PingRequest
    | RelayedAck
    | Nack
    | Punch
    | Push
    | Offer
    | Sync
    | Have
    | Want
    | ChunkRequest
    | Chunk
    | Absent
)
