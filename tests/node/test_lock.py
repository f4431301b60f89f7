"""One daemon per state directory."""

import os
from pathlib import Path

import pytest

from crypto.errors import LocalError
from node import lock


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """The error names the process and the remedy."""
    with (
        lock.held(tmp_path / "lock"),
        pytest.raises(lock.AlreadyRunningError) as caught,
        lock.held(tmp_path / "lock"),
    ):
        pytest.fail("held twice")
    assert f"({os.getpid()})" in str(caught.value)
    assert "--state" in caught.value.remedy


def test_the_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    """Nothing needs to be cleaned up by hand."""
    with lock.held(tmp_path / "lock"):
        pass
    with lock.held(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(LocalError, match="cannot be opened"), lock.held(tmp_path / "no" / "lock"):
        pytest.fail("held a lock in no folder")
