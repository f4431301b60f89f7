"""Doubts about a document that is right: each says what to look at, none stops anything."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from crypto.clock import Interval
from crypto.objects import Directory
from policy.decide import Evaluator, Moment
from policy.document import Document, Problem
from policy.ends import Ends
from policy.model import ANY, OnExpiry, Policy, Rule, Selector, SelectorKind


def lint(document: Document, policy: Policy, directory: Directory) -> Iterator[Problem]:
    """Give all doubts about a document and what was compiled of it."""
    for rule_id, message in _doubts(policy, directory):
        yield Problem(document.file, document.lines[rule_id], f'rule "{rule_id}": {message}')
    for name, line in document.undeclared_devices.items():
        message = (
            f'device "{name}" is not declared: it matches only if its invite fixes that name; '
            f"otherwise add [devices.{name}] with its key"
        )
        yield Problem(document.file, line, message)


def _doubts(policy: Policy, directory: Directory) -> Iterator[tuple[str, str]]:
    """Give doubts about rules, by id."""
    tested = _tested(policy, directory)
    index = _Index(policy.rules)
    for rule in policy.rules:
        if rule.id not in tested:
            yield rule.id, "no [[test]] speaks of what it grants; add one"
        for selector in (*rule.sources, *rule.destinations):
            message = _empty(selector, directory)
            if message:
                yield rule.id, message
        if ANY in rule.ports and any(each.kind is SelectorKind.TAG for each in rule.destinations):
            yield rule.id, "opens every port of every device with a tag; name the ports it needs"
        if rule.survives_expiry and policy.defaults.on_expiry is not OnExpiry.RESTRICT:
            on_expiry = policy.defaults.on_expiry
            yield rule.id, f'survives_expiry does nothing with on_expiry = "{on_expiry}"'
        wider = index.wider(rule)
        if wider is not None:
            yield rule.id, f'rule "{wider}" grants all it grants; remove one, or narrow that one'


def _tested(policy: Policy, directory: Directory) -> set[str]:
    """Give the rules that some test touches, whatever it expects."""
    evaluator = Evaluator(policy, directory)
    ends = Ends(evaluator, directory)
    touched = set()
    for test in policy.tests:
        moment = Moment(Interval(test.at or 0, test.at or 0))
        source = ends.general(test.source, moment)
        destination = ends.general(test.destination, moment)
        for rule in evaluator.candidates(source, destination):
            if any(mine.overlaps(asked) for mine in rule.ports for asked in test.ports):
                touched.add(rule.id)
    return touched


def _empty(selector: Selector, directory: Directory) -> str:
    """Say whether a selector matches nobody so far."""
    if selector.kind is SelectorKind.GROUP and not directory.groups.get(selector.name):
        return f"{selector} is empty, so it matches nobody; add users to it"
    if selector.kind is SelectorKind.TAG and not any(
        selector.name in device.tags for device in directory.devices.values()
    ):
        return f"no declared device has {selector}; it matches only devices whose invite gives it"
    return ""


class _Index:
    """Finds the rules that could cover a rule."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_source: dict[Selector, list[Rule]] = defaultdict(list)
        self._by_destination: dict[Selector, list[Rule]] = defaultdict(list)
        for rule in rules:
            for selector in rule.sources:
                self._by_source[selector].append(rule)
            for selector in rule.destinations:
                self._by_destination[selector].append(rule)

    def wider(self, rule: Rule) -> str | None:
        """Give the id of a rule that grants all that this one grants; of two equal ones, one."""
        near = self._by_source[rule.sources[0]], self._by_destination[rule.destinations[0]]
        for other in min(near, key=len):
            equal = _covers(rule, other)
            if _covers(other, rule) and other.id != rule.id and not (equal and other.id > rule.id):
                return other.id
        return None


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Compare who, whom, ports, times and what happens at expiry, each by what is written."""
    return (
        set(wide.sources) >= set(narrow.sources)
        and set(wide.destinations) >= set(narrow.destinations)
        and all(any(each.contains(ports) for each in wide.ports) for ports in narrow.ports)
        and _start(wide) <= _start(narrow)
        and _end(wide) >= _end(narrow)
        and (wide.survives_expiry or not narrow.survives_expiry)
    )


def _start(rule: Rule) -> float:
    """Give when a rule begins, as a number that can be compared."""
    return -math.inf if rule.not_before is None else rule.not_before


def _end(rule: Rule) -> float:
    """Give when a rule ends, as a number that can be compared."""
    return math.inf if rule.not_after is None else rule.not_after
