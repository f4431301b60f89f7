"""Doubts about a document that is right: each says what to look at, none stops anything."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from crypto.clock import Interval
from crypto.objects import Directory
from policy.decide import Evaluator, Moment
from policy.document import Document, Problem
from policy.ends import Ends
from policy.facts import Via
from policy.model import ANY, Audit, OnExpiry, Policy, Rule, Selector, SelectorKind


def lint(document: Document, policy: Policy, directory: Directory) -> Iterator[Problem]:
    """Give all doubts about a document and what was compiled of it."""
    for rule_id, message in _doubts(policy, directory):
        yield Problem(document.file, document.lines[rule_id], f'rule "{rule_id}": {message}')
    for block_id, message in _open_blocks(policy):
        yield Problem(document.file, document.lines[block_id], f'block "{block_id}": {message}')
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
            message = _empty(selector, policy, directory)
            if message:
                yield rule.id, message
        if ANY in rule.ports and any(each.kind is SelectorKind.TAG for each in rule.destinations):
            yield rule.id, "opens every port of every device with a tag; name the ports it needs"
        if rule.survives_expiry and policy.defaults.on_expiry is not OnExpiry.RESTRICT:
            on_expiry = policy.defaults.on_expiry
            yield rule.id, f'survives_expiry does nothing with on_expiry = "{on_expiry}"'
        for message in _never(rule, policy):
            yield rule.id, message
        needs = _unestablished(rule, policy)
        if needs:
            yield rule.id, f"nodes can not establish {needs} yet, so it grants nothing there"
        wider = index.wider(rule)
        if wider is not None:
            yield rule.id, f'rule "{wider}" grants all it grants; remove one, or narrow that one'


def _never(rule: Rule, policy: Policy) -> Iterator[str]:
    """Say why a rule can not grant, or not to all it names."""
    if rule.where and rule.via is Via.RELAY:
        yield "asks for a place and for a relay, and over a relay nobody sees a place"
    if rule.when and not any(policy.windows[name] for name in rule.when):
        yield "has windows that do not open before the bundle expires"
    asked = {"mfa": rule.mfa_max_age is not None, "posture": bool(rule.posture)}
    personal = [key for key, there in asked.items() if there]
    sites = [str(each) for each in rule.sources if each.kind is SelectorKind.SITE]
    if personal and sites:
        yield f"asks {sites[0]} for {personal[0]}, which a network can not show"
    if rule.mfa_max_age is not None and not policy.issuers:
        yield "asks for a multi-factor login, and no issuer is declared"
    if policy.defaults.audit is Audit.NONE:
        yield 'leaves no trace: [defaults] has audit = "none"'


def _unestablished(rule: Rule, policy: Policy) -> str:
    """Say what a rule asks for that the daemon has no source of facts for.

    Such a fact is Unknown on every node, and Unknown grants nothing.
    """
    asked = {
        "logins": rule.mfa_max_age is not None,
        "postures": bool(rule.posture),
        "places": bool(rule.where),
        "the path": rule.via is not None,
        "sites": any(_is_site(each, policy) for each in (*rule.sources, *rule.destinations)),
    }
    return " and ".join(what for what, there in asked.items() if there)


def _is_site(selector: Selector, policy: Policy) -> bool:
    if selector.kind is SelectorKind.RESOURCE:
        return "/" in policy.resources[selector.name]
    return selector.kind is SelectorKind.SITE


def _open_blocks(policy: Policy) -> Iterator[tuple[str, str]]:
    """Give doubts about blocks of groups that a token decides about."""
    for block in policy.blocks:
        for selector in block.who:
            claims = policy.claims.get(selector.name, ())
            if selector.kind is SelectorKind.GROUP and claims:
                issuer = claims[0].issuer
                who = f"every user of issuer {issuer} who is not logged in"
                yield block.id, f"cuts off {who}: any of them might be in {selector}"


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


def _empty(selector: Selector, policy: Policy, directory: Directory) -> str:
    """Say whether a selector matches nobody so far."""
    if selector.kind is SelectorKind.GROUP and not directory.groups.get(selector.name):
        if selector.name in policy.claims:
            return ""
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
        and _asks_no_more(wide, narrow)
    )


def _asks_no_more(wide: Rule, narrow: Rule) -> bool:
    """Compare the conditions: all that the wide rule asks for, the narrow one asks for too."""
    age = math.inf if wide.mfa_max_age is None else wide.mfa_max_age
    return (
        age >= (math.inf if narrow.mfa_max_age is None else narrow.mfa_max_age)
        and set(wide.posture) <= set(narrow.posture)
        and _any_of(wide.when, narrow.when)
        and _any_of(wide.where, narrow.where)
        and wide.via in {None, narrow.via}
    )


def _any_of(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Say whether one of `narrow`, which must be some, is always one of `wide`; none is any."""
    return not wide or (bool(narrow) and set(wide) >= set(narrow))


def _start(rule: Rule) -> float:
    """Give when a rule begins, as a number that can be compared."""
    return -math.inf if rule.not_before is None else rule.not_before


def _end(rule: Rule) -> float:
    """Give when a rule ends, as a number that can be compared."""
    return math.inf if rule.not_after is None else rule.not_after
