"""Virtual time: order, and nothing but order."""

from hypothesis import given
from hypothesis import strategies as st

from simnet.scheduler import Scheduler, to_microseconds


def test_events_run_by_time_then_source_then_order_of_making() -> None:
    """Ties are broken by source and then by the source's own counter, never by insertion."""
    scheduler = Scheduler()
    seen: list[str] = []
    for time, source, name in ((5, 2, "c"), (5, 1, "a"), (3, 9, "first"), (5, 1, "b")):
        scheduler.at(time, source, lambda name=name: seen.append(name))  # type: ignore[misc]
    assert len(scheduler) == 4
    assert scheduler.next_us() == 3
    scheduler.run_until(10)
    assert seen == ["first", "a", "b", "c"]
    assert scheduler.now_us == 10
    assert not scheduler.step()
    assert scheduler.next_us() is None


def test_time_never_goes_back() -> None:
    """What is scheduled for the past runs now."""
    scheduler = Scheduler()
    scheduler.run_until(100)
    seen: list[int] = []
    scheduler.at(5, 0, lambda: seen.append(scheduler.now_us))
    scheduler.run_until(50)
    assert seen == []
    scheduler.run_until(100)
    assert seen == [100]
    assert scheduler.now == 0.0001


@given(st.floats(0, 1e6))
def test_rounding_never_makes_anything_early(seconds: float) -> None:
    """A deadline in microseconds is never before the one in seconds, and at most one later."""
    time = to_microseconds(seconds)
    assert time / 1_000_000 >= seconds
    assert time - seconds * 1_000_000 <= 1.001
