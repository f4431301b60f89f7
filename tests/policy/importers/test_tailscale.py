"""Tailscale's policy files: all but the rules, whole files, names and tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crypto.objects import Directory
from policy.checks import run_tests
from policy.compile import compile_document
from policy.document import DocumentError, parse
from policy.importers.hujson import HujsonError
from policy.importers.tailscale import convert
from policy.limits import GROUPS_OF_USER_MAX
from policy.model import Policy
from tests.policy.importers.build import EVERY, acl, document, grant, imported, left

DATA = Path(__file__).parent / "data"


def test_a_whole_file() -> None:
    """A file with a bit of everything becomes the document that stands beside it."""
    text = (DATA / "acl.hujson").read_text()
    result = convert(text, "acl.hujson", mesh="acme")
    assert result.toml == (DATA / "acl.toml").read_text()
    assert convert(text, "acl.hujson", mesh="acme") == result


def test_a_default_posture_narrows_every_rule() -> None:
    """A posture that holds for all rules leaves all of them out."""
    sections = {"acls": [acl()], "grants": [grant(srcPosture=[])]}
    result = imported(**sections, defaultSrcPosture=["posture:mac"])
    assert "rule" not in document(result)
    assert set(left(result)) == {"acl 1", "grant 1", "defaultSrcPosture"}
    assert imported(**sections, defaultSrcPosture=[]).not_imported == ()


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("ssh", [{"action": "check"}]),
        ("sshTests", [{}]),
        ("nodeAttrs", [{"target": ["*"], "attr": ["funnel"]}]),
        ("postures", {"posture:mac": []}),
        ("ipsets", {"ipset:office": []}),
        ("autoApprovers", {"exitNode": ["tag:web"]}),
        ("derpMap", {"OmitDefaultRegions": True}),
        ("disableIPv4", True),
        ("OneCGNATRoute", "mac-always"),
        ("randomizeClientPort", True),
        ("inventedTomorrow", {"a": 1}),
    ],
)
def test_sections_left_out(section: str, value: object) -> None:
    """A section without equivalent is named; one that says nothing is not."""
    assert set(left(imported(**{section: value}))) == {section}
    assert imported(**{section: type(value)()}).not_imported == ()


@pytest.mark.parametrize("sections", [{}, {"acls": None}, {"grants": None, "groups": {}}])
def test_no_rules_at_all(sections: dict[str, Any]) -> None:
    """Where Tailscale lets everybody reach everything, nothing is allowed, and that is said."""
    result = convert(json.dumps(sections), "acl.hujson", mesh="acme")
    assert "rule" not in document(result)
    assert "everybody then reaches everything" in left(result)["no acls and no grants"]


def test_no_rules_on_purpose() -> None:
    """An empty list of rules denies everything there too, so nothing is left out."""
    assert convert('{"acls": []}', "acl.hujson", mesh="acme").not_imported == ()


def test_names_that_are_not_legal_here() -> None:
    """Names become legal, none of two becomes one, and every change is told."""
    groups = {
        "group:Dev": ["Ann@X.org", "ann@x.org", "o'neil@passkey", "ann@x.org-2", "ANN@x.org"],
        "group:+": ["é@x.org"],
        "group:" + "a" * 70: [],
        "group:" + "a" * 71: [],
    }
    result = imported(groups=groups)
    got = document(result)
    assert got["groups"] == {
        "dev": ["ann@x.org-4", "ann@x.org", "o-neil@passkey", "ann@x.org-2", "ann@x.org-3"],
        "_-": ["_-@x.org"],
        "a" * 63: [],
        "a" * 61 + "-2": [],
    }
    notes = {note.what: note.why for note in result.notes}
    assert notes['group "Dev"'] == "is called dev here"
    assert notes['user "Ann@X.org"'] == (
        "is called ann@x.org-4 here, since ann@x.org stands for another; join them if they are one"
    )
    assert len(notes) == 8
    assert result.not_imported == ()


def test_groups_and_tags() -> None:
    """Groups hold users, tags are owned by users and groups; anything else is named."""
    result = imported(
        groups={"group:ops": ["ann@x.org", "group:dev", "tag:web"], "dev": []},
        tagOwners={"tag:web": ["group:ops", "bob@x.org", "autogroup:admin", "tag:web"], "db": []},
    )
    got = document(result)
    assert got["groups"] == {"ops": ["ann@x.org"]}
    assert got["tags"] == {"web": {"owners": ["group:ops", "user:bob@x.org"]}}
    assert set(got["users"]) == {"ann@x.org", "bob@x.org"}
    assert set(left(result)) == {
        'group:ops member "group:dev"',
        'group:ops member "tag:web"',
        '"dev"',
        'tag:web owner "autogroup:admin"',
        'tag:web owner "tag:web"',
        '"db"',
    }


def test_fields_are_known_in_any_case() -> None:
    """Old files write `ACLs`, `Users` and `Ports`; a field that is there twice is refused."""
    text = '{"TagOwners": {"tag:web": []}, "ACLs": [{"Action": "accept", "Users": ["tag:web"], '
    result = convert(text + '"Ports": ["tag:web:*"]}]}', "acl.hujson", mesh="acme")
    assert result.not_imported == ()
    assert document(result)["rule"][0]["allow"] == EVERY
    doubled = text + '"Ports": ["tag:web:*"], "srcPosture": ["posture:x"],\n"SrcPosture": []}]}'
    with pytest.raises(HujsonError, match=r'acl.hujson:2:1: "SrcPosture" is "srcPosture" of line'):
        convert(doubled, "acl.hujson", mesh="acme")


def test_tests_for_either_protocol() -> None:
    """Without a protocol a test is of TCP or UDP: one of them if it accepts, both if it denies."""
    result = imported(
        acls=[acl(proto="udp", dst=["tag:web:53"])],
        tests=[{"src": "group:ops", "accept": ["tag:web:53"], "deny": ["tag:db:53"]}],
    )
    source = {"group": "ops"}
    assert document(result)["test"] == [
        {"from": source, "to": "tag:web:udp/53", "expect": "allow"},
        {"from": source, "to": "tag:db:tcp/53", "expect": "deny"},
        {"from": source, "to": "tag:db:udp/53", "expect": "deny"},
    ]
    assert result.notes == ()


def test_tests_of_one_protocol() -> None:
    """A test may name a protocol, its source may be a user or tag, and `allow` is an old word."""
    result = imported(
        acls=[acl(src=["tag:db"])],
        tests=[
            {"user": "ann@x.org", "proto": "tcp", "deny": ["tag:web:22"]},
            {"src": "tag:db", "proto": "icmp", "allow": ["tag:web:0"]},
        ],
    )
    got = document(result)
    assert got["test"] == [
        {"from": {"user": "ann@x.org"}, "to": "tag:web:tcp/22", "expect": "deny"},
        {"from": {"tag": "db"}, "to": "tag:web:icmp", "expect": "allow"},
    ]
    assert (result.not_imported, result.notes) == ((), ())


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ({"src": "router", "accept": ["tag:web:22"]}, "the file does not say what it is"),
        ({"accept": ["tag:web:22"]}, "it has no source"),
        ({"src": ["tag:db"], "accept": ["tag:web:22"]}, "it has no source"),
        ({"src": "tag:db", "accept": ["tag:web:*"]}, "one port by its number"),
        ({"src": "tag:db", "accept": ["tag:web:80,443"]}, "one port by its number"),
        ({"src": "tag:db", "accept": ["tag:web:0"]}, "0 is no port"),
        ({"src": "tag:db", "deny": ["192.0.2.1:22"]}, "addresses behind a gateway"),
        ({"src": "tag:db", "deny": ["ann@x.org:22"]}, "a rule here leads to devices"),
        ({"src": "tag:db", "proto": "gre", "deny": ["tag:web:1"]}, "can name tcp"),
        ({"src": "tag:db", "srcPostureAttrs": {"node:os": "linux"}}, "postures"),
        ({"src": "tag:db", "tomorrow": 1, "deny": ["tag:web:22"]}, 'its field "tomorrow"'),
    ],
)
def test_tests_left_out(test: dict[str, Any], why: str) -> None:
    """A test that can not be asked here is named."""
    result = imported(tests=[test])
    assert "test" not in document(result)
    assert any(why in each.why for each in result.not_imported)


def test_tests_that_fail_are_told_of() -> None:
    """A test that what was imported does not pass stays in the document, and is told of."""
    result = imported(
        acls=[acl(src=["autogroup:member"]), acl(src=["tag:db"])],
        tests=[{"src": "ann@x.org", "accept": ["tag:web:22"]},
               {"src": "tag:db", "deny": ["tag:web:22"]}],
    )  # fmt: skip
    assert [(note.what, note.why.partition(":")[0]) for note in result.notes] == [
        ('test 1 accept "tag:web:22"', "this test fails"),
        ('test 2 deny "tag:web:22"', "this test fails"),
    ]
    compiled = compile_document(parse(result.toml, "imported.toml"))
    policy = Policy.decode(compiled.policy)
    assert len(run_tests(policy, Directory.from_payload(compiled.directory))) == 3


def test_a_user_of_too_many_groups() -> None:
    """Beyond the groups a user may be in, memberships are left out and named."""
    groups = {f"group:g{number}": ["ann@x.org"] for number in range(GROUPS_OF_USER_MAX + 1)}
    result = imported(groups=groups)
    assert document(result)["groups"][f"g{GROUPS_OF_USER_MAX}"] == []
    assert set(left(result)) == {f'group:g{GROUPS_OF_USER_MAX} member "ann@x.org"'}


@pytest.mark.parametrize("section", ["groups", "tagOwners", "hosts", "acls", "grants", "tests"])
@pytest.mark.parametrize("value", [1, "x", True, [1], {"a": 1}])
def test_sections_of_a_wrong_shape(section: str, value: object) -> None:
    """A section of another shape opens nothing, and is named unless it fits after all."""
    result = imported(**{section: value})
    assert "rule" not in document(result)
    assert result.not_imported != ()


def test_control_characters_stay_out_of_the_comments() -> None:
    """What a file says can not end a comment, or command a terminal."""
    name = 'x\n[[rule]]\nid = "evil"\u202e\x1b[2J'
    result = convert(json.dumps({"acls": [], name: 1}), "a\nb.hujson", mesh="acme")
    assert "rule" not in document(result)
    assert left(result) == {name: "what this section does is not known here"}
    assert "\x1b" not in result.toml
    assert "\u202e" not in result.toml
    assert str(result.not_imported[0]).isprintable()


@pytest.mark.parametrize("text", ["[]", "1", '"acls"', "null"])
def test_a_file_of_another_kind(text: str) -> None:
    """What is no object is no policy file."""
    with pytest.raises(HujsonError, match=r"acl.hujson:1:1: a policy file is one object"):
        convert(text, "acl.hujson", mesh="acme")


def test_a_mesh_that_can_not_be() -> None:
    """The document that came out is compiled before anybody gets it."""
    with pytest.raises(DocumentError, match=r"what was made of acl.hujson:2: "):
        convert('{"acls": []}', "acl.hujson", mesh="No Mesh")
