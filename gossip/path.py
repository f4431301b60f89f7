"""One path: what is known about the way to one member, and which addresses have been used."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from crypto.objects import Epoch
from gossip import limits
from gossip.events import Address

SOLICITED_SECONDS: Final = 300.0
"""How long a NAT may remember that we sent somewhere."""


@dataclass(slots=True)
class Path:
    """What is known about the way to one member.

    Attributes:
        address: Where it is, proven or only seen.
        proven: Whether it answered from there.
        last_proven: The last address that was proven, also when the path is lost.
        heard_at: When a datagram last came from `address`.
        round_trip: Smoothed round trip, seconds.
        proven_at: When it last answered what was sent there.
        unanswered: Keepalives without an answer.
        challenged_at: When another address was last asked for proof.
        challenges: How often the present address was asked for proof.
        step: Next step of the running attempt; None when none runs.
        started_at: When that attempt began.
        invited_at: When a sealed request of the member's last began one.
        spent: Quick datagrams to addresses not proven, in `spent_epoch`.
        spent_epoch: The record epoch that `spent` counts for.
    """

    address: Address | None = None
    proven: bool = False
    last_proven: Address | None = None
    heard_at: float = float("-inf")
    round_trip: float | None = None
    proven_at: float = float("-inf")
    unanswered: int = 0
    challenged_at: float = float("-inf")
    challenges: int = 0
    step: int | None = None
    started_at: float = float("-inf")
    invited_at: float = float("-inf")
    spent: dict[Address, int] = field(default_factory=dict)
    spent_epoch: Epoch | None = None

    def measured(self, sample: float) -> None:
        """Take a round trip into the smoothed one (RFC 6298 section 2, alpha = 1/8)."""
        if self.round_trip is None:
            self.round_trip = sample
        else:
            self.round_trip += (sample - self.round_trip) / 8


class Contacted:
    """The IP addresses we sent to of late: what comes from there is no surprise."""

    def __init__(self) -> None:
        self._sent_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent_at)

    def add(self, now: float, address: Address) -> None:
        """Note that we sent to an address."""
        self._sent_at[address[0]] = now
        self._sent_at.move_to_end(address[0])
        if len(self._sent_at) > limits.CONTACTED_MAX:
            self._sent_at.popitem(last=False)

    def is_unsolicited(self, now: float, source: Address) -> bool:
        """Say whether nothing of ours can have opened a NAT for a datagram from `source`."""
        return now - self._sent_at.get(source[0], float("-inf")) > SOLICITED_SECONDS

    def clear(self) -> None:
        """Forget all, after our own addresses changed."""
        self._sent_at.clear()
