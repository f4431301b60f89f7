"""Selectors: kinds, names, and what a wrong one is told."""

from __future__ import annotations

import pytest

from policy.selectors import (
    DESTINATION_KINDS,
    SOURCE_KINDS,
    Selector,
    SelectorKind,
    is_name,
    parse_selector,
)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("user:ann@acme.com", SelectorKind.USER, "ann@acme.com"),
        ("group:dba", SelectorKind.GROUP, "dba"),
        ("tag:prod", SelectorKind.TAG, "prod"),
        ("device:db1", SelectorKind.DEVICE, "db1"),
        ("resource:prod-db.1", SelectorKind.RESOURCE, "prod-db.1"),
    ],
)
def test_a_selector_is_read_and_written(text: str, kind: SelectorKind, name: str) -> None:
    """Each kind is read, and written as it was."""
    found = parse_selector(text, frozenset(SelectorKind))
    assert found == Selector(kind, name)
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dba", "is not a selector; write one of user:NAME, group:NAME, tag:NAME, device:NAME"),
        ("team:dba", "is not a selector"),
        ("any", "nothing here means that"),
        ("site:HQ", "has no site name after the colon"),
        ("site:hq/10.0.0.1/24", "has no network after the slash: 10.0.0.1/24 has host bits set"),
        ("claim:okta:eng", r"can not stand here: a claim stands in a group, under \[groups\]"),
        ("window:office", "a window is a condition"),
        ("resource:db", "can not stand here"),
        ("group:", "has no group name after the colon; use 1 to 63 of a-z, 0-9, '.', '_' and '-'"),
        ("device:DB1", "has no device name after the colon; use 1 to 63 of a-z, 0-9 and '-'"),
        ("user:ann lee", "has no user name"),
    ],
)
def test_a_bad_selector_says_what_to_write(text: str, words: str) -> None:
    """The message names what may stand there."""
    with pytest.raises(ValueError, match=words):
        parse_selector(text, SOURCE_KINDS)


def test_a_user_is_no_destination() -> None:
    """A flow goes to a device; who sits there is not asked."""
    with pytest.raises(
        ValueError, match="write one of tag:NAME, device:NAME, resource:NAME, site:NAME"
    ):
        parse_selector("user:ann", DESTINATION_KINDS)


def test_only_users_may_look_like_mail_addresses() -> None:
    """The forms of names are those of the signed objects."""
    assert is_name("ann@acme.com", SelectorKind.USER)
    assert not is_name("ann@acme.com", SelectorKind.TAG)
    assert not is_name("db_1", SelectorKind.DEVICE)
    assert is_name("rule_1")
