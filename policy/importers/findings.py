"""What an import has to tell: what it left out, and what else its reader should know."""

from dataclasses import dataclass


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
        return f"{self.line}: {self.what}: {self.why}"


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
