"""Kill a process at every line that an operation runs, one line a time.

The child is a fork of the test; it traces the product's own modules and ends itself with SIGKILL
when it comes to the line whose turn it is, as a power cut or the kernel would end it.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

POINTS_MAX = 2_000


class Tracer(Protocol):
    """What sys.settrace takes."""

    def __call__(self, frame: FrameType, event: str, argument: object, /) -> "Tracer | None":
        """See one event of a frame."""


def _child(operation: Callable[[], object], modules: frozenset[str], point: int) -> None:
    seen = 0

    def trace(frame: FrameType, event: str, argument: object) -> Tracer | None:
        nonlocal seen
        if frame.f_globals.get("__name__") not in modules:
            return None
        if event == "line":
            seen += 1
            if seen > point:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        operation()
        sys.settrace(None)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever went wrong, a child must not run the test on
        os._exit(3)


def crashes(operation: Callable[[], object], *modules: str) -> Iterator[int]:
    """Run `operation` in a child for each of its lines, killed at that line.

    Yields the number of lines that ran, after each death, and ends once the operation has run to
    its end unharmed. The test must put its state back before it asks for the next.
    """
    for point in range(POINTS_MAX):
        pid = os.fork()
        if pid == 0:
            _child(operation, frozenset(modules), point)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the operation failed in the child"
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        yield point
    raise AssertionError("the operation has more lines than the test tries")
