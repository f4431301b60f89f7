"""Outreach: sessions with enough members, and a knock at the doors of the dead, for ever.

News spreads fast only among members that have a path to each other, so a node looks for a few
more than it needs, at random. A dead member is contacted with a back-off that ends at a minute
and never gives up: that is how the halves of a mesh find together again (foca announces itself to
the down; a Mimir that did not was out for eleven hours).
"""

from typing import Final

from gossip.core import Core
from gossip.events import MemberState

CONTACT: Final = "contact"
DEGREE: Final = "degree"
_DOUBLINGS_MAX: Final = 10


class Outreach:
    """Decides whom to approach unasked."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._contacts: dict[bytes, int] = {}

    def look(self, now: float) -> None:
        """Note that there may be fewer sessions than wished, or somebody new to have one with."""
        self._core.timers.set_earlier(DEGREE, now)

    def died(self, now: float, device_id: bytes) -> None:
        """Note that a member is taken for dead."""
        self._contacts[device_id] = 0
        wait = self._core.config.contact_backoff_seconds
        self._core.timers.set(CONTACT, now + wait, device_id)

    def forget(self, device_id: bytes) -> None:
        """Drop what concerns a device that is no longer in force."""
        self._contacts.pop(device_id, None)
        self._core.timers.cancel(CONTACT, device_id)

    def on_contact(self, now: float, device_id: bytes) -> None:
        """Knock at a dead member's door, and wait longer for the next time."""
        core = self._core
        if core.members.state(device_id) is not MemberState.DEAD:
            self.forget(device_id)
            return
        if core.paths.is_proven(device_id):
            core.suspicion.confront(now, device_id)
        else:
            core.admission.greet(now, device_id, core.paths.addresses(device_id))
        contacts = self._contacts.get(device_id, 0) + 1
        self._contacts[device_id] = contacts
        wait = core.config.contact_backoff_seconds * 2 ** min(contacts, _DOUBLINGS_MAX)
        wait = min(wait, core.config.contact_backoff_max_seconds)
        jitter = 0.75 + core.random.random() / 2
        core.timers.set(CONTACT, now + wait * jitter, device_id)

    def on_degree(self, now: float) -> None:
        """Find one more member to exchange news with, while there are fewer than wished.

        Anchors are wished for in any case.
        """
        core = self._core
        for anchor in core.anchors.mine():
            if core.paths.is_proven(anchor):
                core.paths.keep(now, anchor)
            elif core.paths.is_untried(anchor):
                core.paths.attempt(now, anchor)
        live = [entry.device_id for entry in core.members.live()]
        missing = core.config.degree(len(live)) - core.paths.count()
        fresh = [device_id for device_id in live if core.paths.is_untried(device_id)]
        if missing <= 0 or not fresh:
            return
        core.paths.attempt(now, core.random.choice(fresh))
        core.timers.set(DEGREE, now + core.config.degree_gap_seconds / missing)
