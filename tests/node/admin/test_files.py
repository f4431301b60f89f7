"""Files of the admin folder are whole or absent, and private where they must be."""

import os
import stat
from pathlib import Path

import pytest

from crypto.errors import LocalError
from node.admin import files


def names(folder: Path) -> list[str]:
    """Return everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    """A secret is 0600 and a public file 0644 whatever the umask says."""
    old = os.umask(0o000)
    try:
        files.write(tmp_path / "secret", b"s", mode=files.SECRET_MODE)
        os.umask(0o077)
        files.write(tmp_path / "public", b"p")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


def test_existing_file_is_refused_and_untouched(tmp_path: Path) -> None:
    """Writing to a name that exists fails, changes nothing and leaves nothing behind."""
    path = tmp_path / "file"
    files.write(path, b"old")
    with pytest.raises(LocalError, match="file exists") as caught:
        files.write(path, b"new")
    assert "nothing is ever overwritten" in caught.value.remedy
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_replacing_is_asked_for(tmp_path: Path) -> None:
    """With `replace` the new content takes the place of the old."""
    path = tmp_path / "file"
    files.write(path, b"old")
    files.write(path, b"new", replace=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the data cannot be flushed, neither the file nor its temporary name remains."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalError, match="no space left on device") as caught:
        files.write(tmp_path / "file", b"data")
    assert "free some space" in caught.value.remedy
    assert names(tmp_path) == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Reading a file that is not there names its path."""
    with pytest.raises(LocalError, match=r"cannot read .*nowhere: no such file or directory"):
        files.read(tmp_path / "nowhere")


def test_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than FILE_BYTES_MAX is refused."""
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 4)
    (tmp_path / "four").write_bytes(b"1234")
    (tmp_path / "five").write_bytes(b"12345")
    assert files.read(tmp_path / "four") == b"1234"
    with pytest.raises(LocalError, match="larger than any file of Hedgerow"):
        files.read(tmp_path / "five")


def test_second_command_on_a_folder_is_refused(tmp_path: Path) -> None:
    """While one command holds a folder another is turned away, and later it is free again."""
    with (
        files.locked(tmp_path),
        pytest.raises(LocalError, match="another hedgerow command"),
        files.locked(tmp_path),
    ):
        pytest.fail("the lock was given twice")
    with files.locked(tmp_path):
        pass
