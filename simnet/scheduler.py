"""Virtual time: a heap of events, in an order that depends on nothing but the events.

Time is whole microseconds. Events of one instant run by source, and those of one source in the
order it made them, so that a run does not change when unrelated code schedules more or less.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import Final, TypeAlias

MICROSECONDS: Final = 1_000_000
Action: TypeAlias = Callable[[], None]


def to_microseconds(seconds: float) -> int:
    """Return seconds as whole microseconds, rounded up: nothing happens too early."""
    whole = round(seconds * MICROSECONDS)
    return whole if whole / MICROSECONDS >= seconds else whole + 1


class Scheduler:
    """Runs actions in the order of (time, source, counter)."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Action]] = []
        self._counters: defaultdict[int, int] = defaultdict(int)
        self.now_us = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.now_us / MICROSECONDS

    def at(self, time_us: int, source: int, action: Action) -> None:
        """Run `action` at `time_us`, or now if that has passed."""
        self._counters[source] += 1
        entry = (max(time_us, self.now_us), source, self._counters[source], action)
        heapq.heappush(self._heap, entry)

    def next_us(self) -> int | None:
        """Return the time of the next event, or None."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Run the next event; say whether there was one."""
        if not self._heap:
            return False
        self.now_us, _, _, action = heapq.heappop(self._heap)
        action()
        return True

    def run_until(self, time_us: int) -> None:
        """Run everything up to and including `time_us`, and end there."""
        while self._heap and self._heap[0][0] <= time_us:
            self.step()
        self.now_us = max(self.now_us, time_us)
