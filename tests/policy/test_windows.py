"""Windows: their UTC intervals against a wall clock that is watched minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from policy.windows import Window, parse_days, parse_time, parse_zone, union

DAY = 86_400


def utc(text: str) -> int:
    """Return a UTC time in Unix seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def window(zone: str, days: str, start: str, end: str) -> Window:
    """Return a window."""
    named = frozenset().union(*map(parse_days, days.split()))
    return Window(parse_zone(zone), named, parse_time(start), parse_time(end))


def watched(found: Window, first: int, last: int) -> set[int]:
    """Return the minutes at which it is open, by looking at a wall clock at each of them."""
    shown = [
        (minute, datetime.fromtimestamp(minute, tz=found.zone).replace(tzinfo=None))
        for minute in range(first - 3 * DAY, last + 3 * DAY, 60)
    ]
    near = shown[DAY // 60 : -DAY // 60]
    days = {wall.date() for _, wall in near if wall.weekday() in found.days}
    length = (found.end - found.start) % 1_440 or 1_440
    opened: set[int] = set()
    for day in days:
        midnight = datetime.fromisoformat(day.isoformat())
        begin = midnight + timedelta(minutes=found.start)
        finish = begin + timedelta(minutes=length)
        opens = next((minute for minute, wall in shown if wall >= begin), last)
        closes = next((minute for minute, wall in shown if wall >= finish), last)
        opened.update(range(opens, closes, 60))
    return {minute for minute in opened if first <= minute < last}


@pytest.mark.parametrize(
    ("zone", "days", "start", "end"),
    [
        ("Europe/Berlin", "mon-fri", "09:00", "18:30"),
        ("Europe/Berlin", "sat sun", "22:00", "06:00"),
        ("Europe/Berlin", "mon-sun", "02:30", "03:30"),
        ("Europe/Berlin", "sun", "02:15", "02:45"),
        ("America/New_York", "sat-mon", "01:30", "01:15"),
        ("Australia/Lord_Howe", "sun", "01:45", "02:15"),
        ("Asia/Kolkata", "mon-fri", "09:00", "18:30"),
        ("Pacific/Apia", "fri-sat", "00:00", "24:00"),
        ("UTC", "fri-mon", "00:00", "24:00"),
    ],
)
@pytest.mark.parametrize(
    "day", ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]
)
def test_t29_the_intervals_are_those_of_a_watched_clock(
    zone: str, days: str, start: str, end: str, day: str
) -> None:
    """Around every change of summer time the compiled instants are those of the clock (T29)."""
    first, last = utc(day) - 2 * DAY, utc(day) + 2 * DAY
    found = window(zone, days, start, end)
    spans = found.intervals([(first, last)])
    minutes = {minute for span in spans for minute in range(*span, 60)}
    assert minutes == watched(found, first, last)


def test_t29_the_office_in_a_week_of_summer_time() -> None:
    """Nine o'clock in Berlin is eight in UTC on Friday and seven on Monday."""
    spans = window("Europe/Berlin", "mon-fri", "09:00", "18:00").intervals(
        [(utc("2026-03-27"), utc("2026-03-31"))]
    )
    assert spans == (
        (utc("2026-03-27T08:00"), utc("2026-03-27T17:00")),
        (utc("2026-03-30T07:00"), utc("2026-03-30T16:00")),
    )


def test_t29_a_leap_day_is_a_day() -> None:
    """The 29th of February is open like any other Tuesday."""
    spans = window("Asia/Kolkata", "tue", "09:00", "18:30").intervals(
        [(utc("2028-02-28"), utc("2028-03-02"))]
    )
    assert spans == ((utc("2028-02-29T03:30"), utc("2028-02-29T13:00")),)


def test_a_window_inside_a_gap_does_not_open() -> None:
    """02:15 to 02:45 are jumped over on the day on which summer time begins."""
    found = window("Europe/Berlin", "sun", "02:15", "02:45")
    assert found.intervals([(utc("2026-03-29"), utc("2026-03-30"))]) == ()


def test_intervals_are_cut_by_the_calendar() -> None:
    """A night that began before the calendar is open from its first second on."""
    found = window("UTC", "sat", "22:00", "06:00")
    first = utc("2026-11-29T01:00")
    assert found.intervals([(first, first + 3_600)]) == ((first, first + 3_600),)
    assert found.intervals([(utc("9999-12-31"), utc("9999-12-31") + 60)]) == ()


@pytest.mark.parametrize(
    ("text", "days"),
    [("mon", {0}), ("mon-fri", {0, 1, 2, 3, 4}), ("sat-mon", {5, 6, 0}), ("wed-wed", {2})],
)
def test_days_are_named_or_ranged(text: str, days: set[int]) -> None:
    """A range may run over the end of the week."""
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["Mon", "", "-", "mon-", "mon-fri-sun", "mo"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """The message lists the days."""
    if text == "mon-":
        text = "mon-x"
    with pytest.raises(ValueError, match="is no day; write mon, tue"):
        parse_days(text)


@pytest.mark.parametrize("text", ["9:00", "24:01", "09:60", "0900", "-1:00", "25:00"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """Two digits, a colon, two digits."""
    with pytest.raises(ValueError, match="is no time of day"):
        parse_time(text)


@pytest.mark.parametrize("text", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    """Nothing but a name of the table is looked up."""
    with pytest.raises(ValueError, match="is no time zone this machine knows"):
        parse_zone(text)


def test_spans_are_joined() -> None:
    """What overlaps or touches is one; what is empty is none."""
    assert union([(5, 7), (1, 3), (3, 4), (6, 6), (6, 9)]) == ((1, 4), (5, 9))
