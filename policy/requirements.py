"""The conditions that look at facts: several factors, posture, window, place and path.

All of them are about the source of a flow, whichever end enforces. A fact that is missing, too old
or of a wrong type makes a condition Unknown.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crypto.clock import Interval
from policy.conditions import (
    ALWAYS,
    LOGIN_REMEDY,
    Truth,
    Verdict,
    after,
    before,
    reached,
)
from policy.facts import DeviceFacts, Via
from policy.issuers import Issuer
from policy.places import PlaceSet
from policy.posture import Posture
from policy.records import Reason
from policy.times import duration_text

AHEAD_SECONDS: Final = 60
"""How far in the future a fact of another clock may seem to lie (trust: `iat` rule 8)."""

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SeveralFactors:
    """True while the last proof by several factors is young enough.

    Attributes:
        max_age: In seconds; a proof of exactly this age is young enough.
        issuers: Say which methods count.
    """

    max_age: int
    issuers: Mapping[str, Issuer]

    @property
    def text(self) -> str:
        """Say how young."""
        return f"the last multi-factor login is at most {duration_text(self.max_age)} old"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Look at when and how the person logged in; a refreshed token changes neither."""
        login = facts.login
        if login is None:
            return Verdict(Truth.UNKNOWN, None, Reason.NO_TOKEN, self.text, LOGIN_REMEDY)
        issuer = self.issuers.get(login.issuer)
        proved = login.auth_time
        if issuer is None or proved is None or proved > login.iat:
            remedy = "ask an admin to have the issuer send auth_time"
            return Verdict(Truth.UNKNOWN, None, Reason.MFA_STALE, self.text, remedy)
        if not issuer.proves_several_factors(login.amr, login.acr):
            remedy = f"{LOGIN_REMEDY} with a second factor"
            return Verdict(Truth.FALSE, None, Reason.MFA_STALE, self.text, remedy)
        if proved > now.hi + AHEAD_SECONDS:
            return _ahead(proved, now, Reason.MFA_STALE, self.text)
        return before(after(proved + self.max_age), now, Reason.MFA_STALE, self.text, LOGIN_REMEDY)


@dataclass(frozen=True, slots=True)
class InPosture:
    """True while a young enough report of the device holds a posture."""

    name: str
    posture: Posture

    @property
    def text(self) -> str:
        """Name the posture."""
        return f"the device is {self.name}"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Check each fact; one that is wrong beats one that is missing."""
        report = facts.posture
        if report is None:
            remedy = "see `hedgerow doctor` on the source device: it has sent no posture report"
            return Verdict(Truth.UNKNOWN, None, Reason.POSTURE, self.text, remedy)
        if report.issued > now.hi + AHEAD_SECONDS:
            return _ahead(report.issued, now, Reason.POSTURE, self.text)
        end = after(report.issued + self.posture.max_age)
        if now.hi >= end:
            remedy = "wait for the device's next posture report"
            return Verdict(Truth.UNKNOWN, None, Reason.POSTURE, self.text, remedy)
        found = [(each, each.holds(report.facts)) for each in self.posture.checks]
        failing = [each for each in found if each[1] is not True]
        if not failing:
            return Verdict(Truth.TRUE, end, Reason.ALLOWED)
        check, value = min(failing, key=lambda each: each[1] is None)
        return Verdict(
            Truth.UNKNOWN if value is None else Truth.FALSE,
            None,
            Reason.POSTURE,
            f"{self.text}: {check}",
            f"on the source device, make it so that {check}",
        )


@dataclass(frozen=True, slots=True)
class InWindow:
    """True while one of some windows is open.

    Attributes:
        names: Of the windows.
        intervals: When one is open: first second and first second no longer, sorted, disjoint.
        calendar: The stretches of time for which that was worked out.
    """

    names: tuple[str, ...]
    intervals: Spans
    calendar: Spans

    @property
    def text(self) -> str:
        """Name the windows."""
        return f"it is {' or '.join(self.names)} time"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Compare the whole interval with the window that is open, or opens next."""
        del facts
        at = bisect_right(self.intervals, now.hi, key=lambda each: each[1])
        coming = self.intervals[at] if at < len(self.intervals) else None
        if coming is not None and coming[0] <= now.lo:
            return Verdict(Truth.TRUE, coming[1], Reason.ALLOWED)
        until = None if coming is None else reached(coming[0], now)
        touched = any(
            start <= now.hi and now.lo < end
            for start, end in self.intervals[max(at - 1, 0) : at + 1]
        )
        if not any(start <= now.lo and now.hi < end for start, end in self.calendar):
            remedy = "ask an admin to sign a new bundle: this one was made for another time"
            return Verdict(Truth.UNKNOWN, until, Reason.WINDOW, self.text, remedy)
        return Verdict(
            Truth.UNKNOWN if touched else Truth.FALSE,
            until,
            Reason.WINDOW,
            self.text,
            "wait until the window opens",
        )


@dataclass(frozen=True, slots=True)
class InPlace:
    """True while packets come straight from one of some places."""

    names: tuple[str, ...]
    places: tuple[PlaceSet, ...]

    @property
    def text(self) -> str:
        """Name the places."""
        return f"the source is at {' or '.join(self.names)}"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Look at the address; behind a relay nobody sees it."""
        del now
        if facts.path is not Via.DIRECT:
            remedy = "wait for a direct path: over a relay nobody sees where the source is"
            return Verdict(Truth.UNKNOWN, None, Reason.PLACE, self.text, remedy)
        if facts.place is None:
            remedy = "wait until the source's address is known"
            return Verdict(Truth.UNKNOWN, None, Reason.PLACE, self.text, remedy)
        found = [each.holds(facts.place) for each in self.places]
        if True in found:
            return ALWAYS
        value = Truth.UNKNOWN if None in found else Truth.FALSE
        remedy = "connect from one of these places"
        return Verdict(value, None, Reason.PLACE, self.text, remedy)


@dataclass(frozen=True, slots=True)
class OverPath:
    """True while packets come in the way asked for."""

    via: Via

    @property
    def text(self) -> str:
        """Say which way."""
        return "the path is direct" if self.via is Via.DIRECT else "the path leads over a relay"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Compare with the path in use."""
        del now
        if facts.path is self.via:
            return ALWAYS
        value = Truth.UNKNOWN if facts.path is Via.UNKNOWN else Truth.FALSE
        remedy = "see `hedgerow netcheck` for what keeps the path from being so"
        return Verdict(value, None, Reason.RELAY, self.text, remedy)


def _ahead(instant: int, now: Interval, reason: Reason, text: str) -> Verdict:
    """Judge a fact that comes from the future: one of the two clocks is wrong."""
    remedy = "set the clock of this device or of the source: they disagree"
    until = max(instant - AHEAD_SECONDS, after(now.hi))
    return Verdict(Truth.UNKNOWN, until, reason, text, remedy)
