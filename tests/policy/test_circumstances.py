"""Issuers, sites, postures, windows, places and conditions in a document: mistakes and doubts."""

from __future__ import annotations

import pytest

from policy.checks import run_tests
from policy.document import DocumentError, parse
from tests.policy.build import HEADER, compiled, files, loaded

ISSUER = '[issuers.okta]\niss = "https://op.example"\nclient_id = "c"\njwks = "okta.jwks.json"\n'
SITE = '[sites]\nhq = { subnets = ["10.1.0.0/16"], gateways = ["gw1"] }\n'
RULE = '[[rule]]\nid = "r"\nfrom = ["device:a"]\nto = ["device:b"]\nallow = ["tcp/22"]\n'

PROBLEMS = [
    (ISSUER.replace("https", "http"), 3, "is not an https address"),
    (ISSUER.replace("okta.jwks", "other"), 6, 'has jwks = "other.json", which can not be used'),
    (ISSUER + "algs = ['HS256']\n", 3, "its algorithms must be some of ES256"),
    (ISSUER + "witnesses = { need = 2, of = ['a'] }\n", 3, "needs 2 of 1 witnesses"),
    (ISSUER + "witnesses = { need = '2', of = ['a'] }\n", 7, "it must be a whole number"),
    (ISSUER.replace('client_id = "c"\n', ""), 3, 'has no "client_id"; add it'),
    ("[users.ann]\nid = 'okta:1'\n", 4, '"issuer okta" is not declared; declare it in [issuers]'),
    (ISSUER + "[users.a]\nid = 'okta:1'\n[users.b]\nid = 'okta:1'", 10, "has the id of user a"),
    (SITE.replace("10.1.0.0/16", "10.1.0.1/16"), 4, "10.1.0.1/16 has host bits set"),
    (SITE.replace("10.1.0.0/16", "100.64.9.0/24"), 4, "overlaps 100.64.0.0/10, the mesh's own"),
    (SITE.replace("10.1.0.0/16", "127.0.0.0/24"), 4, "which no gateway can stand before"),
    (SITE.replace('"10.1.0.0/16"', '"10.1.0.0/16", "10.1.2.0/24"'), 4, "overlap"),
    (
        SITE + 'two = { subnets = ["10.0.0.0/8"], gateways = ["gw2"] }\n',
        5,
        "has one of 10.0.0.0/8 and 10.1.0.0/16, which overlap; site hq has the other",
    ),
    (SITE.replace("gw1", "GW1"), 4, 'has gateway "GW1"; a device is'),
    (SITE.replace("hq", "HQ"), 4, "has no usable name; a site is called"),
    (
        "[resources.p]\nhost = { site = 'hq', address = '10.2.0.1' }\n" + SITE,
        4,
        "10.2.0.1/32 is not in a subnet of site hq",
    ),
    ("[resources.p]\nhost = { site = 'hq', address = '10.2' }\n" + SITE, 4, "can not be used"),
    ("[resources.p]\nhost = { site = 'no', address = '10.2.0.1' }\n", 4, '"site:no/10.2.0.1/32"'),
    (SITE + RULE.replace("device:b", "site:hq/10.2.0.0/24"), 8, "is not in a subnet of site hq"),
    (SITE + RULE.replace("device:a", "site:hq/10.1.2.0/24"), 7, "comes from all of it"),
    (RULE.replace("device:b", "site:hq"), 6, '"site:hq" is not declared; declare it in [sites]'),
    ("[postures.p]\nall = ['a == 1']", 3, 'has no "max_age"; add it'),
    ("[postures.p]\nmax_age = '1h'\nall = ['a = 1']", 5, '"a = 1" is no comparison'),
    ("[postures.p]\nmax_age = '1h'\nall = ['a < 1', 'a > 1']", 5, "contradicts itself"),
    ("[postures.p]\nmax_age = '1h'\nall = []", 5, 'has an empty "all"'),
    ("[windows.w]\ntz = 'Mars'\ndays = ['mon']\nfrom = '09:00'\nto = '18:00'", 4, "no time zone"),
    ("[windows.w]\ntz = 'UTC'\ndays = ['Mon']\nfrom = '09:00'\nto = '18:00'", 5, "is no day"),
    ("[windows.w]\ntz = 'UTC'\ndays = ['mon']\nfrom = '9'\nto = '18:00'", 6, "no time of day"),
    ("[windows.w]\ntz = 'UTC'\ndays = ['mon']\nfrom = '09:00'\nto = '09:00'", 7, "when it ends"),
    ("[places.p]\ncountry = ['in']", 4, 'has country "in"; write two capital letters'),
    ("[places.p]\ncidr = ['10.0.0.1/8']", 4, "has host bits set; write for example"),
    ("[places.p]", 3, "says nothing; add country or cidr"),
    (RULE + "mfa = { max_age = '0s' }", 8, "must be from 1 to"),
    (RULE + "mfa = {}", 8, 'mfa has no "max_age"; add it'),
    (RULE + "mfa = { maxage = '1h' }", 8, 'an unknown key "maxage"; did you mean "max_age"?'),
    (RULE + "posture = ['p']", 8, '"posture p" is not declared; declare it in [postures]'),
    (RULE + "where = []", 8, 'has an empty "where"'),
    (RULE + "via = 'both'", 8, 'has via = "both"; write one of "any", "direct", "relay"'),
    (SITE + "[[block]]\nid = 'x'\nwho = ['site:hq/10.1.2.0/24']", 7, "is for all of a site"),
]


@pytest.mark.parametrize(("body", "line", "words"), PROBLEMS)
def test_a_mistake_has_its_line(body: str, line: int, words: str) -> None:
    """Each rule of these sections that is broken is told at its place."""
    with pytest.raises(DocumentError) as caught:
        parse(HEADER + body, "policy.toml", files=files)
    found = [(each.line, each.message) for each in caught.value.problems]
    assert line in [at for at, message in found if words in message], found


def test_windows_need_a_time_to_be_worked_out_for() -> None:
    """Without a horizon, or with one of years, nothing is compiled."""
    from policy.compile import compile_document

    body = "[windows.w]\ntz = 'UTC'\ndays = ['mon']\nfrom = '09:00'\nto = '18:00'\n"
    document = parse(HEADER + body, "p")
    for horizon in (None, (5, 5), (0, 2_000_000_000)):
        with pytest.raises(DocumentError, match="compile it for a time of at most 400 days"):
            compile_document(document, horizon=horizon)
    assert compile_document(document, horizon=(0, 86_400)).warnings == ()


WORLD = (
    ISSUER
    + SITE
    + """
[users.ann]
id = "okta:1"
[groups]
eng = ["claim:okta:eng"]
[devices.gw1]
[devices.db1]
[postures.fine]
max_age = "1h"
all = ["a == 1"]
[windows.never]
tz = "UTC"
days = ["mon"]
from = "02:00"
to = "03:00"
[places.home]
country = ["IN"]
"""
)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('from = ["user:ann"]\nwhere = ["home"]\nvia = "relay"', "over a relay nobody sees"),
        ('from = ["site:hq"]\nposture = ["fine"]', "which a network can not show"),
        ('from = ["site:hq"]\nmfa = { max_age = "1h" }', "asks site:hq for mfa"),
    ],
)
def test_a_rule_that_can_not_grant_is_doubted(rule: str, words: str) -> None:
    """The linter says which of its conditions excludes the other."""
    body = f'{WORLD}[[rule]]\nid = "r"\nto = ["device:db1"]\nallow = ["tcp/22"]\n{rule}\n'
    assert any(words in each.message for each in compiled(body).warnings)


def test_a_block_of_a_group_by_claim_is_doubted() -> None:
    """It cuts off all who are not logged in, which may be meant."""
    body = f'{WORLD}[[block]]\nid = "x"\nwho = ["group:eng"]\n'
    (doubt,) = compiled(body).warnings
    assert "cuts off every user of issuer okta who is not logged in" in doubt.message


STRICT = (
    '[[rule]]\nid = "strict"\nfrom = ["user:ann"]\nto = ["device:db1"]\nallow = ["tcp/22"]\n'
    'mfa = { max_age = "1h" }\nposture = ["fine"]\nwhere = ["home"]\n'
)


def test_a_wider_rule_hides_the_conditions_of_another() -> None:
    """A rule without them that grants the same is told, and not the other way round."""
    loose = STRICT.replace("strict", "loose").partition("mfa")[0]
    found = [each.message for each in compiled(WORLD + STRICT + loose).warnings]
    hidden = [each for each in found if "grants all it grants" in each]
    assert len(hidden) == 1
    assert hidden[0].startswith('rule "strict": rule "loose"')


def question(source: str, expect: str, extra: str = "") -> str:
    """Return a test of tcp/22 to the database."""
    return f'[[test]]\nfrom = {{ {source} }}\nto = "db1:tcp/22"\nexpect = "{expect}"\n{extra}\n'


FULL = 'user = "ann", mfa_age = "1h", posture = "fine", country = "IN"'


@pytest.mark.parametrize(
    ("source", "expect", "passes"),
    [
        (FULL, "allow", True),
        (FULL.replace('"1h"', '"61m"'), "deny", True),
        (FULL.replace('country = "IN"', 'country = "DE"'), "deny", True),
        (FULL.replace('country = "IN"', 'via = "relay"'), "deny", True),
        (FULL.replace('posture = "fine", ', ""), "allow", False),
        ('user = "ann"', "deny", False),
        ('user = "ann", login = false', "deny", True),
        ('user = "ann", via = "relay"', "deny", True),
        ('user = "ann", mfa_age = "2h"', "deny", True),
        ('device = "gw1"', "deny", True),
    ],
)
def test_what_a_test_leaves_open_must_not_matter(
    source: str, expect: str, *, passes: bool
) -> None:
    """For "allow" it is not so, for "deny" it may be any way."""
    policy, directory = loaded(WORLD + STRICT + question(source, expect))
    assert (run_tests(policy, directory) == ()) is passes


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (FULL.replace('"1h"', '"61m"'), "mfa-stale"),
        (FULL.replace("IN", "DE"), "place"),
        ('user = "ann", login = false', "no-token"),
        ('user = "ann", via = "relay"', "place"),
    ],
)
def test_the_reason_is_that_of_what_is_supposed(source: str, reason: str) -> None:
    """All else is as the rule would have it, so one thing is left to fail."""
    body = WORLD + STRICT + question(source, "deny", f'reason = "{reason}"')
    assert run_tests(*loaded(body)) == ()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('user = "ann", login = false, mfa_age = "1h"', "needs a login"),
        ('user = "ann", country = "IN", via = "relay"', "over a relay nobody sees a place"),
        ('user = "ann", country = "india"', "write two capital letters"),
        ('user = "ann", cidr = "10.0.0.1/8"', "has host bits set"),
        ('user = "ann", posture = "sane"', '"posture sane" is not declared'),
        ('site = "hq/10.1.2.0/24"', "comes from all of it"),
    ],
)
def test_what_can_not_be_supposed_is_a_mistake(source: str, words: str) -> None:
    """Contradictions and names of nothing are told."""
    with pytest.raises(DocumentError, match=r".*") as caught:
        parse(HEADER + WORLD + STRICT + question(source, "deny"), "p", files=files)
    assert words in str(caught.value)


def test_a_gateway_is_weighed_with_its_site() -> None:
    """What a rule opens at a site fills the kernel of the device before it, region by region."""
    from policy.weigh import heaviest

    rule = '[[rule]]\nid = "r"\nfrom = ["device:db1"]\nto = ["site:hq"]\nallow = ["tcp/22"]\n'
    found = heaviest(*loaded(WORLD + rule))
    assert found is not None
    assert (found.device, found.elements) == ("db1", 2)
    part = rule.replace('"r"', '"p"').replace("site:hq", "site:hq/10.1.128.0/17")
    found = heaviest(*loaded(WORLD + rule + part))
    assert found is not None
    assert (found.device, found.elements) == ("gw1", 8)
