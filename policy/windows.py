"""Windows of time, worked out as UTC intervals when the policy is compiled.

A window is the stretch from the first instant at which the wall clock has reached `from` on one of
its days to the first instant at which it has reached `to`. Nodes hold only the intervals, so all
of them agree through changes of summer time, and none needs a table of time zones.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DAY_MINUTES: Final = 24 * 60

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """A window as people write it.

    Attributes:
        zone: Where the wall clock hangs.
        days: On which a stretch begins, Monday is 0.
        start: Minutes after midnight.
        end: Minutes after midnight; not after `start`, it is on the day after.
    """

    zone: ZoneInfo
    days: frozenset[int]
    start: int
    end: int

    def intervals(self, calendar: Spans) -> tuple[tuple[int, int], ...]:
        """Work out when the window is open within some stretches of time."""
        found: list[tuple[int, int]] = []
        for first, last in calendar:
            day = _date(first) - timedelta(days=2)
            while day <= _date(last) + timedelta(days=1):
                if day.weekday() in self.days:
                    start, end = self._stretch(day)
                    found.append((max(start, first), min(end, last)))
                day += timedelta(days=1)
        return union(found)

    def _stretch(self, day: date) -> tuple[int, int]:
        """Give the stretch that begins on a day."""
        length = self.end - self.start
        if length <= 0:
            length += _DAY_MINUTES
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's reading
        start = midnight + timedelta(minutes=self.start)
        return (
            _first_instant(start, self.zone),
            _first_instant(start + timedelta(minutes=length), self.zone),
        )


def parse_zone(text: str) -> ZoneInfo:
    """Find a time zone.

    Raises:
        ValueError: This machine knows none of that name.
    """
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f'"{text}" is no time zone this machine knows; write "Asia/Kolkata"'
        ) from None


def parse_days(text: str) -> frozenset[int]:
    """Read a day or a range of days: `sun`, `mon-fri`.

    Raises:
        ValueError: It is none.
    """
    first, dash, last = text.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f'"{text}" is no day; write {", ".join(DAYS)}, or a range as mon-fri')
    at, end = DAYS.index(first), DAYS.index(last or first)
    days = {at}
    while at != end:
        at = (at + 1) % len(DAYS)
        days.add(at)
    return frozenset(days)


def parse_time(text: str) -> int:
    """Read a wall clock's reading, in minutes after midnight.

    Raises:
        ValueError: It is none.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no time of day; write "09:00", or "24:00" for the end')
    return _DAY_MINUTES if match[1] is None else int(match[1]) * 60 + int(match[2])


def union(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sort, join what overlaps or touches, and leave out what is empty."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(each for each in spans if each[0] < each[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return tuple(joined)


def _date(instant: int) -> date:
    """Give the UTC date of an instant, within the years that a calendar can add to."""
    return datetime.fromtimestamp(min(instant, _LATEST), tz=UTC).date()


_LATEST: Final = int(datetime(9999, 12, 1, tzinfo=UTC).timestamp())


def _first_instant(wall: datetime, zone: ZoneInfo) -> int:
    """Give the first second at which the wall clock has reached a reading.

    A reading that comes twice counts the first time (fold 0 of PEP 495); one that is jumped over
    is reached when the clock jumps.
    """
    early, late = sorted(int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if _wall(early, zone) == wall:
        return early
    while early < late:
        middle = (early + late) // 2
        if _wall(middle, zone) >= wall:
            late = middle
        else:
            early = middle + 1
    return late


def _wall(instant: int, zone: ZoneInfo) -> datetime:
    """Give what a wall clock shows."""
    return datetime.fromtimestamp(instant, tz=zone).replace(tzinfo=None, fold=0)
