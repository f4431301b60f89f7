"""The node's clock: the one place that asks what time it is.

Wall time is never one number here but an interval that holds the true time. Three things shape it:

- the wall clock, give or take the skew that an honest clock may have;
- the boot-time clock, which nobody can set: when the wall clock jumps away from it, the interval
  widens to hold both readings, so a clock set back revives nothing that has expired, a clock set
  forward starts nothing early, and a clock that returns is forgiven at once;
- the floor: the latest issue time of anything that a threshold of admins signed. It is kept on
  disk, and true time is never before it.

The median of the peers' clocks is not part of it yet.
"""

import time
from collections.abc import Callable

from crypto.clock import Interval

# What a disciplined clock is off is less than the way a packet takes. A machine whose clock is not
# kept by NTP should set its doubt (clock_skew_seconds): grants then begin later and end earlier.
SKEW_SECONDS = 0.0
# More than NTP slews between two readings, less than any step worth an alarm.
STEP_SECONDS_MAX = 10.0


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Wall time as an interval, and monotonic time for timers.

    Args:
        floor: the kept floor, Unix seconds.
        skew_seconds: how far an honest wall clock may be off, either way.
        wall: reads the wall clock.
        boot: reads a clock that runs through suspend and that nobody can set.
    """

    def __init__(
        self,
        *,
        floor: float = 0.0,
        skew_seconds: float = SKEW_SECONDS,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float] = _boot_seconds,
    ) -> None:
        self.floor = floor
        self._skew = skew_seconds
        self._read_wall = wall
        self._read_boot = boot
        self._offset = wall() - boot()
        self.stepped = False

    def wall(self) -> float:
        """Return the wall clock's reading, right or wrong: for logs and for asking."""
        return self._read_wall()

    def monotonic(self) -> float:
        """Return seconds of the clock that timers run on."""
        return time.monotonic()

    def interval(self) -> Interval:
        """Return the interval that holds the true time.

        A reading that agrees with the boot-time clock becomes the new anchor, so that slewing
        never adds up to a step; one that does not widens the interval until it agrees again.
        """
        wall = self._read_wall()
        anchored = self._read_boot() + self._offset
        self.stepped = abs(wall - anchored) > STEP_SECONDS_MAX
        if not self.stepped:
            self._offset += wall - anchored
            anchored = wall
        lo = max(min(wall, anchored) - self._skew, self.floor)
        hi = max(wall, anchored, self.floor) + self._skew
        return Interval(lo, hi)

    @property
    def behind_floor(self) -> bool:
        """Whether the wall clock shows a time before something already signed."""
        return self._read_wall() + self._skew < self.floor

    def raise_floor(self, issued: float) -> bool:
        """Move the floor up to an issue time; return whether it moved."""
        if issued <= self.floor:
            return False
        self.floor = issued
        return True
