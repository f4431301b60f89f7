"""One daemon per state directory: an advisory lock that dies with its process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crypto.errors import LocalError


class AlreadyRunningError(LocalError):
    """Another process works on this state directory. State unchanged."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file for the length of the block, with our process number in it.

    Raises:
        AlreadyRunningError: another process holds it.
        LocalError: the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalError(
            f"the lock file {path} cannot be opened: {error.strerror}",
            remedy="run as root, or check who owns the folder",
        ) from error
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise AlreadyRunningError(
            f"another hedgerow process ({holder}) already works on {path.parent}",
            remedy="stop it first, or give this node a folder of its own with --state DIR",
        ) from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
