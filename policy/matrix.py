"""Who can reach what, and under which conditions: the whole policy as one table.

Rows are users, groups and devices, columns what rules grant access to. A row is the name in
general (policy.ends), so a group's row shows what membership gives. Cells that hold nothing are
left out. The table is data; how it looks is the terminal's or the page's business.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crypto.clock import Interval
from crypto.codec import Value
from crypto.objects import Directory
from policy.claims import Party
from policy.conditions import Condition, Truth
from policy.decide import Evaluator, Moment
from policy.ends import Ends
from policy.model import Policy, PortRange, Reason, Rule, Selector, SelectorKind, time_text
from policy.ports import describe


@dataclass(frozen=True, slots=True)
class Entry:
    """What one rule gives one row in one column.

    Attributes:
        rule: Its id.
        ports: What it opens.
        allow: It does so now.
        reason: Why not, if not.
        conditions: On what it depends, in words, whether that holds now or not.
        until: When it ends or may begin, as in `Verdict.valid_until`.
    """

    rule: str
    ports: tuple[PortRange, ...]
    allow: bool
    reason: Reason
    conditions: tuple[str, ...]
    until: float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row may do in a column.

    Attributes:
        entries: One for each rule that joins the two.
        block: The block that cuts either off, whatever the rules say.
    """

    entries: tuple[Entry, ...]
    block: str | None = None


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


def matrix(policy: Policy, directory: Directory, now: Interval) -> Matrix:
    """Make the table of a policy at one moment."""
    builder = _Builder(policy, directory, Moment(now))
    return Matrix(builder.rows, builder.columns, dict(builder.cells()))


class _Builder:
    """Fills the table; only pairs that some rule joins are looked at."""

    def __init__(self, policy: Policy, directory: Directory, moment: Moment) -> None:
        self._evaluator = Evaluator(policy, directory)
        self._ends = Ends(self._evaluator, directory)
        self._moment = moment
        self.rows = _rows(policy, directory)
        self.columns = _columns(policy)
        self._parties = {each: self._ends.general(each, moment) for each in self.columns}
        self._reached: dict[Selector, list[Selector]] = defaultdict(list)
        for column, party in self._parties.items():
            for selector in party.claims:
                self._reached[selector].append(column)

    def cells(self) -> Iterator[tuple[tuple[Selector, Selector], Cell]]:
        """Give all cells that hold something, row by row."""
        for row in self.rows:
            source = self._ends.general(row, self._moment)
            entries: dict[Selector, list[Entry]] = defaultdict(list)
            for rule in self._evaluator.from_source(source):
                for column in {each for to in rule.destinations for each in self._reached[to]}:
                    entries[column].append(self._entry(rule, row, source, column))
            for column in sorted(entries):
                found = self._evaluator.blocked(source, self._parties[column])
                block = None if found is None else found[0].id
                yield (row, column), Cell(tuple(entries[column]), block)

    def _entry(self, rule: Rule, row: Selector, source: Party, column: Selector) -> Entry:
        """Say what a rule gives."""
        verdict = self._evaluator.judge(rule, source, self._parties[column], self._moment)
        conditions = [
            *self._user_conditions(rule, row, source),
            *self._evaluator.conditions(rule),
        ]
        return Entry(
            rule.id,
            rule.ports,
            verdict.value is Truth.TRUE,
            verdict.reason,
            tuple(condition.text for condition in conditions),
            verdict.valid_until,
        )

    def _user_conditions(self, rule: Rule, row: Selector, source: Party) -> Sequence[Condition]:
        """Give the conditions of a user, if the rule matches only because of him."""
        matched = {each.kind for each in rule.sources if each in source.claims}
        device = self._ends.devices.get(row.name) if row.kind is SelectorKind.DEVICE else None
        user = row.name if device is None else device.owner
        personal = matched <= {SelectorKind.USER, SelectorKind.GROUP}
        if row.kind is SelectorKind.GROUP or user is None or not personal:
            return ()
        return self._evaluator.identities.conditions(user)


def _rows(policy: Policy, directory: Directory) -> tuple[Selector, ...]:
    """Give users, groups, devices and sites, in this order."""
    names = {
        SelectorKind.USER: directory.users,
        SelectorKind.GROUP: directory.groups,
        SelectorKind.DEVICE: directory.devices,
        SelectorKind.SITE: policy.sites,
    }
    return tuple(Selector(kind, name) for kind, each in names.items() for name in sorted(each))


def _columns(policy: Policy) -> tuple[Selector, ...]:
    """Give the resources, and the tags and devices that rules name as destinations."""
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
