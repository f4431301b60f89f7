"""`hedgerow policy who-can`, `what-can`, and the suppositions of `why`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Run

STRICT = """\
schema = 1
mesh = "acme"

[issuers.okta]
iss = "https://acme.okta.com"
client_id = "0oa1"
jwks = "okta.jwks.json"

[users.alice]
id = "okta:1"

[devices.db1]
[devices.gw1]

[sites]
hq = { subnets = ["10.0.0.0/24"], gateways = ["gw1"] }
branch = { subnets = ["10.7.0.0/24"], gateways = ["db1"] }

[resources.db]
host = "db1"

[postures.healthy]
max_age = "30m"
all = ["disk.encrypted == true"]

[places]
home = { country = ["IN"], cidr = ["203.0.113.0/24"] }

[[rule]]
id = "strict"
from = ["user:alice"]
to = ["resource:db"]
allow = ["tcp/5432"]
mfa = { max_age = "1h" }
posture = ["healthy"]
where = ["home"]
via = "direct"

[[rule]]
id = "branch"
from = ["site:branch"]
to = ["site:hq/10.0.0.8/29"]
allow = ["icmp"]
"""
KEYS = {"keys": [{"kty": "RSA", "kid": "k1", "n": "AQAB", "e": "AQAB"}]}
GOOD = ("--mfa-age", "30m", "--posture", "healthy", "--country", "IN", "--via", "direct")


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A policy with a condition of each kind."""
    (tmp_path / "okta.jwks.json").write_text(json.dumps(KEYS))
    path = tmp_path / "strict.toml"
    path.write_text(STRICT)
    return path


def test_who_can_in_words(run: Run, strict: Path) -> None:
    """Who, the ports, all conditions, and the rule."""
    done = run("policy", "who-can", strict, "db:tcp/5432")
    assert done.code == 0
    for words in ("user:alice", "tcp/5432", "the device is healthy", "the path is direct"):
        assert words in done.out
    assert run("policy", "who-can", strict, "db:udp/53").out == "Nobody can reach db:udp/53.\n"


def test_who_can_as_json(run: Run, strict: Path) -> None:
    """The same under stable keys; the name may have its kind or be an address."""
    for what in ("10.0.0.9", "site:hq/10.0.0.9:icmp"):
        (found,) = run("policy", "who-can", strict, what, "--json").json["reach"]
        assert (found["from"], found["rule"], found["allow"]) == ("site:branch", "branch", True)
    assert run("policy", "who-can", strict, "device:db1", "--json").json["reach"]


def test_what_can(run: Run, strict: Path) -> None:
    """What a name can reach, or that it can reach nothing."""
    done = run("policy", "what-can", strict, "alice")
    assert "resource:db" in done.out
    assert run("policy", "what-can", strict, "gw1").out == "gw1 can reach nothing.\n"
    reach = run("policy", "what-can", strict, "site:branch", "--json").json["reach"]
    assert [each["to"] for each in reach] == ["site:hq/10.0.0.8/29"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("who-can", "db:tpc/22"), 2, '"tpc/22" names no protocol'),
        (("who-can", "nothing"), 1, 'there is no resource or device called "nothing"'),
        (("who-can", "192.0.2.1"), 1, "no site has the address 192.0.2.1"),
        (("what-can", "nobody"), 1, 'there is no device or user called "nobody"'),
        (("why", "alice", "192.0.2.1:tcp/22"), 1, "no site has the address"),
        (("why", "alice", "db:tcp/22", "--posture", "odd"), 1, 'no posture called "odd"'),
        (("why", "alice", "db:tcp/22", "--country", "india"), 1, "two capital letters"),
        (("why", "alice", "db:tcp/22", "--cidr", "10.0.0.7/8"), 1, "host bits set"),
        (("why", "alice", "db:tcp/22", "--cidr", "10.0.0.7", "--via", "relay"), 1, "nobody sees"),
        (("why", "alice", "db:tcp/22", "--via", "pigeon"), 2, "'pigeon' is not one of"),
        (("why", "alice", "db:tcp/22", "--mfa-age", "long"), 2, "'long' is not a span of time"),
    ],
)
def test_what_makes_no_sense_is_an_error(
    run: Run, strict: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Each says what is wrong with it."""
    verb, *rest = arguments
    done = run("policy", verb, strict, *rest)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_suppositions_make_a_rule_grant(run: Run, strict: Path) -> None:
    """With all that the rule asks for it allows, and says until when."""
    asked = ("policy", "why", strict, "alice", "db:tcp/5432", "--json")
    assert run(*asked).json["reason"] == "no-token"
    done = run(*asked, *GOOD, "--at", "2026-11-23T05:00:00Z")
    assert (done.code, done.json["decision"], done.json["rule"]) == (0, "allow", "strict")
    assert done.json["valid_until"] == "2026-11-23T05:30:00Z"
    by_address = ("--mfa-age", "30m", "--posture", "healthy", "--cidr", "203.0.113.7")
    assert run(*asked, *by_address).code == 0


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--mfa-age", "61m", "mfa-stale"),
        ("--country", "DE", "place"),
        ("--via", "relay", "relay"),
    ],
)
def test_what_is_supposed_amiss_is_named(
    run: Run, strict: Path, option: str, value: str, reason: str
) -> None:
    """The reason, the condition that failed and a remedy are told."""
    options = [*GOOD]
    options[options.index(option) + 1] = value
    if value == "relay":
        del options[options.index("--country") : options.index("--country") + 2]
    done = run("policy", "why", strict, "alice", "db:tcp/5432", "--json", *options)
    assert (done.code, done.json["reason"]) == (1, reason)
    assert done.json["condition"]
    assert done.json["remedy"]


def test_sites_and_addresses_can_be_asked_about(run: Run, strict: Path) -> None:
    """A site is a source, and an address at one a destination."""
    assert run("policy", "why", strict, "site:branch", "10.0.0.9:icmp").code == 0
    assert run("policy", "why", strict, "site:branch", "10.0.0.99:icmp").code == 1
