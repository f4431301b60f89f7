"""The time interval: a doubt never opens anything."""

from __future__ import annotations

import math

import pytest

from crypto.clock import Interval
from crypto.errors import LocalError


@pytest.mark.parametrize(
    ("lo", "hi"), [(2.0, 1.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf), (-math.inf, 0.0)]
)
def test_an_interval_needs_two_finite_bounds_in_order(lo: float, hi: float) -> None:
    """Bounds out of order, infinite or not a number are refused, and the message shows them."""
    with pytest.raises(LocalError, match=r"finite lo <= hi, not .* \.\. "):
        Interval(lo, hi)


def test_exact_has_no_width() -> None:
    """An exact clock's interval begins where it ends."""
    assert Interval.exact(5.0) == Interval(5.0, 5.0)


def test_around_reaches_as_far_both_ways() -> None:
    """A clock that may be wrong by 2 s spans 4 s around what it shows."""
    assert Interval.around(10.0, 2.0) == Interval(8.0, 12.0)


@pytest.mark.parametrize(
    ("at", "surely", "maybe"), [(9.0, True, True), (11.0, False, True), (13.0, False, False)]
)
def test_reaching_asks_the_careful_side(at: float, surely: bool, maybe: bool) -> None:  # noqa: FBT001 - one table
    """`has_reached` needs the whole interval, `may_have_reached` only its later end."""
    now = Interval(10.0, 12.0)
    assert (now.has_reached(at), now.may_have_reached(at)) == (surely, maybe)


@pytest.mark.parametrize("bound", [10.0, 12.0])
def test_both_bounds_belong_to_the_interval(bound: float) -> None:
    """A moment equal to a bound counts: lo as come for sure, hi as perhaps come."""
    now = Interval(10.0, 12.0)
    assert now.may_have_reached(bound)
    assert now.has_reached(bound) == (bound == now.lo)


@pytest.mark.parametrize(
    ("not_before", "not_after", "covered"),
    [
        (10.0, None, True),
        (10.0, 12.5, True),
        (10.0, 12.0, False),
        (11.0, None, False),
        (11.0, 11.5, False),
    ],
)
def test_a_validity_has_to_cover_all_of_the_interval(
    not_before: float,
    not_after: float | None,
    covered: bool,  # noqa: FBT001 - one table
) -> None:
    """A validity that begins or ends inside the interval does not hold; its end is excluded."""
    assert Interval(10.0, 12.0).covers_validity(not_before, not_after) is covered
