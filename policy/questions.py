"""The tests of a document: what it must decide, and under which suppositions."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

from policy.facts import Supposed, is_country
from policy.limits import AGE_SECONDS_MAX, RULE_CONDITIONS_MAX
from policy.networks import check_within
from policy.ports import PortRange, normalise
from policy.records import Reason, Test
from policy.scope import Scope
from policy.sections import ports_at, selector_at
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS, Selector, SelectorKind
from policy.sites import Site
from policy.statements import Ids, read_via
from policy.tables import Table, quoted

_EXPECTED: Final = {"allow": True, "deny": False}


def read_tests(
    root: Table, scope: Scope, ids: Ids, sites: Mapping[str, Site]
) -> Sequence[tuple[Test, int]]:
    """Read `[[test]]`, each with its line; after the rules, whose ids a test may name."""
    found = [(_test(table, scope, ids, sites), table) for table in root.tables("test", "test")]
    return [(test, table.report.line(table.path)) for test, table in found if test is not None]


def _test(table: Table, scope: Scope, ids: Ids, sites: Mapping[str, Site]) -> Test | None:
    """Read a test; None if it can not be used."""
    source, at, supposed = _source(table, scope)
    destination, ports = _target(table, scope, sites)
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
    if source is None or destination is None or not ports or allow is None or supposed is None:
        return None
    said = None if "reason" not in table else reason
    return Test(source, destination, ports, allow, at, rule, said, supposed)


def _source(table: Table, scope: Scope) -> tuple[Selector | None, int | None, Supposed | None]:
    """Read the `from` of a test: who, perhaps an instant, and what is supposed of him."""
    if table.get("from", required=True) is None:
        return None, None, None
    source = table.inner("from")
    at = source.time("at")
    kinds = {kind.word: kind for kind in SOURCE_KINDS}
    texts = {word: source.text(word) for word in sorted(kinds)}
    given = [(word, text) for word, text in texts.items() if text is not None]
    supposed = _supposed(source, scope)
    source.finish()
    if len(given) != 1:
        source.problem(f"needs one of {quoted(kinds)}, and not {len(given)}")
        return None, at, supposed
    word, text = given[0]
    path = (*source.path, word)
    selector = selector_at(source, path, f"{word}:{text}", SOURCE_KINDS)
    if selector is not None and selector.network is not None:
        source.problem(f'names "{selector}"; what comes from a site comes from all of it', word)
    elif selector is not None:
        _check_end(source, scope, selector, word)
    return selector, at, supposed


def _supposed(table: Table, scope: Scope) -> Supposed | None:
    """Read what a test supposes; None if it can not be so."""
    login = "login" not in table or table.flag("login")
    age = table.duration("mfa_age", -1, lo=0, hi=AGE_SECONDS_MAX)
    country = table.text("country")
    if country is not None and not is_country(country):
        table.problem(f'has country "{country}"; write two capital letters, as "IN"', "country")
        return None
    via = read_via(table) if "via" in table else None
    cidr = table.text("cidr")
    try:
        return Supposed(
            login=login,
            mfa_age=None if age < 0 else age,
            postures=_postures(table, scope),
            country=country,
            cidr=None if cidr is None else str(ipaddress.ip_network(cidr)),
            via=via,
        )
    except ValueError as error:
        table.problem(f"can not be supposed: {error}")
        return None


def _postures(table: Table, scope: Scope) -> tuple[str, ...]:
    """Read `posture`: a name, or a list of them."""
    if isinstance(table.get("posture"), list):
        found = table.texts("posture", limit=RULE_CONDITIONS_MAX)
    else:
        text = table.text("posture")
        found = [] if text is None else [((*table.path, "posture"), text)]
    return tuple(
        sorted(n for path, n in found if scope.named(path, "postures", n, f"posture {n}"))
    )


def _target(
    table: Table, scope: Scope, sites: Mapping[str, Site]
) -> tuple[Selector | None, tuple[PortRange, ...]]:
    """Read the `to` of a test: `NAME:PORTS`, `tag:NAME:PORTS` or `site:NAME:PORTS`."""
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
        check_within(table, path, selector, sites)
    return selector, ports


def _check_end(table: Table, scope: Scope, selector: Selector, key: str) -> None:
    """Report an end of a test that is not there, which would let any test for "deny" pass."""
    path = (*table.path, key)
    if selector.kind is not SelectorKind.DEVICE:
        scope.check(path, selector)
    elif not scope.knows_device(selector.name):
        scope.unknown(path, str(selector), selector.name, "devices")
