"""Wall time as an interval: the clock may be wrong, the interval may not."""

from node.clock import STEP_SECONDS_MAX, Clock

DAY = 86_400.0
NOW = 1_800_000_000.0


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.wall_seconds = NOW
        self.boot_seconds = 50.0

    def clock(self, *, floor: float = 0.0) -> Clock:
        """Start a clock on this machine."""
        return Clock(
            floor=floor,
            skew_seconds=1.0,
            wall=lambda: self.wall_seconds,
            boot=lambda: self.boot_seconds,
        )

    def run(self, seconds: float) -> None:
        """Let true time pass."""
        self.wall_seconds += seconds
        self.boot_seconds += seconds


def test_interval_is_the_wall_clock_give_or_take_its_skew() -> None:
    """An honest clock gives an interval of twice the skew around its reading."""
    machine = Machine()
    clock = machine.clock()
    machine.run(5)
    assert (clock.interval().lo, clock.interval().hi) == (NOW + 4, NOW + 6)
    assert not clock.stepped


def test_a_clock_set_back_by_a_day_revives_nothing() -> None:
    """After a step back the later end stays where true time is, so what expired stays expired."""
    machine = Machine()
    clock = machine.clock()
    machine.run(5)
    clock.interval()
    machine.wall_seconds -= DAY
    interval = clock.interval()
    assert interval.hi == NOW + 6
    assert interval.lo == NOW + 5 - DAY - 1
    assert clock.stepped


def test_a_clock_set_forward_starts_nothing_and_is_forgiven_when_it_returns() -> None:
    """A year forward widens the interval; once the clock is back, nothing remembers it."""
    machine = Machine()
    clock = machine.clock()
    machine.wall_seconds += 365 * DAY
    assert clock.interval().lo == NOW - 1
    assert clock.interval().hi == NOW + 365 * DAY + 1
    machine.wall_seconds -= 365 * DAY
    assert (clock.interval().lo, clock.interval().hi) == (NOW - 1, NOW + 1)
    assert not clock.stepped


def test_suspend_is_no_step() -> None:
    """The boot-time clock runs through suspend, so eight hours asleep are plain time."""
    machine = Machine()
    clock = machine.clock()
    machine.run(8 * 3600)
    assert not clock.stepped
    assert clock.interval().lo == NOW + 8 * 3600 - 1


def test_slewing_never_adds_up_to_a_step() -> None:
    """A correction in small portions is followed, however far it leads."""
    machine = Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.run(60)
        machine.wall_seconds += STEP_SECONDS_MAX / 2
        clock.interval()
        assert not clock.stepped
    assert clock.interval().lo == NOW + 100 * (60 + STEP_SECONDS_MAX / 2) - 1


def test_true_time_is_never_before_the_floor() -> None:
    """A machine that wakes in 1970 knows from signed objects that it is later than that."""
    machine = Machine()
    machine.wall_seconds = 0.0
    clock = machine.clock(floor=NOW)
    assert clock.interval().lo == NOW
    assert clock.interval().hi == NOW + 1
    assert clock.behind_floor


def test_the_floor_only_rises() -> None:
    """An older issue time leaves the floor where it is."""
    clock = Machine().clock(floor=NOW)
    assert not clock.raise_floor(NOW - 1)
    assert clock.floor == NOW
    assert clock.raise_floor(NOW + 1)
    assert clock.floor == NOW + 1


def test_the_real_clocks_agree() -> None:
    """With the machine's own clocks the interval holds the wall clock's reading."""
    clock = Clock()
    interval = clock.interval()
    assert interval.lo <= clock.wall() <= interval.hi + 1
    assert clock.monotonic() > 0
