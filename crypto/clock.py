"""Time as an interval: what a machine can honestly say about the present.

No clock is read here. The node keeps an interval that holds the true time and passes it in;
whoever decides asks the interval and so cannot forget which side to be careful on.
"""

import math
from dataclasses import dataclass

from crypto.errors import LocalError


@dataclass(frozen=True, slots=True)
class Interval:
    """Wall time in Unix seconds, known to lie between `lo` and `hi`, both included.

    Granting needs the whole interval, expiry its later end: a doubt never opens anything.

    Raises:
        LocalError: If a bound is not a finite number or `lo` lies after `hi`.
    """

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo <= self.hi):
            raise LocalError(f"a time interval needs finite lo <= hi, not {self.lo} .. {self.hi}")

    @classmethod
    def exact(cls, at: float) -> "Interval":
        """Return the interval of a clock without doubt, as tests and simulations have."""
        return cls(at, at)

    @classmethod
    def around(cls, at: float, uncertainty_seconds: float) -> "Interval":
        """Return the interval of a clock that shows `at` and may be wrong by that much."""
        return cls(at - uncertainty_seconds, at + uncertainty_seconds)

    def has_reached(self, at: float) -> bool:
        """Say whether `at` has surely come: nothing starts before."""
        return self.lo >= at

    def may_have_reached(self, at: float) -> bool:
        """Say whether `at` may have come: whatever ends then has to count as ended."""
        return self.hi >= at

    def covers_validity(self, not_before: float, not_after: float | None) -> bool:
        """Say whether all of the interval is inside a validity, the end excluded."""
        ended = not_after is not None and self.may_have_reached(not_after)
        return self.has_reached(not_before) and not ended
