"""What is wrong with a document: all of it at once, each with file and line."""

from collections.abc import Iterable
from dataclasses import dataclass

from crypto.errors import LocalError
from policy.locate import Locator, Path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, or in a linter's eyes doubtful.

    Attributes:
        file: Name of the document.
        line: Counted from 1.
        message: What, where and what to do.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """Write it as compilers do, so that editors can jump there."""
        return f"{self.file}:{self.line}: {self.message}"


class DocumentError(LocalError):
    """A document can not be used. Nothing was made of it.

    Attributes:
        problems: All that is wrong, in the order of the document.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Take the problems, in any order."""
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Report:
    """Collects the problems of one document."""

    def __init__(self, file: str, locator: Locator) -> None:
        """Start without problems."""
        self.file = file
        self._locator = locator
        self._problems: list[Problem] = []

    def add(self, path: Path, message: str) -> None:
        """Note a problem with what stands at a path."""
        self._problems.append(Problem(self.file, self._locator.line(path), printable(message)))

    def line(self, path: Path) -> int:
        """Give the line of a path."""
        return self._locator.line(path)

    def check(self) -> None:
        """Raise DocumentError if there is any problem."""
        if self._problems:
            raise DocumentError(self._problems)


def printable(text: str) -> str:
    """Write out what a terminal would obey instead of show; a document may be a stranger's."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
