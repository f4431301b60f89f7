"""The state file: what was written is there after a crash, whole or not at all."""

import contextlib
import stat
from pathlib import Path

import pytest

from crypto.agreement import x25519_public
from crypto.invite import Bootstrap
from crypto.signing import public_key
from gossip.config import Config
from node import state
from node.state import StateError, Store
from tests.node.crash import crashes


def member(number: int) -> Bootstrap:
    """A member to remember."""
    return Bootstrap(
        host="192.0.2.1",
        port=number + 1,
        device_id=public_key(bytes([number]) * 32),
        gossip_public=x25519_public(bytes([number + 1]) * 32),
    )


def test_objects_come_back_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """Parents stand before children, so that verification can follow the order."""
    store = Store(tmp_path / "state.db")
    store.add_objects([("root", b"r1", b"raw1"), ("ticket", b"t1", b"raw2")])
    store.add_objects([("root", b"r1", b"raw1"), ("device", b"d1", b"raw3")])
    store.close()
    assert Store(tmp_path / "state.db").objects() == (
        ("root", b"r1", b"raw1"),
        ("ticket", b"t1", b"raw2"),
        ("device", b"d1", b"raw3"),
    )


def test_objects_can_be_dropped(tmp_path: Path) -> None:
    """What was replaced is forgotten by its id."""
    store = Store(tmp_path / "state.db")
    store.add_objects([("head", b"h1", b"1"), ("head", b"h2", b"2")])
    store.drop_objects([b"h1"])
    assert [key for _, key, _ in store.objects()] == [b"h2"]


def test_parts_and_values(tmp_path: Path) -> None:
    """Parts are kept by hash until they are no longer named."""
    store = Store(tmp_path / "state.db")
    store.add_part(b"a", b"1")
    store.add_part(b"b", b"2")
    store.keep_parts([b"b", b"c"])
    assert store.parts() == {b"b": b"2"}
    store.put("mesh_id", b"m")
    store.put("mesh_id", b"n")
    assert store.get("mesh_id") == b"n"
    assert store.get("nothing") is None
    store.put_number("floor", -5)
    assert store.get_number("floor") == -5
    assert store.get_number("nothing", 7) == 7


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """The file has mode 0600."""
    Store(tmp_path / "state.db")
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_writes_are_flushed(tmp_path: Path) -> None:
    """The connection runs with WAL and synchronous=FULL (2)."""
    store = Store(tmp_path / "state.db")
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_members_are_bounded_and_the_latest_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond MEMBERS_MAX the longest unheard of are forgotten."""
    monkeypatch.setattr(state, "MEMBERS_MAX", 3)
    store = Store(tmp_path / "state.db")
    for number in range(5):
        store.remember_member(member(number), heard=float(number))
    store.remember_member(member(2), heard=9.0)
    assert [kept.port for kept in store.members()] == [3, 5, 4]


def test_a_start_is_numbered_above_the_last_even_if_the_clock_went_back(tmp_path: Path) -> None:
    """Records of an earlier life never win over ours."""
    store = Store(tmp_path / "state.db")
    assert store.next_boot(1_000) == 1_000
    assert store.next_boot(400) == 1_001
    store.close()
    assert Store(tmp_path / "state.db").next_boot(5_000) == 5_000


def test_a_start_with_a_clock_a_year_ahead_keeps_nobody_out(tmp_path: Path) -> None:
    """T26: once the clock is right again, so is the number of the start."""
    store = Store(tmp_path / "state.db")
    year = 365 * 86_400_000
    assert store.next_boot(1_000_000 + year) == 1_000_000 + year
    assert store.next_boot(2_000_000) == 2_000_000
    assert store.next_boot(1_999_000) == 2_000_001


def test_the_bound_of_a_plausible_start_is_the_cores() -> None:
    """Beyond it nobody would have believed the last start's records."""
    assert Config().record_ahead_seconds * 1_000 == state.BOOT_AHEAD_MILLISECONDS


def test_a_nested_transaction_is_part_of_the_outer_one(tmp_path: Path) -> None:
    """An error anywhere undoes everything in the block."""
    store = Store(tmp_path / "state.db")
    with contextlib.suppress(RuntimeError), store.transaction():
        store.put("a", b"1")
        store.add_part(b"x", b"y")
        raise RuntimeError
    assert store.get("a") is None
    assert store.parts() == {}


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file of a later version is not touched."""
    store = Store(tmp_path / "state.db")
    store._db.execute("PRAGMA user_version=9")
    store.close()
    with pytest.raises(StateError, match="format 9"):
        Store(tmp_path / "state.db")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """What is not a database is an error with a remedy, and stays as it is."""
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 30)
    before = path.read_bytes()
    with pytest.raises(StateError, match="cannot be opened") as caught:
        Store(path)
    assert "backup" in caught.value.remedy
    assert path.read_bytes() == before


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """A write that does not fit leaves what was there, and later writes work."""
    store = Store(tmp_path / "state.db")
    store.put("kept", b"1")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StateError, match="full"):
        store.put("big", bytes(1_000_000))
    assert store.get("kept") == b"1"
    assert store.get("big") is None
    store._db.execute("PRAGMA max_page_count=100000")
    store.put("big", bytes(1_000_000))
    assert store.get("big") == bytes(1_000_000)


def test_t25_a_crash_at_any_line_leaves_old_or_new(tmp_path: Path) -> None:
    """T25: kill -9 at every line of a write to several tables; all of it is there or none."""
    path = tmp_path / "state.db"
    first = Store(path)
    first.add_objects([("root", b"r1", b"raw")])
    first.close()

    def write() -> None:
        store = Store(path)
        with store.transaction():
            store.add_objects([("head", b"h1", b"raw")])
            store.add_part(b"p", b"data")
            store.put("adopted", b"h1")

    outcomes = set()
    for _ in crashes(write, "node.state"):
        store = Store(path)
        kept = (len(store.objects()), len(store.parts()), store.get("adopted"))
        outcomes.add(kept)
        with store.transaction():
            store.drop_objects([b"h1"])
            store.keep_parts([])
            store._db.execute("DELETE FROM meta")
        store.close()
    assert outcomes == {(1, 0, None), (2, 1, b"h1")}


def test_t25_a_crash_while_the_file_is_made_leaves_a_file_that_opens(tmp_path: Path) -> None:
    """T25: kill -9 at every line of the first start; the next start works."""
    path = tmp_path / "state.db"
    for _ in crashes(lambda: Store(path), "node.state"):
        store = Store(path)
        assert store.objects() == ()
        store.close()
        for file in tmp_path.iterdir():
            file.unlink()
