"""This node's own record: where it is, which key it speaks with, and when it has to say so again.

The endpoints are the local ones the driver names and those that members in force have seen us
come from (a liar among them costs a slot, no more). A new record has a higher epoch, so it also
refutes every accusation about an older one. Epoch = (boot in ms, counter): a restart beats its
past at once, and a clock that went backwards is mended by starting from the newest record of
ourselves that anybody shows us.
"""

from typing import Final

from crypto.errors import ObjectError
from crypto.objects import Endpoint, Epoch, Leave, Member
from crypto.signing import ObjectType, seal
from gossip import limits
from gossip.broadcast import Urgency
from gossip.core import Core
from gossip.events import Address, Observed

RENEW: Final = "renew"
ROTATE: Final = "rotate"
EXPIRE: Final = "expire"


class OwnRecord:
    """What this node says about itself.

    Args:
        core: The shared middle.
        boot_ms: Wall clock at start, milliseconds.
    """

    def __init__(self, core: Core, boot_ms: int) -> None:
        self._core = core
        self._boot_ms = boot_ms
        self._counter = -1
        self._local: tuple[Address, ...] = ()
        self._observed: dict[Address, dict[bytes, float]] = {}
        self._issued_at = float("-inf")
        self._left = False
        self.reachable: bool | None = None
        self.booted_ms = boot_ms

    @property
    def epoch(self) -> Epoch:
        """Epoch of the newest record."""
        return Epoch(self._boot_ms, max(0, self._counter))

    @property
    def raw(self) -> bytes | None:
        """The newest record, signed; None before the first."""
        entry = self._core.members.get(self._core.me)
        return None if entry is None or entry.statement is None else entry.statement.raw

    def is_own(self, address: Address) -> bool:
        """Say whether an address is one of this node's local ones."""
        return address in self._local

    def set_local(self, now: float, addresses: tuple[Address, ...]) -> bool:
        """Take the driver's local endpoints; say whether they changed."""
        usable = tuple(dict.fromkeys(a for a in addresses if _is_endpoint(a)))
        if usable == self._local:
            return False
        self._local = usable
        self._observed.clear()
        self.reachable = None
        self.renew(now)
        return True

    def observed(self, now: float, observer: bytes, address: Address) -> None:
        """Note where a member sees us; tell the driver and the others if it is news."""
        if not _is_endpoint(address):
            return
        before = self._endpoints(now)
        if address not in self._observed and len(self._observed) >= limits.OBSERVATIONS_MAX:
            oldest = min(self._observed, key=lambda a: max(self._observed[a].values()))
            del self._observed[oldest]
        observers = self._observed.setdefault(address, {})
        fresh = not observers
        observers[observer] = now
        if fresh:
            self._core.emit(Observed(address))
        if self._endpoints(now) != before:
            self.renew_soon(now)

    def dialled(self, now: float) -> None:
        """Note that a member reached us unasked: others can, too."""
        if self.reachable is not True:
            self.reachable = True
            self.renew_soon(now)

    def renew_soon(self, now: float) -> None:
        """Issue a new record, at most one each `refute_gap_seconds`."""
        due = self._issued_at + self._core.config.refute_gap_seconds
        if now >= due:
            self.renew(now)
        else:
            self._core.timers.set_earlier(RENEW, due)

    def renew(self, now: float, urgency: Urgency = Urgency.RECORD) -> None:
        """Issue a new record and spread it."""
        if self._left:
            return
        self._counter += 1
        self._issued_at = now
        self._core.timers.cancel(RENEW)
        record = Member(
            device_id=self._core.me,
            epoch=self.epoch,
            endpoints=self._endpoints(now),
            gossip_key=self._core.sessions.public,
            reachable=self.reachable,
            issued=self._core.wall_seconds(now),
        )
        self._publish(now, ObjectType.MEMBER, record.to_payload(), urgency)

    def refute(self, now: float) -> None:
        """Answer an accusation, at most once each `refute_gap_seconds`."""
        due = self._issued_at + self._core.config.refute_gap_seconds
        if now >= due:
            self._core.count("refutations")
            self.renew(now, Urgency.REFUTATION)
        else:
            self._core.timers.set_earlier(RENEW, due)

    def leave(self, now: float) -> None:
        """Say good-bye: this life of the node issues no record any more."""
        if self._left:
            return
        self._left = True
        self._counter += 1
        leave = Leave(self._core.me, self.epoch, self._core.wall_seconds(now))
        self._publish(now, ObjectType.LEAVE, leave.to_payload(), Urgency.REFUTATION)

    def outdated(self, now: float, epoch: Epoch) -> None:
        """Somebody holds a statement of ours with this epoch, above our own: go beyond it."""
        self._boot_ms, self._counter = epoch.boot_ms, epoch.counter
        self._core.count("own_epoch_raised")
        self.renew(now, Urgency.REFUTATION)

    def on_renew(self, now: float) -> None:
        """Issue the record that had to wait."""
        self.renew(now, Urgency.REFUTATION)

    def on_rotate(self, now: float) -> None:
        """Change the session key, and say so."""
        self._core.sessions.rotate(now)
        self._core.timers.set(ROTATE, now + self._core.config.rotate_seconds)
        self._core.timers.set(EXPIRE, now + self._core.config.rotate_overlap_seconds)
        self.renew(now)

    def _publish(self, now: float, kind: ObjectType, payload: bytes, urgency: Urgency) -> None:
        raw = seal(kind, self._core.own.mesh_id, payload, [self._core.keys.sign_seed])
        self._core.statements.publish(now, raw, urgency)

    def _endpoints(self, now: float) -> tuple[Endpoint, ...]:
        """Return our endpoints: local ones, then those seen by most members of late."""
        since = now - self._core.config.observed_seconds
        votes = {
            address: sum(at >= since for at in observers.values())
            for address, observers in self._observed.items()
            if address not in self._local
        }
        ranked = sorted((a for a in votes if votes[a]), key=lambda a: (-votes[a], a))
        reflexive = ranked[: limits.REFLEXIVE_ENDPOINTS_MAX]
        local = self._local[: limits.ENDPOINTS_MAX - len(reflexive)]
        return tuple(Endpoint(*address) for address in (*local, *reflexive))


def _is_endpoint(address: Address) -> bool:
    try:
        Endpoint(*address)
    except ObjectError:
        return False
    return True
