"""The statements of a document: rules, blocks and tests."""

from collections.abc import Mapping, Sequence
from typing import Final

from policy.limits import RULE_RANGES_MAX, RULE_SELECTORS_MAX
from policy.locate import Path
from policy.ports import PortRange, normalise
from policy.records import Block, Reason, Rule, Test
from policy.scope import Scope
from policy.sections import ports_at, read_selectors, selector_at
from policy.selectors import (
    DESTINATION_KINDS,
    SOURCE_KINDS,
    Selector,
    SelectorKind,
    is_name,
    name_form,
)
from policy.tables import Table, quoted

Services = Mapping[str, Sequence[PortRange]]

_LATER_RULE_KEYS: Final = ("mfa", "posture", "when", "where", "via")
_LATER_SOURCE_KEYS: Final = ("mfa_age", "posture", "country", "place", "site")
_SERVICE: Final = "service:"
_EXPECTED: Final = {"allow": True, "deny": False}


class Ids:
    """The ids of rules and blocks, each of which may be given once."""

    def __init__(self) -> None:
        """Start without any."""
        self.paths: dict[str, Path] = {}

    def take(self, table: Table) -> str | None:
        """Read the `id` of a table, and name the table after it in messages from now on."""
        text = table.text("id", required=True)
        if text is None:
            return None
        if not is_name(text):
            table.problem(f'has id = "{text}"; an id is {name_form()}', "id")
            return None
        table.what = f'{table.what.split()[0]} "{text}"'
        first = self.paths.setdefault(text, table.path)
        if first != table.path:
            line = table.report.line(first)
            table.problem(f"has an id that line {line} has already; choose another", "id")
        return text


def read_rules(root: Table, scope: Scope, services: Services, ids: Ids) -> Sequence[Rule]:
    """Read `[[rule]]`, sorted by id."""
    found = [_rule(table, scope, services, ids) for table in root.tables("rule", "rule")]
    return sorted((rule for rule in found if rule is not None), key=lambda rule: rule.id)


def _rule(table: Table, scope: Scope, services: Services, ids: Ids) -> Rule | None:
    """Read a rule; None if it can not be used."""
    rule_id = ids.take(table)
    limit = RULE_SELECTORS_MAX
    sources = read_selectors(table, scope, "from", SOURCE_KINDS, required=True, limit=limit)
    destinations = read_selectors(
        table, scope, "to", DESTINATION_KINDS, required=True, limit=limit
    )
    ports = _allow(table, scope, services)
    start, end = table.time("not_before"), table.time("not_after")
    survives = table.flag("survives_expiry")
    table.finish(later=_LATER_RULE_KEYS)
    if start is not None and end is not None and end <= start:
        table.problem("ends before it begins; write a later not_after", "not_after")
    elif rule_id is not None and sources and destinations and ports:
        return Rule(rule_id, sources, destinations, ports, start, end, survives_expiry=survives)
    return None


def _allow(table: Table, scope: Scope, services: Services) -> tuple[PortRange, ...]:
    """Read `allow`: ports, and services in place of theirs."""
    ranges: list[PortRange] = []
    for path, text in table.texts("allow", required=True, limit=RULE_RANGES_MAX):
        name = text.removeprefix(_SERVICE)
        if name == text:
            ranges += ports_at(table, path, text)
        elif scope.service(path, name):
            ranges += services.get(name, ())
    ports = normalise(ranges)
    if len(ports) > RULE_RANGES_MAX:
        table.problem(f"opens {len(ports)} port ranges; the most is {RULE_RANGES_MAX}", "allow")
    return ports


def read_blocks(root: Table, scope: Scope, ids: Ids) -> Sequence[Block]:
    """Read `[[block]]`, sorted by id."""
    blocks = []
    for table in root.tables("block", "block"):
        block_id = ids.take(table)
        limit = RULE_SELECTORS_MAX
        who = read_selectors(table, scope, "who", SOURCE_KINDS, required=True, limit=limit)
        table.finish(later=_LATER_RULE_KEYS)
        if block_id is not None and who:
            blocks.append(Block(block_id, who))
    return sorted(blocks, key=lambda block: block.id)


def read_tests(root: Table, scope: Scope, ids: Ids) -> Sequence[tuple[Test, int]]:
    """Read `[[test]]`, each with its line; after the rules, whose ids a test may name."""
    found = [(_test(table, scope, ids), table) for table in root.tables("test", "test")]
    return [(test, table.report.line(table.path)) for test, table in found if test is not None]


def _test(table: Table, scope: Scope, ids: Ids) -> Test | None:
    """Read a test; None if it can not be used."""
    source, at = _source(table, scope)
    destination, ports = _target(table, scope)
    expect = table.text("expect", required=True)
    if expect is not None and expect not in _EXPECTED:
        table.problem(f'has expect = "{expect}"; write "allow" or "deny"', "expect")
    allow = _EXPECTED.get(expect or "")
    rule = table.text("rule")
    if rule is not None and rule not in ids.paths:
        table.problem(f'names rule "{rule}", and no rule or block has that id', "rule")
    reason = table.choice("reason", Reason, Reason.ALLOWED)
    if allow and reason is not Reason.ALLOWED:
        table.problem(f'expects "allow" and a reason to deny, "{reason}"; remove one', "reason")
    table.finish()
    if source is None or destination is None or not ports or allow is None:
        return None
    said = None if "reason" not in table else reason
    return Test(source, destination, ports, allow, at, rule, said)


def _source(table: Table, scope: Scope) -> tuple[Selector | None, int | None]:
    """Read the `from` of a test: one of user, group, device or tag, and perhaps an instant."""
    if table.get("from", required=True) is None:
        return None, None
    source = Table(table.report, (*table.path, "from"), table.get("from"), f"{table.what}: from")
    at = source.time("at")
    kinds = {kind.word: kind for kind in SOURCE_KINDS}
    texts = {word: source.text(word) for word in sorted(kinds)}
    given = [(word, text) for word, text in texts.items() if text is not None]
    source.finish(later=_LATER_SOURCE_KEYS)
    if len(given) != 1:
        source.problem(f"needs one of {quoted(kinds)}, and not {len(given)}")
        return None, at
    word, text = given[0]
    path = (*source.path, word)
    selector = selector_at(source, path, f"{word}:{text}", SOURCE_KINDS)
    if selector is not None:
        _check_end(source, scope, selector, word)
    return selector, at


def _target(table: Table, scope: Scope) -> tuple[Selector | None, tuple[PortRange, ...]]:
    """Read the `to` of a test: `NAME:PORTS` or `tag:NAME:PORTS`."""
    text = table.text("to", required=True)
    if text is None:
        return None, ()
    name, colon, ports_text = text.rpartition(":")
    path = (*table.path, "to")
    if not colon:
        table.problem(f'has to = "{text}"; write it as "NAME:tcp/443" or "NAME:any"', "to")
        return None, ()
    ports = normalise(ports_at(table, path, ports_text))
    if ":" not in name:
        return scope.target(path, name), ports
    selector = selector_at(table, path, name, DESTINATION_KINDS)
    if selector is not None:
        _check_end(table, scope, selector, "to")
    return selector, ports


def _check_end(table: Table, scope: Scope, selector: Selector, key: str) -> None:
    """Report an end of a test that is not there, which would let any test for "deny" pass."""
    path = (*table.path, key)
    if selector.kind is not SelectorKind.DEVICE:
        scope.check(path, selector)
    elif not scope.knows_device(selector.name):
        scope.unknown(path, str(selector), selector.name, "devices")
