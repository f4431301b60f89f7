"""Token buckets: what one origin may cost over time, whatever it sends."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ORIGINS_MAX: Final = 16_384


@dataclass(slots=True)
class Bucket:
    """Holds up to `burst` tokens, refilled by `rate` a second; starts full."""

    rate: float
    burst: float
    level: float
    at: float

    def take(self, now: float, tokens: float) -> bool:
        """Take tokens if there are enough, and say so."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < tokens:
            return False
        self.level -= tokens
        return True


class Buckets:
    """One bucket for each origin; the least recently used one goes when there are too many."""

    def __init__(self, *, rate: float, burst: float, origins: int = ORIGINS_MAX) -> None:
        self._rate = rate
        self._burst = burst
        self._origins = origins
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, now: float, origin: bytes, tokens: float = 1.0) -> bool:
        """Take tokens of an origin if it has enough, and say so."""
        bucket = self._buckets.get(origin)
        if bucket is None:
            bucket = Bucket(self._rate, self._burst, self._burst, now)
            self._buckets[origin] = bucket
            if len(self._buckets) > self._origins:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(origin)
        return bucket.take(now, tokens)
