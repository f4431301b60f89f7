"""The document: everything wrong with it at once, each with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.document import DocumentError, Problem, parse
from policy.model import Audit, Defaults, OnExpiry, Reason, SelectorKind
from policy.ports import describe
from tests.policy.build import HEADER, RANDOM, files, key

DATA = Path(__file__).parent / "data"

TEN = {
    3: "the document has mesh = \"Acme Inc.\"; a mesh is called 1 to 63 of a-z, 0-9 and '-'",
    6: '[defaults] has lease = "15 minutes"; write a number with s, m, h or d, as "15m"',
    9: '[users.alice] has a "not_after" without a zone; add Z for UTC, or an offset',
    12: '"user:bob" is not declared; declare it in [users]',
    15: '[services]: "tcp/65536" has a port outside 1 to 65535',
    22: '"group:dbas" is not declared (did you mean "dba"?); declare it in [groups]',
    25: 'rule "dba-postgres": mfa has max_age = "1x"; write a number with s, m, h or d, as "15m"',
    28: 'rule "dba-postgres" has an id that line 20 has already; choose another',
    33: 'rule "dba-postgres" ends before it begins; write a later not_after',
    34: 'rule "dba-postgres" has an unknown key "surives_expiry"; did you mean "survives_expiry"?',
}


def problems(body: str, *, header: str = HEADER) -> list[tuple[int, str]]:
    """Return the line and message of each problem of a document."""
    with pytest.raises(DocumentError) as caught:
        parse(header + body, "policy.toml", files=files)
    return [(each.line, each.message) for each in caught.value.problems]


def test_ten_mistakes_are_ten_problems() -> None:
    """One run reports all of them, in order, each at its line."""
    text = (DATA / "ten_mistakes.toml").read_text()
    with pytest.raises(DocumentError) as caught:
        parse(text, "ten_mistakes.toml")
    assert {each.line: each.message for each in caught.value.problems} == TEN
    assert len(caught.value.problems) == 10
    assert all(f"# {n}: " in text.splitlines()[line - 1] for n, line in enumerate(TEN, 1))
    first, *_ = str(caught.value).splitlines()
    assert first == f"ten_mistakes.toml:3: {TEN[3]}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = \n", 2, "not TOML: Invalid value"),
        ("a = 1\na = 2\n", 2, "not TOML: Cannot overwrite a value"),
        ("a = [\n1,\n", 3, "not TOML: Invalid value"),
        ("a = " + "9" * 5_000, 1, "not TOML: Exceeds the limit"),
        ('a = "\x1b[31m"', 1, "not TOML: Illegal character '\\x1b'"),
    ],
)
def test_text_that_is_not_toml_has_a_line(text: str, line: int, message: str) -> None:
    """A syntax error is one problem, at the line tomllib names or at the end."""
    ((found, words),) = problems(text, header="")
    assert (found, words.startswith(message)) == (line, True)


def test_endless_nesting_is_a_problem() -> None:
    """A document nested too deeply to read is refused like any other."""
    ((line, message),) = problems("a = " + "[" * 100_000, header="")
    assert (line, message) == (
        1,
        "the document nests lists or tables too deeply; write it flatter",
    )


def test_a_document_has_a_largest_size() -> None:
    """Above the limit nothing is read."""
    size = 8 * 1024 * 1024
    assert parse(HEADER + "#" * (size - len(HEADER)), "p").mesh == "acme"
    assert problems("#" * (size + 1), header="") == [
        (1, "the document has 8388609 characters; the most is 8388608")
    ]


ISSUER = """
[issuers.okta]
iss = "https://acme.okta.com"
client_id = "0oa1"
jwks = "okta.jwks.json"
"""
GOOD = """
[defaults]
audit = "denied"
session_max = "8h"
lease = "90s"
on_expiry = "keep"
[users.ann]
id = "okta:00u1"
not_after = 2026-12-01T02:00:00+02:00
[users.bob]
[groups]
dba = ["ann"]
inner = ["bob", "group:dba"]
outer = ["group:inner", "user:ann"]
[tags.prod]
owners = ["group:dba", "user:ann"]
[services]
web = ["tcp/443", "tcp/8000-8010"]
[resources.db]
host = "db1"
[[rule]]
id = "r"
from = ["group:outer", "device:db2"]
to = ["tag:prod", "resource:db"]
allow = ["service:web", "icmp", "tcp/442"]
not_before = 2026-11-23T00:00:00Z
survives_expiry = true
[[block]]
id = "b"
who = ["user:bob"]
[[test]]
from = { tag = "prod", at = 2026-11-23T00:00:00Z }
to = "tag:prod:tcp/22-23"
expect = "deny"
reason = "no-rule"
[[test]]
from = { device = "db2" }
to = "db1:any"
expect = "deny"
rule = "b"
"""


def test_a_good_document_says_what_it_means() -> None:
    """Every section reaches the document as it was meant."""
    devices = (
        f'[devices.db1]\nkey = "ed25519:{key("db1").hex()}"\ntags = ["prod"]\nowner = "ann"\n'
    )
    document = parse(HEADER + devices + ISSUER + GOOD, "policy.toml", files=files)
    assert document.mesh == "acme"
    assert document.defaults == Defaults(Audit.DENIED, 8 * 3600, 90, OnExpiry.KEEP)
    assert document.users["ann"].identity == "okta:00u1"
    assert document.users["ann"].not_after == 1_796_083_200
    assert document.groups == {
        "dba": ("ann",),
        "inner": ("ann", "bob"),
        "outer": ("ann", "bob"),
    }
    assert document.tags == {"prod": ("user:ann", "group:dba")}
    assert document.devices["db1"].device_id == key("db1")
    assert document.resources == {"db": "db1"}
    (rule,) = document.rules
    assert [str(each) for each in rule.sources] == ["group:outer", "device:db2"]
    assert describe(rule.ports) == "icmp, tcp/442-443, tcp/8000-8010"
    assert (rule.not_before, rule.not_after, rule.survives_expiry) == (1_795_392_000, None, True)
    (first, _), (second, line) = document.tests
    assert (first.at, first.reason, str(first.destination)) == (
        1_795_392_000,
        Reason.NO_RULE,
        "tag:prod",
    )
    assert second.destination.kind is SelectorKind.DEVICE
    assert line == 47
    assert document.undeclared_devices == {"db2": 34}


RULE = '[[rule]]\nid = "r"\nfrom = ["device:a"]\nto = ["device:b"]\nallow = ["tcp/22"]\n'
PROBLEMS = [
    (
        "",
        "schema = 2\nmesh = 'm'\n",
        1,
        "the document has schema = 2; this version reads schema = 1",
    ),
    ("", "schema = true\nmesh = 'm'\n", 1, "the document has schema = True"),
    ("", "mesh = 'm'\n", 1, 'the document has no "schema"; add it'),
    ("", "schema = 1\n", 1, 'the document has no "mesh"; add it'),
    ("", "schema = 1\nmesh = 3\n", 2, 'a whole number as "mesh"; it must be a text in quotes'),
    ("rules = 1", None, 3, 'has an unknown key "rules"; did you mean "rule"?'),
    ("zzz = 1", None, 3, 'has an unknown key "zzz"; known are "block", "defaults"'),
    ("users = 1", None, 3, "[users] is a whole number where a table is expected"),
    ("users.ann = 1.5", None, 3, "[users.ann] is a number where a table is expected"),
    ("defaults = []", None, 3, "[defaults] is a list where a table is expected"),
    (
        '[defaults]\naudit = "some"',
        None,
        4,
        'audit = "some"; write one of "all", "denied", "none"',
    ),
    ("[defaults]\nlease = 15", None, 4, 'has a whole number as "lease"; it must be a text'),
    ('[defaults]\nlease = "0s"', None, 4, 'lease = "0s"; it must be from 1 to 86400 seconds'),
    ('[defaults]\nsession_max = "31d"', None, 4, "it must be from 60 to 2592000 seconds"),
    ("[users.Ann]", None, 3, "[users.Ann] has no usable name; a user is called 1 to 63"),
    ('[users.ann]\nid = "00u1"', None, 4, 'has id = "00u1"; write it as "ISSUER:SUBJECT"'),
    ('[users.ann]\nid = "o:\\u0007"', None, 4, "can not be used"),
    ("[users.ann]\nnot_after = 2026-12-01", None, 4, 'has a date or time of day as "not_after"'),
    ("[users.ann]\nnot_after = 1969-12-01T00:00:00Z", None, 4, "outside the years 1970 to 9999"),
    ("[users.ann]\nnot_after = 9999-12-31T23:59:59-01:00", None, 4, "outside the years"),
    ("[users.ann]\nnot_after = 2026-12-01T00:00:00.5Z", None, 4, "with a fraction of a second"),
    ("[groups]\ndba = 'ann'", None, 4, 'has a text as "dba"; it must be a list of texts'),
    ("[groups]\ndba = [1]", None, 4, 'has a whole number in "dba"; write texts in quotes'),
    ("[users.a]\n[groups]\ndba = ['a', 'a']", None, 5, 'has "a" twice in "dba"; remove one'),
    ("[groups]\ndba = ['claim:okta:eng']", None, 4, '"issuer okta" is not declared'),
    ("[groups]\ndba = ['claim:okta']", None, 4, "is no claim; write claim:ISSUER:VALUE"),
    (
        "[groups]\ndba = ['tag:x']",
        None,
        4,
        "can not stand here; write one of user:NAME, group:NAME",
    ),
    ("[groups]\nDBA = []", None, 4, 'has "DBA"; a group is called'),
    ("[groups]\na = ['group:b']\nb = ['group:c']\nc = ['group:b']", None, 5, "b > c > b"),
    ("[groups]\na = ['group:a']", None, 4, "has a group that contains itself: a > a"),
    ("[groups]\na = ['group:aa']", None, 4, '"group:aa" is not declared (did you mean "a"?)'),
    ("[tags.T]", None, 3, "[tags.T] has no usable name; a tag is called"),
    ("[tags.t]\nowners = ['ann']", None, 4, '"ann" is not a selector; write one of user:NAME'),
    ("[tags.t]\nowner = ['ann']", None, 4, 'an unknown key "owner"; did you mean "owners"?'),
    ("[devices.d]\nkey = 'ed25519:abc'", None, 4, '"ed25519:" and 32 bytes in hex or base64'),
    (f"[devices.d]\nkey = 'x25519:{'00' * 32}'", None, 4, '"ed25519:" and 32 bytes'),
    (f"[devices.d]\nkey = 'ed25519:{'zz' * 32}'", None, 4, '"ed25519:" and 32 bytes'),
    (f"[devices.d]\nkey = 'ed25519:{'00' * 32}'", None, 3, "no valid Ed25519 public key"),
    (
        "".join(f"[devices.{name}]\nkey = 'ed25519:{key('d').hex()}'\n" for name in "de"),
        None,
        6,
        "has the key of device d; a key belongs to one device",
    ),
    ("[devices.d]\ntags = ['t']", None, 4, '"tag:t" is not declared; declare it in [tags]'),
    ("[devices.d]\nowner = 'ann'", None, 4, '"user:ann" is not declared'),
    ("[devices.d]\naddress = '10.0.0.1'", None, 4, '"address", which is not supported'),
    ("[services]\nWeb = ['tcp/1']", None, 4, 'has "Web"; a service is called'),
    ("[services]\nweb = []", None, 4, 'has an empty "web", so it can never match'),
    ("[resources.db]", None, 3, '[resources.db] has no "host"; add it'),
    (
        "[resources.db]\nhost = { site = 'hq' }",
        None,
        4,
        'host has no "address"; add it',
    ),
    ("[resources.db]\nhost = 'DB'", None, 4, '"DB" is no name of a device'),
    ("[rule]\nid = 'r'", None, 3, "[rule] opens one rule only once; write [[rule]]"),
    ("rule = 1", None, 3, 'has a whole number as "rule"; it must be tables; write [[rule]]'),
    ("rule = [1]", None, 3, "rule 1 is a whole number where a table is expected"),
    ("[[rule]]\nid = 'r'", None, 3, 'rule "r" has no "from"; add it'),
    (RULE.replace('"r"', '"R!"'), None, 4, 'has id = "R!"; an id is 1 to 63'),
    (RULE.replace('["device:a"]', "[]"), None, 5, 'has an empty "from", so it can never match'),
    (
        RULE.replace("device:b", "user:b"),
        None,
        6,
        '"user:b" can not stand here; write one of tag:',
    ),
    (RULE.replace("tcp/22", "service:ssh"), None, 7, '"service:ssh" is not declared'),
    (RULE.replace("tcp/22", "ssh"), None, 7, '"ssh" names no protocol'),
    (RULE + "when = ['office']", None, 8, '"window office" is not declared; declare it in [win'),
    (RULE + "survives_expiry = 'yes'", None, 8, "it must be true or false"),
    (
        RULE + "not_before = 2000-01-01T00:00:00Z\nnot_after = 2000-01-01T00:00:00Z",
        None,
        9,
        "ends",
    ),
    ("[[block]]\nid = 'b'", None, 3, 'block "b" has no "who"; add it'),
    ("[[block]]\nid = 'b'\nwho = ['device:a']\nports = []", None, 6, 'an unknown key "ports"'),
    (RULE + "[[block]]\nid = 'r'\nwho = ['device:a']", None, 9, "an id that line 3 has already"),
]


@pytest.mark.parametrize(("body", "header", "line", "words"), PROBLEMS)
def test_a_problem_has_its_line_and_a_remedy(
    body: str, header: str | None, line: int, words: str
) -> None:
    """Each rule of the language that is broken is told at the place where it is."""
    found = problems(body, header=HEADER if header is None else header)
    assert [at for at, message in found if words in message] == [line], found


TEST = '[[test]]\nfrom = { device = "a" }\nto = "b:tcp/22"\nexpect = "allow"\n'
TEST_PROBLEMS = [
    ('{ device = "a" }', "{}", 9, 'needs one of "device", "group", "site", "tag", "user", and'),
    ('{ device = "a" }', '{ device = "a", user = "u" }', 9, "and not 2"),
    ('{ device = "a" }', '{ device = "z" }', 9, '"device:z" is not declared; declare it in [dev'),
    ('{ device = "a" }', '{ group = "z" }', 9, '"group:z" is not declared'),
    ('{ device = "a" }', '{ user = "Z Z" }', 9, '"user:Z Z" has no user name'),
    (
        '{ device = "a" }',
        '{ device = "a", mfa_age = "1x" }',
        9,
        'has mfa_age = "1x"; write a number with s, m, h or d',
    ),
    ('{ device = "a" }', '"device:a"', 9, "is a text where a table is expected"),
    ('from = { device = "a" }\n', "", 8, 'test 1 has no "from"; add it'),
    ('to = "b:tcp/22"\n', "", 8, 'test 1 has no "to"; add it'),
    ("b:tcp/22", "b", 10, 'has to = "b"; write it as "NAME:tcp/443" or "NAME:any"'),
    ("b:tcp/22", "b:22", 10, '"22" names no protocol'),
    ("b:tcp/22", "c:tcp/22", 10, '"c" is neither a resource nor a device'),
    ("b:tcp/22", "tag:c:tcp/22", 10, '"tag:c" is not declared'),
    ("b:tcp/22", "device:c:tcp/22", 10, '"device:c" is not declared'),
    ("b:tcp/22", "user:c:tcp/22", 10, '"user:c" can not stand here'),
    ('"allow"', '"maybe"', 11, 'has expect = "maybe"; write "allow" or "deny"'),
    ('expect = "allow"\n', "", 8, 'test 1 has no "expect"; add it'),
    ('"allow"', '"allow"\nrule = "q"', 12, 'names rule "q", and no rule or block has that id'),
    ('"allow"', '"allow"\nreason = "block"', 12, 'expects "allow" and a reason to deny, "block"'),
    (
        '"allow"',
        '"deny"\nreason = "because"',
        12,
        'has reason = "because"; write one of "allowed"',
    ),
    ('"allow"', '"allow"\nwhy = 1', 12, 'an unknown key "why"'),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), TEST_PROBLEMS)
def test_a_test_that_can_not_be_run_is_a_problem(
    old: str, new: str, line: int, words: str
) -> None:
    """A test of something that is not there would pass for ever, so it is refused."""
    found = problems(RULE + TEST.replace(old, new))
    assert [at for at, message in found if words in message] == [line], found


def test_two_rules_on_one_line_may_not_share_an_id() -> None:
    """An id is taken by a rule, not by a line."""
    one = '{ id = "r", from = ["device:a"], to = ["device:b"], allow = ["any"] }'
    assert problems(f"rule = [{one}, {one}]") == [
        (3, 'rule "r" has an id that line 3 has already; choose another')
    ]


def test_a_list_has_a_largest_length() -> None:
    """A rule has at most a thousand selectors and a thousand ranges, services included."""
    many = ", ".join(f'"device:d{number}"' for number in range(1_001))
    found = problems(RULE.replace('"device:a"', many))
    assert found == [(5, 'rule "r" has 1001 entries in "from"; the most is 1000')]
    odd = [f'"tcp/{2 * number + 1}"' for number in range(700)]
    services = (
        f"[services]\none = [{', '.join(odd)}]\ntwo = [{', '.join(odd).replace('tcp', 'udp')}]\n"
    )
    found = problems(services + RULE.replace('"tcp/22"', '"service:one", "service:two"'))
    assert found == [(10, 'rule "r" opens 1400 port ranges; the most is 1000')]


def test_a_user_is_in_at_most_64_groups() -> None:
    """What a node must look at for one user is bounded when the policy is compiled."""
    groups = "".join(f'g{number} = ["ann"]\n' for number in range(64))
    assert parse(f"{HEADER}[users.ann]\n[groups]\n{groups}", "p").groups
    assert problems(f'[users.ann]\n[groups]\n{groups}last = ["ann"]') == [
        (3, 'user "ann" is in 65 groups; the most is 64')
    ]


def test_problems_stand_in_the_order_of_the_document() -> None:
    """Whatever is read first, the first line comes first, and nothing is told twice."""
    body = '[[block]]\nid = "b"\n[users.Ann]\n[groups]\na = ["x"]\n'
    assert [line for line, _ in problems(body)] == [3, 5, 7]
    assert len(problems('groups = { a = ["x"], b = ["x"] }')) == 1


def test_control_characters_are_written_out() -> None:
    """A message can not drive the terminal of the admin who reads a stranger's document."""
    ((_, message),) = problems('"\\u001b[31m" = 1')
    assert '"\\x1b[31m"' in message


@pytest.mark.parametrize("form", ["hex", "base64", "base64url"])
def test_a_key_is_read_in_each_form(form: str) -> None:
    """Hex, base64 and its URL alphabet, padded or not, name the same key."""
    import base64

    raw = key("d")
    texts = {
        "hex": raw.hex().upper(),
        "base64": base64.b64encode(raw).decode(),
        "base64url": base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    document = parse(f'{HEADER}[devices.d]\nkey = "ed25519:{texts[form]}"\n', "p")
    assert document.devices["d"].device_id == raw


@given(st.text(alphabet="[]{}='\"#,.:/ab1\n ", max_size=200) | st.text(max_size=80))
@RANDOM
def test_any_text_is_a_document_or_problems(text: str) -> None:
    """No text makes anything but a document or problems with lines that exist."""
    for prefix in ("", HEADER, HEADER + RULE):
        lines = range(1, (prefix + text).count("\n") + 2)
        assert {problem.line for problem in problems_or_none(prefix + text)} <= set(lines)


def problems_or_none(text: str) -> tuple[Problem, ...]:
    """Return the problems of a document."""
    try:
        parse(text, "p")
    except DocumentError as error:
        return error.problems
    return ()
