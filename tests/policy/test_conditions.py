"""Conditions: three values, and until when each of them holds."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto.clock import Interval
from policy.conditions import (
    ALWAYS,
    LoggedIn,
    NotAfter,
    NotBefore,
    Truth,
    Verdict,
    all_of,
    any_of,
    earliest,
    latest,
)
from policy.facts import NOTHING_KNOWN
from policy.model import Reason
from tests.policy.build import RANDOM, moments

NOON = 43_200
NOON_TEXT = "1970-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("now", "value", "until", "reason"),
    [
        (Interval(NOON - 2, NOON - 1), Truth.FALSE, NOON + 1, Reason.NOT_YET),
        (Interval(NOON - 1, NOON), Truth.UNKNOWN, NOON + 1, Reason.UNKNOWN),
        (Interval(NOON - 1, NOON + 4), Truth.UNKNOWN, NOON + 5, Reason.UNKNOWN),
        (Interval(NOON, NOON + 4), Truth.TRUE, None, Reason.ALLOWED),
    ],
)
def test_a_beginning_needs_the_whole_interval(
    now: Interval, value: Truth, until: float | None, reason: Reason
) -> None:
    """It is True once the early end has reached it; straddling it is Unknown."""
    verdict = NotBefore(NOON, "rule r").judge(NOTHING_KNOWN, now)
    assert (verdict.value, verdict.valid_until, verdict.reason) == (value, until, reason)


@pytest.mark.parametrize(
    ("now", "value", "until", "reason"),
    [
        (Interval(NOON - 3, NOON - 1), Truth.TRUE, NOON, Reason.ALLOWED),
        (Interval(NOON - 3, NOON), Truth.UNKNOWN, None, Reason.UNKNOWN),
        (Interval(NOON, NOON), Truth.FALSE, None, Reason.EXPIRED),
    ],
)
def test_an_end_has_come_when_the_late_end_says_so(
    now: Interval, value: Truth, until: float | None, reason: Reason
) -> None:
    """It is True only while the late end is before it, and never again after."""
    verdict = NotAfter(NOON, "rule r").judge(NOTHING_KNOWN, now)
    assert (verdict.value, verdict.valid_until, verdict.reason) == (value, until, reason)


def test_a_condition_says_itself_and_what_to_do() -> None:
    """A verdict that is not True has words for a person."""
    early = NotBefore(NOON, "rule r").judge(NOTHING_KNOWN, Interval.exact(0))
    assert early.condition == f"rule r begins at {NOON_TEXT}"
    assert early.remedy == f"wait until {NOON_TEXT}"
    late = NotAfter(NOON, "user ann").judge(NOTHING_KNOWN, Interval.exact(NOON))
    assert late.condition == f"user ann ends at {NOON_TEXT}"
    assert late.remedy == "ask an admin to extend it"
    unsure = NotAfter(NOON, "user ann").judge(NOTHING_KNOWN, Interval(NOON - 1, NOON))
    assert "set this device's clock" in unsure.remedy


def test_a_login_is_unknown_without_a_token() -> None:
    """Until something is known about a login, nothing is granted for it."""
    verdict = LoggedIn("ann", "okta:1", 3600).judge(NOTHING_KNOWN, Interval.exact(0))
    assert (verdict.value, verdict.reason) == (Truth.UNKNOWN, Reason.NO_TOKEN)
    assert verdict.condition == "user ann is logged in"
    assert "hedgerow login" in verdict.remedy


def make(value: str, until: float | None = None) -> Verdict:
    """Return a verdict whose condition is its own name."""
    truth = {"T": Truth.TRUE, "F": Truth.FALSE, "U": Truth.UNKNOWN}[value[0]]
    reason = {"T": Reason.ALLOWED, "F": Reason.EXPIRED, "U": Reason.UNKNOWN}[value[0]]
    return Verdict(truth, until, reason, value)


@pytest.mark.parametrize(
    ("parts", "value", "until", "named"),
    [
        ([], "T", None, ""),
        ([("T", 5), ("T", 3), ("T", None)], "T", 3, ""),
        ([("T", None)], "T", None, ""),
        ([("T", 1), ("U1", 7), ("U2", 4)], "U", 7, "U1"),
        ([("U1", 3), ("F1", 5), ("F2", 9)], "F", 9, "F1"),
        ([("U1", 3), ("F1", None)], "F", None, "F1"),
    ],
)
def test_all_must_be_true(
    parts: list[tuple[str, float | None]], value: str, until: float | None, named: str
) -> None:
    """The first end ends it; what fails stays so until the last of what fails."""
    joined = all_of([make(*each) for each in parts])
    assert (joined.value.name[0], joined.valid_until, joined.condition) == (value, until, named)


@pytest.mark.parametrize(
    ("parts", "value", "until", "named"),
    [
        ([("T", 5), ("T", 8), ("F", 1)], "T", 8, ""),
        ([("T", 5), ("T", None)], "T", None, ""),
        ([("F1", 4), ("U1", 9), ("U2", 2)], "U", 2, "U1"),
        ([("F1", 4), ("F2", None)], "F", 4, "F1"),
    ],
)
def test_any_may_be_true(
    parts: list[tuple[str, float | None]], value: str, until: float | None, named: str
) -> None:
    """The last end ends it; of what fails an Unknown is nearest, and the first may change it."""
    joined = any_of([make(*each) for each in parts])
    assert (joined.value.name[0], joined.valid_until, joined.condition) == (value, until, named)


def test_never_is_neither_early_nor_late() -> None:
    """None stands for never in both."""
    assert (earliest([None, 3, 2]), earliest([None]), earliest([])) == (2, None, None)
    assert (latest([1, 3]), latest([3, None]), latest([])) == (3, None, None)


@given(
    st.sampled_from([NotBefore(200, "x"), NotAfter(200, "x")]),
    moments(),
    st.floats(0, 400, allow_nan=False),
)
@RANDOM
def test_a_verdict_holds_up_to_its_time(
    condition: NotBefore | NotAfter, now: Interval, step: float
) -> None:
    """While the clock goes on, True stays True and not True stays not True until then."""
    verdict = condition.judge(NOTHING_KNOWN, now)
    later = Interval(now.lo + step, now.hi + step)
    after = condition.judge(NOTHING_KNOWN, later)
    changed = (after.value is Truth.TRUE) is not (verdict.value is Truth.TRUE)
    if changed:
        assert verdict.valid_until is not None
        assert later.hi >= verdict.valid_until - 1e-9


@given(st.floats(1e9, 2e9), st.floats(0, 100))
@RANDOM
def test_a_beginning_is_always_ahead(lo: float, width: float) -> None:
    """However floats round, the time to look again is later than now: a timer makes progress."""
    now = Interval(lo, lo + width)
    verdict = NotBefore(1_500_000_000, "x").judge(NOTHING_KNOWN, now)
    assume(verdict is not ALWAYS)
    assert verdict.valid_until is not None
    assert verdict.valid_until > now.hi
