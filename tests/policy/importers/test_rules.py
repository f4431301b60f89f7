"""Access rules: what each becomes, and how what has no equivalent is left out and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy.limits import RULE_RANGES_MAX, RULE_SELECTORS_MAX
from tests.policy.importers.build import (
    EVERY,
    GROUPS,
    TAGS,
    acl,
    document,
    grant,
    imported,
    left,
)


@pytest.mark.parametrize(
    ("proto", "ports", "allow"),
    [
        (None, "*", EVERY),
        ("", "22", ["icmp", "tcp/22", "udp/22"]),
        ("tcp", "80,443", ["icmp", "tcp/80", "tcp/443"]),
        ("TCP", "20-30,25-40", ["icmp", "tcp/20-40"]),
        ("6", "1-65535", ["icmp", "tcp"]),
        (17, "53", ["icmp", "udp/53"]),
        ("sctp", "*", ["icmp", "sctp"]),
        ("icmp", "*", ["icmp"]),
        ("58", "*", ["icmp"]),
    ],
)
def test_protocols_and_ports(proto: str | int | None, ports: str, allow: list[str]) -> None:
    """Without a protocol TCP and UDP are meant, and ICMP always comes along."""
    entry = acl(dst=[f"tag:web:{ports}"]) | ({} if proto is None else {"proto": proto})
    result = imported(acls=[entry])
    assert result.not_imported == ()
    assert document(result)["rule"] == [
        {"id": "acl-1", "from": ["group:ops"], "to": ["tag:web"], "allow": allow}
    ]


@pytest.mark.parametrize(
    ("capabilities", "allow"),
    [
        (["*"], EVERY),
        (["443"], ["icmp", "tcp/443", "udp/443"]),
        (["tcp:443", "udp:53-60"], ["icmp", "tcp/443", "udp/53-60"]),
        (["tcp:80,443", "sctp:*", "icmp:*"], ["icmp", "tcp/80", "tcp/443", "sctp"]),
    ],
)
def test_capabilities_of_grants(capabilities: list[str], allow: list[str]) -> None:
    """A grant's `ip` takes protocols with ports, and either alone."""
    result = imported(grants=[grant(ip=capabilities)])
    assert result.not_imported == ()
    assert document(result)["rule"] == [
        {"id": "grant-1", "from": ["group:ops"], "to": ["tag:web"], "allow": allow}
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"dst": ["tag:web:0"]}, "not within the ports"),
        ({"dst": ["tag:web:30-20"]}, "not within the ports"),
        ({"dst": ["tag:web:65536"]}, "not within the ports"),
        ({"dst": ["tag:web:ssh"]}, "no port"),
        ({"dst": ["tag:web:1-2-3"]}, "no port"),
        ({"dst": ["tag:web:²"]}, "no port"),
        ({"dst": ["tag:web"]}, "no port"),
        ({"proto": "icmp"}, "ICMP has no ports"),
        ({"proto": "gre"}, "can name tcp, udp, sctp and icmp"),
        ({"proto": "47"}, "can name tcp, udp, sctp and icmp"),
        ({"proto": "06"}, "is no protocol"),
        ({"proto": "0"}, "is no protocol"),
        ({"proto": "256"}, "is no protocol"),
        ({"proto": "*"}, "is no protocol"),
        ({"proto": ["tcp"]}, "its proto is no text"),
        ({"action": "deny"}, "its action"),
        ({"srcPosture": ["posture:mac"]}, "posture"),
        ({"someday": False}, 'its field "someday"'),
        ({"users": ["*"]}, 'it has both "src" and "users"'),
        ({"src": "group:ops"}, "a text where a list is expected"),
        ({"src": [["group:ops"]]}, "a list where a text is expected"),
        ({"src": [{"user": 1}]}, "an object where a text is expected"),
        ({"src": [None, 1]}, "a number where a text is expected"),
        ({"src": []}, "none of its sources is left"),
        ({"dst": []}, "no destination is left"),
    ],
)
def test_acls_left_out(fields: dict[str, Any], why: str) -> None:
    """An entry that is not understood to the end opens nothing, and is named with its line."""
    result = imported(acls=[acl(**fields)])
    assert "rule" not in document(result)
    assert any(why in each.why for each in result.not_imported)
    lines = json.dumps({"groups": GROUPS, "tagOwners": TAGS, "acls": [acl(**fields)]}, indent=1)
    first = lines[: lines.index('"acls"')].count("\n") + 2
    assert all(each.line >= first for each in result.not_imported)
    assert all(each.what.startswith("acl 1") for each in result.not_imported)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"via": ["tag:db"]}, "routers"),
        ({"srcPosture": ["posture:mac"]}, "posture"),
        ({"ip": []}, "no port is left"),
        ({"ip": ["tcp:ssh"]}, "no port"),
        ({"ip": ["icmp:8"]}, "ICMP has no ports"),
        ({"ip": ["gre:*"]}, "can name tcp, udp, sctp and icmp"),
        ({"ip": [":22"]}, "is no protocol"),
        ({"dst": ["tag:web:22"]}, "tagOwners does not declare this tag"),
        ({"dst": ["svc:web"]}, "services"),
        ({"proto": "tcp"}, 'its field "proto"'),
    ],
)
def test_grants_left_out(fields: dict[str, Any], why: str) -> None:
    """A grant that is not understood to the end opens nothing, and is named."""
    result = imported(grants=[grant(**fields)])
    assert "rule" not in document(result)
    assert any(why in each.why for each in result.not_imported)


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("*", "everybody"),
        ("autogroup:member", "everybody with an account"),
        ("autogroup:tagged", "name the tags"),
        ("autogroup:self", "owners of two devices"),
        ("autogroup:internet", "exit nodes"),
        ("autogroup:admin", "who has this role"),
        ("user:*@x.org", "everybody of a domain"),
        ("group:eng@x.org", "identity provider"),
        ("tag:other", "tagOwners does not declare this tag"),
        ("ipset:office", "sets of addresses"),
        ("router", "it is the host 100.64.1.2; which device has this address"),
        ("lan", "it is the host 10.0.0.0/8; addresses behind a gateway"),
        ("100.100.7.7", "which device has this address"),
        ("fd7a:115c:a1e0::1", "which device has this address"),
        ("[fd7a:115c:a1e0::1]", "which device has this address"),
        ("192.168.1.0/24", "addresses behind a gateway"),
        ("2001:db8::1", "addresses behind a gateway"),
        ("what", "the file does not say what it is"),
    ],
)
def test_selectors_left_out(selector: str, why: str) -> None:
    """What no selector of ours means is left out and named, and what stands beside it stays."""
    hosts = {"router": "100.64.1.2", "lan": "10.0.0.0/8"}
    entry = acl(src=["group:ops", selector], dst=["tag:web:22", f"{selector}:22"])
    result = imported(acls=[entry], hosts=hosts)
    assert document(result)["rule"] == [
        {
            "id": "acl-1",
            "from": ["group:ops"],
            "to": ["tag:web"],
            "allow": ["icmp", "tcp/22", "udp/22"],
        }
    ]
    for what in (f'acl 1 src "{selector}"', f'acl 1 dst "{selector}:22"'):
        assert why in left(result)[what]


@pytest.mark.parametrize("selector", ["ann@x.org", "group:ops"])
def test_rules_do_not_lead_to_users(selector: str) -> None:
    """Users and groups are sources here, and no destinations."""
    result = imported(grants=[grant(dst=["tag:web", selector])])
    assert document(result)["rule"][0]["to"] == ["tag:web"]
    assert "a rule here leads to devices" in left(result)[f'grant 1 dst "{selector}"']


def test_one_rule_for_each_set_of_ports() -> None:
    """Tags with equal ports share a rule, and the ports of a tag that stands twice join."""
    entry = acl(proto="tcp", dst=["tag:web:80", "tag:db:22", "tag:web:81", "tag:ci:80-81"])
    got = document(imported(acls=[entry], tagOwners={**TAGS, "tag:ci": []}))
    assert [(rule["id"], rule["to"], rule["allow"]) for rule in got["rule"]] == [
        ("acl-1", ["tag:web", "tag:ci"], ["icmp", "tcp/80-81"]),
        ("acl-1-2", ["tag:db"], ["icmp", "tcp/22"]),
    ]


def test_long_rules_are_cut() -> None:
    """A rule with more selectors or ranges than one may have becomes several."""
    users = [f"u{number}@x.org" for number in range(RULE_SELECTORS_MAX + 1)]
    ports = ",".join(str(port) for port in range(1, 2 * RULE_RANGES_MAX + 1, 2))
    got = document(imported(acls=[acl(src=users, proto="tcp", dst=[f"tag:web:{ports}"])]))
    assert [rule["id"] for rule in got["rule"]] == ["acl-1", "acl-1-2", "acl-1-3", "acl-1-4"]
    assert {user for rule in got["rule"] for user in rule["from"]} == {
        f"user:{user}" for user in users
    }
