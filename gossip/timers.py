"""Timers of a core: named deadlines in one heap.

A deadline set again replaces the one before; the old heap entry carries an outdated token and is
skipped when it surfaces (foca's timer tokens), so nothing from an earlier life ever fires.
"""

import heapq
from typing import TypeAlias

Key: TypeAlias = tuple[str, bytes]
"""What the timer is for, and whom or what it is about (or empty)."""


class Timers:
    """Deadlines by key. Ties fire in the order they were set."""

    __slots__ = ("_current", "_heap", "_token")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, tuple[float, int]] = {}
        self._token = 0

    def __len__(self) -> int:
        return len(self._current)

    def set(self, kind: str, at: float, subject: bytes = b"") -> None:
        """Fire (`kind`, `subject`) at `at`, and at no earlier setting of it."""
        self._token += 1
        key = (kind, subject)
        self._current[key] = (at, self._token)
        heapq.heappush(self._heap, (at, self._token, key))

    def set_earlier(self, kind: str, at: float, subject: bytes = b"") -> None:
        """Fire at `at` unless the key already fires before that."""
        current = self._current.get((kind, subject))
        if current is None or at < current[0]:
            self.set(kind, at, subject)

    def cancel(self, kind: str, subject: bytes = b"") -> None:
        """Forget the deadline of this key, if there is one."""
        self._current.pop((kind, subject), None)

    def at(self, kind: str, subject: bytes = b"") -> float | None:
        """Return when this key fires, or None."""
        current = self._current.get((kind, subject))
        return None if current is None else current[0]

    def next(self) -> float | None:
        """Return the earliest deadline, or None."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Key | None:
        """Take the earliest key that is due at `now`, or None."""
        self._drop_outdated()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._current[key]
        return key

    def _drop_outdated(self) -> None:
        while self._heap:
            _, token, key = self._heap[0]
            current = self._current.get(key)
            if current is not None and current[1] == token:
                return
            heapq.heappop(self._heap)
