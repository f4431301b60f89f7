"""Why, asked by names."""

from __future__ import annotations

import pytest

from crypto.clock import Interval
from crypto.errors import LocalError
from policy.decide import Decision, Freshness
from policy.explain import why
from policy.model import Reason, Subject
from tests.policy.build import device, key, loaded

WORLD = """
[users.ann]
[users.db1]
[groups]
ops = ["ann"]
[tags.prod]
[devices.db1]
tags = ["prod"]
[devices.lap]
owner = "ann"
[resources.db]
host = "db1"
[resources.far]
host = "elsewhere"
[[rule]]
id = "pg"
from = ["group:ops", "device:pad"]
to = ["resource:db", "device:later"]
allow = ["tcp/5432"]
not_after = 2026-12-01T00:00:00Z
"""
POLICY, DIRECTORY = loaded(WORLD)
END = 1_796_083_200


def ask(
    src: str,
    dst: str,
    port: int = 5432,
    now: float = 0,
    subjects: tuple[Subject, ...] | None = None,
    freshness: Freshness = "fresh",
    expires: float | None = None,
) -> Decision:
    """Ask about a TCP port."""
    return why(
        POLICY,
        DIRECTORY,
        src,
        dst,
        proto=6,
        port=port,
        now=Interval.exact(now),
        subjects=subjects,
        freshness=freshness,
        expires=expires,
    )


@pytest.mark.parametrize(
    "src", ["ann", "user:ann", "group:ops", "lap", "device:lap", "device:pad", "pad"]
)
@pytest.mark.parametrize("dst", ["db", "resource:db", "db1", "device:db1", "later"])
def test_names_of_each_kind_are_understood(src: str, dst: str) -> None:
    """With or without its kind, a name finds what it means."""
    assert ask(src, dst).rule == "pg"


@pytest.mark.parametrize(
    ("src", "dst"), [("tag:prod", "db"), ("db1", "db"), ("ann", "tag:prod"), ("ann", "far")]
)
def test_what_no_rule_grants_is_explained(src: str, dst: str) -> None:
    """A bare source is a device before it is a user."""
    assert ask(src, dst).reason is Reason.NO_RULE


def test_any_instant_can_be_asked_about() -> None:
    """The answer is that of the moment given, with its reason."""
    assert ask("ann", "db", now=END - 1).valid_until == END
    decision = ask("ann", "db", now=END)
    assert (decision.allow, decision.reason, decision.rule) == (False, Reason.EXPIRED, "pg")
    assert decision.condition == "rule pg ends at 2026-12-01T00:00:00Z"


def test_the_age_of_the_bundle_can_be_asked_about() -> None:
    """An expired bundle restricts a rule that has an end."""
    assert ask("ann", "db", freshness="expired").reason is Reason.EXPIRED
    assert ask("ann", "db", expires=500).valid_until == 500


def test_devices_known_in_fact_count() -> None:
    """A device the directory does not declare is asked about as it is."""
    with pytest.raises(LocalError):
        ask("tab", "db")
    tab = device("tab", "odd", owner="ann")
    assert ask("tab", "db", subjects=(tab,)).allow
    assert ask("tag:odd", "db", subjects=(tab,)).reason is Reason.NO_RULE
    liar = Subject(key("pad"), "pad", name_trusted=False)
    assert ask("pad", "db", subjects=(liar,)).reason is Reason.UNKNOWN


@pytest.mark.parametrize(
    ("src", "dst", "words"),
    [
        ("nobody", "db", 'there is no device or user called "nobody"'),
        ("ann", "nothing", 'there is no resource or device called "nothing"'),
        ("group:none", "db", 'there is no group called "none"'),
        ("ann", "user:ann", '"user:ann" can not stand here'),
        ("team:x", "db", '"team:x" is not a selector'),
    ],
)
def test_a_name_that_means_nothing_is_an_error(src: str, dst: str, words: str) -> None:
    """It is not a deny: nothing was decided."""
    with pytest.raises(LocalError) as caught:
        ask(src, dst)
    assert words in str(caught.value)
