"""Conditions: each yields (True | False | Unknown, until when, why).

Time is an interval: the true time lies in [lo, hi]. A condition is True only if it is so over the
whole interval, and an end has come as soon as hi reaches it. Where the interval straddles a border
the answer is Unknown, which is never True.

`valid_until` is a reading of the clock's hi end. For a True verdict it is when the condition stops
being True; for any other it is the earliest reading at which it may become True. None is never.
Both suppose that the width of the interval stays; a step of the clock needs a new evaluation.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from crypto.clock import Interval
from policy.facts import DeviceFacts
from policy.records import Reason, time_text


class Truth(Enum):
    """Three values; only TRUE grants, and for a block UNKNOWN matches."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition says at one moment.

    Attributes:
        value: True, False or Unknown.
        valid_until: See the module.
        reason: Why it is not True, as the audit writes it.
        condition: The condition in words.
        remedy: What would make it True.
    """

    value: Truth
    valid_until: float | None
    reason: Reason
    condition: str = ""
    remedy: str = ""


ALWAYS: Final = Verdict(Truth.TRUE, None, Reason.ALLOWED)


class Condition(Protocol):
    """Something that must be True for a rule to grant."""

    @property
    def text(self) -> str:
        """The condition in words."""
        ...

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Say whether it is so now."""
        ...


@dataclass(frozen=True, slots=True)
class NotBefore:
    """True from an instant on."""

    instant: int
    what: str

    @property
    def text(self) -> str:
        """Say what begins when."""
        return f"{self.what} begins at {time_text(self.instant)}"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Compare the whole interval with the instant."""
        del facts
        if now.lo >= self.instant:
            return ALWAYS
        straddles = now.hi >= self.instant
        return Verdict(
            Truth.UNKNOWN if straddles else Truth.FALSE,
            reached(self.instant, now),
            Reason.UNKNOWN if straddles else Reason.NOT_YET,
            self.text,
            _CLOCK_REMEDY if straddles else f"wait until {time_text(self.instant)}",
        )


@dataclass(frozen=True, slots=True)
class NotAfter:
    """True before an instant."""

    instant: float
    what: str

    @property
    def text(self) -> str:
        """Say what ends when."""
        return f"{self.what} ends at {time_text(self.instant)}"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Compare the late end of the interval with the instant."""
        del facts
        if now.hi < self.instant:
            return Verdict(Truth.TRUE, self.instant, Reason.ALLOWED)
        straddles = now.lo < self.instant
        return Verdict(
            Truth.UNKNOWN if straddles else Truth.FALSE,
            None,
            Reason.UNKNOWN if straddles else Reason.EXPIRED,
            self.text,
            _CLOCK_REMEDY if straddles else "ask an admin to extend it",
        )


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """True while a user who has an identity at an issuer is logged in on the device.

    Attributes:
        user: Name of the user.
        identity: Whom the login must prove.
        session_seconds: Longest session; a refreshed token does not make it longer.
    """

    user: str
    identity: str
    session_seconds: int

    @property
    def text(self) -> str:
        """Say who has to be there."""
        return f"user {self.user} is logged in"

    def judge(self, facts: DeviceFacts, now: Interval) -> Verdict:
        """Look for a login of this user that has not run out."""
        login = facts.login
        if login is None or login.identity != self.identity:
            return Verdict(Truth.UNKNOWN, None, Reason.NO_TOKEN, self.text, LOGIN_REMEDY)
        end = min(login.exp, after(login.original_iat + self.session_seconds))
        return before(end, now, Reason.EXPIRED, self.text, LOGIN_REMEDY)


LOGIN_REMEDY: Final = "run `hedgerow login` on the source device"
_CLOCK_REMEDY: Final = "wait, or set this device's clock: it is not sure which side of it we are"


def after(instant: float) -> float:
    """Give the first reading later than an instant: something is true up to it and including."""
    return math.nextafter(instant, math.inf)


def before(end: float, now: Interval, reason: Reason, text: str, remedy: str) -> Verdict:
    """Judge something that is true before an instant and may be renewed after it."""
    if now.hi < end:
        return Verdict(Truth.TRUE, end, Reason.ALLOWED)
    value = Truth.UNKNOWN if now.lo < end else Truth.FALSE
    return Verdict(value, None, reason, text, remedy)


def reached(instant: float, now: Interval) -> float:
    """Give the reading of hi at which lo has reached an instant; always later than now."""
    return max(instant + (now.hi - now.lo), math.nextafter(now.hi, math.inf))


def earliest(instants: Iterable[float | None]) -> float | None:
    """Give the first of some instants, of which None is never."""
    return min((each for each in instants if each is not None), default=None)


def latest(instants: Iterable[float | None]) -> float | None:
    """Give the last of some instants, of which None is never."""
    found = [math.inf if each is None else each for each in instants]
    last = max(found, default=math.inf)
    return None if last == math.inf else last


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Join conditions that must all be True; of the others the first False gives the reason."""
    failing = [each for each in verdicts if each.value is not Truth.TRUE]
    if not failing:
        until = earliest(each.valid_until for each in verdicts)
        return ALWAYS if until is None else Verdict(Truth.TRUE, until, Reason.ALLOWED)
    first = next((each for each in failing if each.value is Truth.FALSE), failing[0])
    return Verdict(
        first.value,
        latest(each.valid_until for each in failing),
        first.reason,
        first.condition,
        first.remedy,
    )


def any_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Join conditions of which one is enough; of the failing ones an Unknown is the nearest.

    Raises:
        ValueError: There is none.
    """
    true = [each for each in verdicts if each.value is Truth.TRUE]
    if true:
        until = latest(each.valid_until for each in true)
        return ALWAYS if until is None else Verdict(Truth.TRUE, until, Reason.ALLOWED)
    nearest = min(verdicts, key=lambda each: each.value is not Truth.UNKNOWN)
    return Verdict(
        nearest.value,
        earliest(each.valid_until for each in verdicts),
        nearest.reason,
        nearest.condition,
        nearest.remedy,
    )
