"""What an import has to tell: what it left out, and what else its reader should know."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from policy.problems import printable


class NoEquivalentError(ValueError):
    """Something can not be said here; the message says why, and perhaps what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to tell.

    Attributes:
        line: In the file that was read, counted from 1.
        what: The construct, as it stands there.
        why: Why it is not imported, or what was done with it.
    """

    line: int
    what: str
    why: str

    def __str__(self) -> str:
        return printable(f"{self.line}: {self.what}: {self.why}")


class Findings:
    """Collects them, in any order.

    Attributes:
        left: What was not imported.
        notes: What was, but not as it stood there.
    """

    def __init__(self) -> None:
        self.left: list[Finding] = []
        self.notes: list[Finding] = []

    def leave(self, line: int, what: str, why: str) -> None:
        """Tell that something is not imported."""
        self.left.append(Finding(line, what, why))

    def note(self, line: int, what: str, why: str) -> None:
        """Tell something else."""
        self.notes.append(Finding(line, what, why))

    @contextmanager
    def leaving(self, line: int, what: str) -> Iterator[None]:
        """Leave out what stands here as soon as something in it has no equivalent."""
        try:
            yield
        except NoEquivalentError as error:
            self.leave(line, what, str(error))
