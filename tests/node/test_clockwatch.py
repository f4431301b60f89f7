"""The descriptor that tells of a clock that was set."""

import select
import time

import pytest

from node.clockwatch import ClockWatch


def test_nothing_happened() -> None:
    """A clock that runs is no news."""
    watch = ClockWatch()
    assert not watch.acknowledge()
    assert select.select([watch], [], [], 0)[0] == []
    watch.close()


def test_setting_the_clock_is_heard_at_once_and_once() -> None:
    """Setting it to what it shows is setting it."""
    watch = ClockWatch()
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    except PermissionError:
        pytest.skip("needs the right to set the clock")
    assert select.select([watch], [], [], 1)[0] == [watch]
    assert watch.acknowledge()
    assert select.select([watch], [], [], 0)[0] == []
    watch.close()
