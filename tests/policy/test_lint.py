"""The linter: doubts about documents that are right."""

from __future__ import annotations

import pytest

from tests.policy.build import compiled

WORLD = """
[users.ann]
[groups]
ops = ["ann"]
empty = []
[tags.prod]
[tags.lab]
[devices.db1]
tags = ["prod"]
"""


def rule(name: str = "r", **fields: str) -> str:
    """Write a rule that is beyond doubt, or changed."""
    usual = {"from": '["group:ops"]', "to": '["tag:prod"]', "allow": '["tcp/22"]'}
    pairs = "".join(f"{key} = {value}\n" for key, value in (usual | fields).items())
    return f'[[rule]]\nid = "{name}"\n{pairs}'


TEST = '[[test]]\nfrom = { group = "ops" }\nto = "tag:prod:tcp/1-100"\nexpect = "allow"\n'


def doubts(body: str, *, tested: bool = True) -> list[str]:
    """Return what the linter says about rules, in a document in which all rules are tested."""
    parts = compiled(WORLD + body + (TEST if tested else ""))
    return [warning.message for warning in parts.warnings]


def test_a_rule_beyond_doubt_makes_no_warning() -> None:
    """Silence is the usual case."""
    assert doubts(rule()) == []


def test_a_rule_without_a_test_is_doubtful() -> None:
    """The warning stands at the rule."""
    parts = compiled(WORLD + rule())
    (warning,) = parts.warnings
    assert warning.message == 'rule "r": no [[test]] speaks of what it grants; add one'
    assert warning.line == 12


@pytest.mark.parametrize(
    ("source", "target", "touches"),
    [
        ('user = "ann"', "db1:tcp/22", True),
        ('user = "ann"', "db1:any", True),
        ('user = "ann"', "db1:tcp/23", False),
        ('tag = "lab"', "db1:tcp/22", False),
        ('user = "ann"', "tag:lab:tcp/22", False),
    ],
)
def test_a_test_touches_a_rule_whose_flows_it_asks_about(
    source: str, target: str, *, touches: bool
) -> None:
    """Whatever it expects, both ends and some port must be the rule's."""
    test = f'[[test]]\nfrom = {{ {source} }}\nto = "{target}"\nexpect = "deny"\n'
    assert (doubts(rule() + test, tested=False) == []) is touches


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("from", '["group:ops", "group:empty"]', "group:empty is empty, so it matches nobody"),
        ("to", '["tag:prod", "tag:lab"]', "no declared device has tag:lab"),
        ("allow", '["any"]', "opens every port of every device with a tag"),
    ],
)
def test_a_doubtful_rule_is_named(field: str, value: str, words: str) -> None:
    """Emptiness and breadth are told."""
    (message,) = doubts(rule(**{field: value}))
    assert message.startswith('rule "r": ')
    assert words in message


NEEDS = """
[issuers.okta]
iss = "https://acme.okta.com"
client_id = "0oa1"
algs = ["RS256"]
jwks = "okta.jwks.json"
mfa_amr = ["mfa"]
[postures.ok]
max_age = "30m"
all = ["firewall.on == true"]
[places.home]
country = ["IN"]
[sites.hq]
subnets = ["10.10.0.0/16"]
gateways = ["db1"]
[resources.printer]
host = { site = "hq", address = "10.10.4.5" }
"""


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("mfa", '{ max_age = "1h" }', "logins"),
        ("posture", '["ok"]', "postures"),
        ("where", '["home"]', "places"),
        ("via", '"direct"', "the path"),
        ("to", '["tag:prod", "site:hq"]', "sites"),
        ("to", '["tag:prod", "resource:printer"]', "sites"),
    ],
)
def test_what_nodes_can_not_establish_is_told(field: str, value: str, words: str) -> None:
    """A rule that no node can ever find fulfilled is not signed in the belief that it works."""
    found = doubts(rule(**{field: value}) + NEEDS)
    assert f'rule "r": nodes can not establish {words} yet, so it grants nothing there' in found


def test_any_port_of_one_device_is_no_doubt() -> None:
    """Only of a tag, which grows."""
    assert doubts(rule(to='["device:db1"]', allow='["any"]'), tested=False) == [
        'rule "r": no [[test]] speaks of what it grants; add one'
    ]


@pytest.mark.parametrize("on_expiry", ["keep", "deny", "restrict"])
def test_to_survive_what_never_comes_is_doubtful(on_expiry: str) -> None:
    """survives_expiry means something only where an expired bundle restricts."""
    defaults = f'[defaults]\non_expiry = "{on_expiry}"\n'
    expected = (
        []
        if on_expiry == "restrict"
        else [f'rule "r": survives_expiry does nothing with on_expiry = "{on_expiry}"']
    )
    assert doubts(defaults + rule(survives_expiry="true")) == expected


UNTIL = "2026-12-01T00:00:00Z"
SINCE = "2026-11-01T00:00:00Z"
WIDE = {
    "from": '["group:ops", "user:ann"]',
    "to": '["tag:prod", "device:db1"]',
    "allow": '["tcp"]',
}


@pytest.mark.parametrize(
    ("one", "two", "idle"),
    [
        ({}, WIDE, "one"),
        ({"not_after": UNTIL}, {}, "one"),
        ({"not_before": SINCE}, {}, "one"),
        ({"not_after": SINCE}, {"not_after": UNTIL}, "one"),
        ({}, {"not_after": UNTIL}, "two"),
        ({"to": '["tag:prod", "device:db1"]'}, {}, "two"),
        ({}, {}, "two"),
        ({"survives_expiry": "true"}, WIDE, None),
        ({"allow": '["tcp/22", "udp/53"]'}, WIDE, None),
        ({"from": '["group:ops", "device:db1"]'}, WIDE, None),
        ({"not_before": SINCE}, {"not_after": UNTIL}, None),
    ],
)
def test_a_rule_that_another_grants_too_is_doubtful(
    one: dict[str, str], two: dict[str, str], idle: str | None
) -> None:
    """A rule with conditions is idle beside one without; of two equal ones the second is."""
    found = [each for each in doubts(rule("one", **one) + rule("two", **two)) if "grants" in each]
    wider = {"one": "two", "two": "one"}
    expected = (
        f'rule "{wider.get(idle or "")}" grants all it grants; remove one, or narrow that one'
    )
    assert found == ([] if idle is None else [f'rule "{idle}": {expected}'])


def test_an_undeclared_device_is_doubtful() -> None:
    """It may be enrolled under that name later, or it may be a typing error."""
    parts = compiled(rule(to='["device:db9"]', **{"from": '["device:db8", "device:db9"]'}))
    assert [
        (each.line, each.message.split(":")[0])
        for each in parts.warnings
        if "invite" in each.message
    ] == [
        (5, 'device "db8" is not declared'),
        (5, 'device "db9" is not declared'),
    ]
