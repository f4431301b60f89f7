"""The member table: who says what about itself, and what this node concludes about it.

A member's *statement* (record or leave) is signed by the member, and only a higher epoch replaces
one. An *accusation* is signed by its accuser and speaks of exactly one epoch. States follow:

    change / state     unknown   alive     suspect   dead      left
    newer record       alive     alive     alive     alive     alive
    accused            unknown   suspect   suspect   dead      left
    condemned          unknown   dead      dead      dead      left
    newer leave        left      left      left      left      left

"Condemned" is no message: it is what `gossip.suspicion` concludes from enough accusations. So one
member can neither kill another (too few accusers), nor speak for it (no signature), nor bring it
back (no higher epoch). None of this grants or removes access.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from crypto.objects import Epoch, Member
from gossip import limits
from gossip.core import Core
from gossip.events import MemberChanged, MemberState

_S = MemberState


class Change(StrEnum):
    """What moves a member from one state to another."""

    RECORD = "newer record"
    ACCUSED = "accused"
    CONDEMNED = "condemned"
    LEFT = "newer leave"


TRANSITIONS: Final = MappingProxyType(
    {
        Change.RECORD: dict.fromkeys(_S, _S.ALIVE),
        Change.ACCUSED: dict(zip(_S, _S, strict=True)) | {_S.ALIVE: _S.SUSPECT},
        Change.CONDEMNED: dict(zip(_S, _S, strict=True))
        | {_S.ALIVE: _S.DEAD, _S.SUSPECT: _S.DEAD},
        Change.LEFT: dict.fromkeys(_S, _S.LEFT),
    }
)
"""The table above."""


@dataclass(frozen=True, slots=True)
class Held:
    """A signed object as it came, and its id."""

    id: bytes
    raw: bytes


@dataclass(slots=True)
class Entry:
    """One member as this node sees it.

    Attributes:
        device_id: Who.
        state: What we conclude.
        since: When that last changed.
        record: Its newest record, also after a leave.
        epoch: That of its newest statement.
        statement: The newest statement, to hand on.
        accusations: By accuser, all about `epoch`.
        suspect_since: When the first of them came.
    """

    device_id: bytes
    state: MemberState = MemberState.UNKNOWN
    since: float = 0.0
    record: Member | None = None
    epoch: Epoch | None = None
    statement: Held | None = None
    accusations: dict[bytes, Held] = field(default_factory=dict)
    suspect_since: float = 0.0


class Members:
    """Entries by device id, this node's own among them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._entries: dict[bytes, Entry] = {}
        self._by_id: dict[bytes, Entry] = {}
        self.suspects: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, device_id: bytes) -> Entry | None:
        """Return the entry of a device, or None."""
        return self._entries.get(device_id)

    def state(self, device_id: bytes) -> MemberState:
        """Return what we conclude about a device."""
        entry = self._entries.get(device_id)
        return MemberState.UNKNOWN if entry is None else entry.state

    def has_room(self, device_id: bytes) -> bool:
        """Say whether an entry exists or may be made."""
        return device_id in self._entries or len(self._entries) < limits.MEMBERS_MAX

    def live(self) -> list[Entry]:
        """Return the others that probes and news go to: in force, and alive or suspect."""
        wanted = (MemberState.ALIVE, MemberState.SUSPECT)
        me = self._core.me
        return [e for e in self._entries.values() if e.state in wanted and e.device_id != me]

    def others(self) -> int:
        """Return how many other members there are that have neither died nor left."""
        return len(self.live())

    def is_newer(self, device_id: bytes, epoch: Epoch, statement: bytes) -> bool:
        """Say whether a statement replaces what we have.

        Two statements of one epoch are its owner's fault; everybody keeps the lower id.
        """
        entry = self._entries.get(device_id)
        if entry is None or entry.epoch is None or entry.statement is None:
            return True
        if epoch == entry.epoch:
            return statement < entry.statement.id
        return epoch > entry.epoch

    def state_record(self, now: float, record: Member, held: Held) -> Held | None:
        """Apply a newer record; return the statement it replaces."""
        entry, replaced = self._replace(record.device_id, held)
        entry.record, entry.epoch = record, record.epoch
        self.change(now, entry, Change.RECORD)
        return replaced

    def state_leave(self, now: float, device_id: bytes, epoch: Epoch, held: Held) -> Held | None:
        """Apply a newer leave; return the statement it replaces."""
        entry, replaced = self._replace(device_id, held)
        entry.epoch = epoch
        self.change(now, entry, Change.LEFT)
        return replaced

    def accuse(self, now: float, entry: Entry, accuser: bytes, held: Held) -> None:
        """Apply an accusation about the entry's epoch."""
        if not entry.accusations:
            entry.suspect_since = now
        entry.accusations[accuser] = held
        self.change(now, entry, Change.ACCUSED)

    def change(self, now: float, entry: Entry, change: Change) -> None:
        """Move an entry by the table and tell the driver if it moved."""
        state = TRANSITIONS[change][entry.state]
        if state is entry.state:
            return
        entry.state, entry.since = state, now
        if state is MemberState.SUSPECT:
            self.suspects.add(entry.device_id)
        else:
            self.suspects.discard(entry.device_id)
        if entry.device_id != self._core.me:
            self._core.emit(MemberChanged(entry.device_id, state))

    def forget(self, device_id: bytes) -> Held | None:
        """Drop a device that is no longer in force; return its last statement."""
        self.suspects.discard(device_id)
        entry = self._entries.pop(device_id, None)
        if entry is None:
            return None
        if entry.statement is not None:
            self._by_id.pop(entry.statement.id, None)
        self._core.emit(MemberChanged(device_id, MemberState.UNKNOWN))
        return entry.statement

    def statements(self) -> set[bytes]:
        """Return the ids of every member's newest statement."""
        return set(self._by_id)

    def statement(self, identity: bytes) -> bytes | None:
        """Return a newest statement by its id."""
        entry = self._by_id.get(identity)
        return None if entry is None or entry.statement is None else entry.statement.raw

    def subject(self, identity: bytes) -> bytes | None:
        """Return whose newest statement has this id."""
        entry = self._by_id.get(identity)
        return None if entry is None else entry.device_id

    def observers(self, subject: bytes) -> list[bytes]:
        """Return whose accusations of `subject` count: the first by hash among the live.

        Those this node accuses itself do not count as live: they can observe nothing.
        """
        me = self._core.me
        able = [
            entry.device_id
            for entry in self._entries.values()
            if entry.device_id != subject
            and entry.state in {MemberState.ALIVE, MemberState.SUSPECT}
            and me not in entry.accusations
        ]
        able.sort(key=lambda device_id: sha256(subject + device_id).digest())
        return able[: self._core.config.observers]

    def check(self) -> None:
        """Raise AssertionError if an invariant is broken; for tests and simulations."""
        for entry in self._entries.values():
            if entry.accusations and entry.state is MemberState.ALIVE:
                raise AssertionError("an accused member counts as alive")
            if (entry.device_id in self.suspects) != (entry.state is MemberState.SUSPECT):
                raise AssertionError("the set of suspects is wrong")
            if entry.state is MemberState.UNKNOWN and entry.statement is not None:
                raise AssertionError("a member with a statement is unknown")

    def _replace(self, device_id: bytes, held: Held) -> tuple[Entry, Held | None]:
        """Put in a newer statement: what was said of older epochs is void."""
        entry = self._entries.setdefault(device_id, Entry(device_id))
        replaced, entry.statement = entry.statement, held
        if replaced is not None:
            self._by_id.pop(replaced.id, None)
        self._by_id[held.id] = entry
        entry.accusations.clear()
        return entry, replaced
