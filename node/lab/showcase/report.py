"""What the demo found: checks with what was expected and observed, and timings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried for real."""

    name: str
    expected: str
    observed: str

    @property
    def ok(self) -> bool:
        """Whether what was observed is what was expected."""
        return self.expected == self.observed


@dataclass
class Report:
    """The outcome, filled in as the demo goes.

    Args:
        say: shows one line of progress.
    """

    say: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def check(self, name: str, *, expected: str, observed: str) -> None:
        """Record one check; a failed one is shown at once."""
        made = Check(name, expected, observed)
        self.checks.append(made)
        if not made.ok:
            self.say(f"  FAILED {name}: expected {expected}, observed {observed}")

    def timing(self, name: str, seconds: float) -> None:
        """Record a duration in seconds."""
        self.timings[name] = round(seconds, 3)
        self.say(f"  {name.replace('_', ' ')}: {seconds:.3f} s")

    @property
    def ok(self) -> bool:
        """Whether there were checks and all of them hold."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `hedgerow demo --json` prints."""
        return {
            "ok": self.ok,
            "checks": [
                {
                    "name": check.name,
                    "expected": check.expected,
                    "observed": check.observed,
                    "ok": check.ok,
                }
                for check in self.checks
            ],
            "timings": dict(self.timings),
        }
