"""Timers and buckets: what everything in the core is paced by."""

from hypothesis import given
from hypothesis import strategies as st

from gossip.buckets import Bucket, Buckets
from gossip.timers import Timers


def drained(timers: Timers, now: float) -> list[tuple[str, bytes]]:
    """Return everything due at `now`, in order."""
    found = []
    while (key := timers.pop(now)) is not None:
        found.append(key)
    return found


def test_fires_in_order_of_time_then_of_setting() -> None:
    """Deadlines fire by time, and those of one instant in the order they were set."""
    timers = Timers()
    timers.set("b", 2.0)
    timers.set("a", 1.0, b"x")
    timers.set("c", 2.0)
    assert timers.next() == 1.0
    assert drained(timers, 0.5) == []
    assert drained(timers, 2.0) == [("a", b"x"), ("b", b""), ("c", b"")]
    assert timers.next() is None
    assert len(timers) == 0


def test_a_deadline_set_again_fires_once_at_the_new_time() -> None:
    """An outdated heap entry never fires: the key's newest deadline is the only one."""
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 3.0)
    assert timers.at("a") == 3.0
    assert drained(timers, 2.0) == []
    assert drained(timers, 3.0) == [("a", b"")]
    assert timers.at("a") is None


def test_set_earlier_only_moves_forward() -> None:
    """`set_earlier` keeps the earlier of the two deadlines."""
    timers = Timers()
    timers.set_earlier("a", 5.0)
    timers.set_earlier("a", 7.0)
    assert timers.at("a") == 5.0
    timers.set_earlier("a", 2.0)
    assert timers.at("a") == 2.0


def test_cancelled_deadlines_do_not_fire() -> None:
    """A cancelled key is gone, and cancelling one that is not set does nothing."""
    timers = Timers()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("never")
    assert timers.next() is None
    assert drained(timers, 9.0) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()), max_size=40))
def test_behaves_like_a_dictionary_of_deadlines(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is set and cancelled, the earliest of the current deadlines is next."""
    timers = Timers()
    model: dict[str, float] = {}
    for key, at, cancel in steps:
        if cancel:
            timers.cancel(key)
            model.pop(key, None)
        else:
            timers.set(key, float(at))
            model[key] = float(at)
        assert timers.next() == (min(model.values()) if model else None)
        assert len(timers) == len(model)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """A bucket starts full, empties, and refills by its rate up to its burst."""
    bucket = Bucket(rate=2.0, burst=3.0, level=3.0, at=0.0)
    assert [bucket.take(0.0, 1.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(0.5, 1.0)
    assert not bucket.take(0.5, 1.0)
    assert [bucket.take(100.0, 1.0) for _ in range(4)] == [True, True, True, False]


def test_each_origin_has_its_own_bucket() -> None:
    """One origin's flood leaves another's tokens alone."""
    buckets = Buckets(rate=1.0, burst=1.0)
    assert buckets.take(0.0, b"a")
    assert not buckets.take(0.0, b"a")
    assert buckets.take(0.0, b"b")


def test_limit_origins() -> None:
    """There are never more buckets than the limit; the least recently used one goes."""
    buckets = Buckets(rate=1.0, burst=1.0, origins=2)
    buckets.take(0.0, b"a")
    buckets.take(0.0, b"b")
    buckets.take(0.0, b"a")
    buckets.take(0.0, b"c")
    assert len(buckets) == 2
    assert not buckets.take(0.0, b"a")
    assert buckets.take(0.0, b"b")
