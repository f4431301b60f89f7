"""Who can reach what, and under which conditions: the whole policy as one table.

Rows are users, groups, tags, devices and sites, columns what rules grant access to. A row is the
name in general (policy.ends), so a group's row shows what membership gives. Cells that hold
nothing are left out. The table is data; how it looks is the terminal's or the page's business.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crypto.clock import Interval
from crypto.codec import Value
from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import Truth
from policy.decide import Evaluator, Moment
from policy.ends import Ends
from policy.facts import Supposed
from policy.model import Policy, PortRange, Reason, Rule, Selector, SelectorKind, time_text
from policy.ports import describe


class Term(Protocol):
    """Something on which a grant depends, in words."""

    @property
    def text(self) -> str:
        """The words."""
        ...


@dataclass(frozen=True, slots=True)
class ByClaim:
    """A token must list its user in a group, because the directory does not.

    Attributes:
        user: Name of the user.
        claims: As `[groups]` writes them, sorted; one of them is enough.
    """

    user: str
    claims: tuple[str, ...]

    @property
    def text(self) -> str:
        """Say what the token must list."""
        return f"the token of {self.user} lists {' or '.join(self.claims)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one rule gives one row in one column.

    Attributes:
        rule: Its id.
        ports: What it opens.
        allow: It does so now.
        reason: Why not, if not.
        terms: On what it depends, whether that holds now or not.
        until: When it ends or may begin, as in `Verdict.valid_until`.
        survives: It stays when an expired bundle is restricted.
    """

    rule: str
    ports: tuple[PortRange, ...]
    allow: bool
    reason: Reason
    terms: tuple[Term, ...]
    until: float | None
    survives: bool = False

    @property
    def conditions(self) -> tuple[str, ...]:
        """On what it depends, in words."""
        return tuple(term.text for term in self.terms)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row may do in a column.

    Attributes:
        entries: One for each rule that joins the two.
        block: The block that cuts either off, whatever the rules say.
        lifted_by_login: It does so only until a token says that nobody blocked sits there.
    """

    entries: tuple[Entry, ...]
    block: str | None = None
    lifted_by_login: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows, columns, and the cells that hold something."""

    rows: tuple[Selector, ...]
    columns: tuple[Selector, ...]
    cells: Mapping[tuple[Selector, Selector], Cell]

    def as_json(self) -> Mapping[str, Value]:
        """Give it as lists, texts and numbers, with stable keys."""
        return {
            "rows": [str(row) for row in self.rows],
            "columns": [str(column) for column in self.columns],
            "cells": [
                {
                    "from": str(row),
                    "to": str(column),
                    "block": cell.block,
                    "entries": [_entry_json(entry) for entry in cell.entries],
                }
                for (row, column), cell in self.cells.items()
            ],
        }


def matrix(
    policy: Policy,
    directory: Directory,
    now: Interval,
    *,
    rows: Iterable[Selector] | None = None,
    columns: Iterable[Selector] | None = None,
) -> Matrix:
    """Make the table of a policy at one moment.

    Args:
        rows: Who to ask about, instead of everybody; each must be there.
        columns: What to ask about, instead of all that rules name; each must be there.
    """
    sources = default_rows(policy, directory) if rows is None else tuple(rows)
    targets = default_columns(policy) if columns is None else tuple(columns)
    builder = _Builder(policy, directory, Moment(now), targets)
    return Matrix(sources, targets, dict(builder.cells(sources)))


class _Builder:
    """Fills the table; only pairs that some rule joins are looked at."""

    def __init__(
        self,
        policy: Policy,
        directory: Directory,
        moment: Moment,
        columns: Sequence[Selector],
    ) -> None:
        self._directory = directory
        self._evaluator = Evaluator(policy, directory)
        self._ends = Ends(self._evaluator, directory)
        self._moment = moment
        self._parties = {each: self._ends.general(each, moment) for each in columns}
        self._reached: dict[Selector, list[Selector]] = defaultdict(list)
        for column, party in self._parties.items():
            for selector in party.claims:
                self._reached[selector].append(column)

    def cells(self, rows: Iterable[Selector]) -> Iterator[tuple[tuple[Selector, Selector], Cell]]:
        """Give all cells that hold something, row by row."""
        for row in rows:
            source = self._ends.general(row, self._moment)
            entries: dict[Selector, list[Entry]] = defaultdict(list)
            for rule in self._evaluator.from_source(source):
                for column in {each for to in rule.destinations for each in self._reached[to]}:
                    entries[column].append(self._entry(rule, row, source, column))
            for column in sorted(entries):
                yield (row, column), self._cell(row, source, column, entries[column])

    def _cell(
        self, row: Selector, source: Party, column: Selector, entries: Sequence[Entry]
    ) -> Cell:
        """Give a cell with the block that stands over it."""
        found = self._evaluator.blocked(source, self._parties[column])
        if found is None:
            return Cell(tuple(entries))
        logged_in = [self._ends.general(each, self._moment, Supposed()) for each in (row, column)]
        lifted = self._evaluator.blocked(*logged_in) is None
        return Cell(tuple(entries), found[0].id, lifted)

    def _entry(self, rule: Rule, row: Selector, source: Party, column: Selector) -> Entry:
        """Say what a rule gives."""
        verdict = self._evaluator.judge(rule, source, self._parties[column], self._moment)
        return Entry(
            rule.id,
            rule.ports,
            verdict.value is Truth.TRUE,
            verdict.reason,
            (*self._personal(rule, row, source), *self._evaluator.conditions(rule)),
            verdict.valid_until,
            rule.survives_expiry,
        )

    def _personal(self, rule: Rule, row: Selector, source: Party) -> Sequence[Term]:
        """Give what a user must meet, if the rule matches only because of him."""
        matched = [each for each in rule.sources if each in source.claims]
        device = self._ends.devices.get(row.name) if row.kind is SelectorKind.DEVICE else None
        user = row.name if device is None else device.owner
        personal = {each.kind for each in matched} <= {SelectorKind.USER, SelectorKind.GROUP}
        if row.kind is SelectorKind.GROUP or user is None or not personal:
            return ()
        conditions = self._evaluator.identities.conditions(user)
        if any(self._listed(user, each) for each in matched):
            return conditions
        claims = {
            f"claim:{claim.issuer}:{claim.value}"
            for each in matched
            for claim in self._evaluator.policy.claims.get(each.name, ())
        }
        return (*conditions, ByClaim(user, tuple(sorted(claims))))

    def _listed(self, user: str, selector: Selector) -> bool:
        """Say whether the directory itself has a user answer to a user or group."""
        if selector.kind is SelectorKind.USER:
            return True
        return user in self._directory.groups.get(selector.name, ())


def default_rows(policy: Policy, directory: Directory) -> tuple[Selector, ...]:
    """Give users, groups, tags, devices and sites, in this order."""
    names = {
        SelectorKind.USER: directory.users,
        SelectorKind.GROUP: directory.groups,
        SelectorKind.TAG: directory.tags,
        SelectorKind.DEVICE: directory.devices,
        SelectorKind.SITE: policy.sites,
    }
    return tuple(Selector(kind, name) for kind, each in names.items() for name in sorted(each))


def default_columns(policy: Policy) -> tuple[Selector, ...]:
    """Give the resources, and what else rules name as destinations."""
    resources = {Selector(SelectorKind.RESOURCE, name) for name in policy.resources}
    named = {each for rule in policy.rules for each in rule.destinations}
    return tuple(sorted(resources | named))


def _entry_json(entry: Entry) -> Value:
    """Give an entry as plain values."""
    return {
        "rule": entry.rule,
        "ports": describe(entry.ports),
        "allow": entry.allow,
        "reason": entry.reason.value,
        "conditions": list(entry.conditions),
        "until": None if entry.until is None else time_text(entry.until),
    }
