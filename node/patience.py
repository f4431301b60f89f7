"""Verified state that keeps a head which comes too early until its time has come.

Admins' clocks and ours are never quite the same, so a head may be issued a moment ahead of our
time. It is refused then, rightly, and gossip asks for it again only after a while: with revoked
rights in it that while matters. So it is remembered here, and offered again at that very second.
"""

from collections.abc import Callable
from typing import Any, Self

from crypto.clock import Interval
from crypto.errors import ExpiredError
from crypto.objects import Head, parse
from crypto.signing import decode
from crypto.trust import Admitted, Trust

# As much as clocks of honest machines differ. Of what is further ahead, gossip asks again.
AHEAD_SECONDS_MAX = 120.0
# They are signed by the policy keys, so there are as many as admins make in two minutes.
EARLY_MAX = 8


def _nobody() -> None:
    """Tell nobody."""


class PatientTrust(Trust):
    """The verified state of one node.

    Attributes:
        noticed: called when a head has come that is to be offered again.
    """

    noticed: Callable[[], None]
    _early: dict[bytes, int]

    def __new__(cls, *_arguments: Any, **_options: Any) -> Self:  # noqa: ANN401 - as Trust takes
        """Begin with nothing to wait for; `restore` calls no `__init__`."""
        made = super().__new__(cls)
        made.noticed = _nobody
        made._early = {}
        return made

    def admit(self, raw: bytes, now: Interval) -> Admitted:
        """Take in an object; remember a head that is good but for its time. Raises as `Trust`."""
        try:
            return super().admit(raw, now)
        except ExpiredError:
            # Signatures and order are looked at before the time: whoever gets here is an admin.
            self._remember(raw, now)
            raise

    def early_in(self, now: Interval) -> float | None:
        """Return the seconds until a head is to be offered again, or None if none waits."""
        return min(self._early.values()) - now.hi if self._early else None

    def take_early(self, now: Interval) -> tuple[bytes, ...]:
        """Return the heads whose time has come, and forget them."""
        due = tuple(raw for raw, issued in self._early.items() if issued <= now.hi)
        for raw in due:
            del self._early[raw]
        return due

    def _remember(self, raw: bytes, now: Interval) -> None:
        body = parse(decode(raw))
        if not isinstance(body, Head) or not 0 < body.issued - now.hi <= AHEAD_SECONDS_MAX:
            return
        if len(self._early) < EARLY_MAX and raw not in self._early:
            self._early[raw] = body.issued
            self.noticed()
