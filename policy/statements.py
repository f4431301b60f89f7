"""The statements of a document that decide: rules and blocks."""

from collections.abc import Mapping, Sequence
from typing import Final

from policy.facts import Via
from policy.limits import (
    AGE_SECONDS_MAX,
    RULE_CONDITIONS_MAX,
    RULE_RANGES_MAX,
    RULE_SELECTORS_MAX,
)
from policy.locate import Path
from policy.networks import check_within
from policy.ports import PortRange, normalise
from policy.records import Block, Rule
from policy.scope import Scope
from policy.sections import ports_at, read_selectors
from policy.selectors import (
    DESTINATION_KINDS,
    SOURCE_KINDS,
    Selector,
    SelectorKind,
    is_name,
    name_form,
)
from policy.sites import Site
from policy.tables import Table, quoted

Services = Mapping[str, Sequence[PortRange]]

_SECTIONS: Final = {"posture": "postures", "when": "windows", "where": "places"}
_VIA: Final = {"direct": Via.DIRECT, "relay": Via.RELAY, "any": None}
_SERVICE: Final = "service:"


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


def read_rules(
    root: Table, scope: Scope, services: Services, ids: Ids, sites: Mapping[str, Site]
) -> Sequence[Rule]:
    """Read `[[rule]]`, sorted by id."""
    found = [_rule(table, scope, services, ids, sites) for table in root.tables("rule", "rule")]
    return sorted((rule for rule in found if rule is not None), key=lambda rule: rule.id)


def _rule(
    table: Table, scope: Scope, services: Services, ids: Ids, sites: Mapping[str, Site]
) -> Rule | None:
    """Read a rule; None if it can not be used."""
    rule_id = ids.take(table)
    limit = RULE_SELECTORS_MAX
    sources = read_selectors(table, scope, "from", SOURCE_KINDS, required=True, limit=limit)
    destinations = read_selectors(
        table, scope, "to", DESTINATION_KINDS, required=True, limit=limit
    )
    _check_parts(table, sources, destinations, sites)
    ports = _allow(table, scope, services)
    start, end = table.time("not_before"), table.time("not_after")
    survives = table.flag("survives_expiry")
    conditions = {key: _names(table, scope, key) for key in _SECTIONS}
    mfa, via = _mfa(table), read_via(table)
    table.finish()
    if start is not None and end is not None and end <= start:
        table.problem("ends before it begins; write a later not_after", "not_after")
        return None
    if rule_id is None or not sources or not destinations or not ports:
        return None
    return Rule(
        rule_id,
        sources,
        destinations,
        ports,
        start,
        end,
        survives_expiry=survives,
        mfa_max_age=mfa,
        posture=conditions["posture"],
        when=conditions["when"],
        where=conditions["where"],
        via=via,
    )


def _check_parts(
    table: Table,
    sources: Sequence[Selector],
    destinations: Sequence[Selector],
    sites: Mapping[str, Site],
) -> None:
    """Report a part of a site where only all of it may stand, or that is no part of it."""
    for selector in sources:
        if selector.network is not None:
            table.problem(
                f'names "{selector}"; what comes from a site comes from all of it', "from"
            )
    for selector in destinations:
        if selector.kind is SelectorKind.SITE:
            check_within(table, (*table.path, "to"), selector, sites)


def _names(table: Table, scope: Scope, key: str) -> tuple[str, ...]:
    """Read the names of postures, windows or places; an empty list would say nothing."""
    found = []
    for path, name in table.texts(key, required=key in table, limit=RULE_CONDITIONS_MAX):
        section = _SECTIONS[key]
        if scope.named(path, section, name, f"{section.removesuffix('s')} {name}"):
            found.append(name)
    return tuple(sorted(found))


def _mfa(table: Table) -> int | None:
    """Read `mfa = { max_age = "1h" }`."""
    if "mfa" not in table:
        return None
    inner = table.inner("mfa")
    max_age = inner.duration("max_age", 1, lo=1, hi=AGE_SECONDS_MAX, required=True)
    inner.finish()
    return max_age


def read_via(table: Table) -> Via | None:
    """Read `via`: direct, relay or any."""
    text = table.text("via")
    if text is not None and text not in _VIA:
        table.problem(f'has via = "{text}"; write one of {quoted(_VIA)}', "via")
    return _VIA.get(text or "any")


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
        for selector in who:
            if selector.network is not None:
                table.problem(f'names "{selector}"; a block is for all of a site', "who")
        table.finish()
        if block_id is not None and who:
            blocks.append(Block(block_id, who))
    return sorted(blocks, key=lambda block: block.id)
