"""Files that are either whole or absent: written aside, flushed, and moved into place."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crypto.errors import LocalError

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o700

# More than any file that an admin handles; a larger one is not ours, and is not read into memory.
FILE_BYTES_MAX = 64 * 2**20


@contextmanager
def explained(verb: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside into a LocalError that names the path and what to do about it."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LocalError(f"cannot {verb} {path}: {reason}", remedy=_remedy(error, path)) from error


def _remedy(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "check the path for a slip of the pen"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"check who owns {path.parent} and what it permits, or choose another place"
        case errno.EEXIST:
            return "nothing is ever overwritten here: choose another name, or move the old file"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space and run the same command again; nothing was changed"
        case errno.EISDIR:
            return "name a file, not a folder"
        case _:
            return "nothing was changed; put it right and run the same command again"


def read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        LocalError: There is no such file, it may not be read, or it is larger than any of ours.
    """
    with explained("read", path), path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise LocalError(
            f"{path} is larger than any file of Hedgerow", remedy="check that it is the right one"
        )
    return data


def write(path: Path, data: bytes, *, mode: int = PUBLIC_MODE, replace: bool = False) -> None:
    """Write a file so that a crash at any point leaves the old state or the new, never half.

    Raises:
        LocalError: It exists and may not be replaced, or the place cannot be written to.
    """
    with explained("write", path):
        aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            _write_aside(aside, data, mode)
            if replace:
                aside.replace(path)
            else:
                os.link(aside, path)  # unlike a rename, a link never lands on an existing name
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def _write_aside(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask took away
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable (rename(2) alone promises only that they are whole)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one command at a time; the lock dies with the process that holds it.

    Raises:
        LocalError: Another command holds it.
    """
    with explained("open", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(
                f"another hedgerow command is at work in {folder}",
                remedy="wait until it has finished, then run this one again",
            ) from error
        yield
    finally:
        os.close(descriptor)
