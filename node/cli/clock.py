"""The present, for commands that judge by it."""

from crypto.clock import Interval


def now() -> Interval:
    """Return the present, as this machine knows it."""
    from node.clock import Clock

    return Clock().interval()


def at_or_now(instant: float | None) -> Interval:
    """Return the instant that was asked for, or the present."""
    return now() if instant is None else Interval.exact(instant)
