"""What a policy changes: who gains and who loses access, seen before anyone signs.

Compared is what the matrix shows, conditions and all, and not the text: moving a rule changes
nothing, and a block shows as what it takes away.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto.clock import Interval
from crypto.objects import Directory
from policy.matrix import Cell, matrix
from policy.model import Policy
from policy.ports import describe


@dataclass(frozen=True, slots=True)
class Change:
    """Access of one row of the matrix to one column, before and after; empty is none.

    Attributes:
        source: Who.
        destination: What.
        before: Ports and conditions until now.
        after: Ports and conditions from then on.
    """

    source: str
    destination: str
    before: str
    after: str

    def __str__(self) -> str:
        pair = f"{self.source} to {self.destination}"
        if not self.before:
            return f"gains   {pair}: {self.after}"
        if not self.after:
            return f"loses   {pair}: {self.before}"
        return f"changes {pair}: {self.before} becomes {self.after}"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies that are compared, with the directory it came with."""

    policy: Policy
    directory: Directory


def changes(before: Side | None, after: Side, now: Interval) -> list[Change]:
    """Return every difference in access, in the order of the matrix's names."""
    old = {} if before is None else _access(before, now)
    new = _access(after, now)
    return [
        Change(*pair, before=old.get(pair, ""), after=new.get(pair, ""))
        for pair in sorted(old.keys() | new.keys())
        if old.get(pair, "") != new.get(pair, "")
    ]


def _access(side: Side, now: Interval) -> Mapping[tuple[str, str], str]:
    table = matrix(side.policy, side.directory, now)
    return {(str(row), str(column)): _text(cell) for (row, column), cell in table.cells.items()}


def _text(cell: Cell) -> str:
    if cell.block is not None:
        return ""
    grants = {
        describe(entry.ports)
        + (f" if {' and '.join(entry.conditions)}" if entry.conditions else "")
        for entry in cell.entries
    }
    return "; ".join(sorted(grants))
