"""The tests of a policy: who and when they speak of, and what a failure says."""

from __future__ import annotations

import pytest

from policy.checks import TestFailure, run_tests
from policy.model import Policy, Reason
from tests.policy.build import loaded

WORLD = """
[users.ann]
[users.bob]
not_after = 2026-12-01T00:00:00Z
[users.eve]
[groups]
ops = ["ann", "bob"]
dev = ["eve"]
[tags.prod]
[tags.lab]
[devices.db1]
tags = ["prod"]
[devices.db2]
tags = ["prod", "lab"]
[resources.db]
host = "db1"
[[rule]]
id = "ssh"
from = ["group:ops"]
to = ["tag:prod"]
allow = ["tcp/22", "tcp/80-90", "icmp"]
[[rule]]
id = "lab"
from = ["user:eve", "tag:lab"]
to = ["tag:lab"]
allow = ["any"]
[[rule]]
id = "week"
from = ["user:eve"]
to = ["resource:db"]
allow = ["udp/53"]
not_before = 2026-11-23T00:00:00Z
not_after = 2026-11-30T00:00:00Z
"""
DURING = "at = 2026-11-25T00:00:00Z"
END = "at = 2026-11-30T00:00:00Z"


def failures(
    source: str, target: str, expect: str, says: str = "", more: str = ""
) -> tuple[TestFailure, ...]:
    """Run one test in the world above."""
    test = f'[[test]]\nfrom = {{ {source} }}\nto = "{target}"\nexpect = "{expect}"\n{says}\n'
    return run_tests(*loaded(WORLD + more + test))


@pytest.mark.parametrize(
    ("source", "target", "expect"),
    [
        ('user = "ann"', "db:tcp/22", "allow"),
        ('user = "ann"', "db2:tcp/80-90", "allow"),
        ('user = "ann"', "tag:prod:icmp", "allow"),
        ('group = "ops"', "tag:prod:tcp/22", "allow"),
        ('tag = "lab"', "tag:lab:any", "allow"),
        ('device = "db2"', "db2:sctp/1", "allow"),
        ('user = "ann"', "tag:lab:udp", "deny"),
        ('group = "ops"', "db:udp", "deny"),
        ('group = "ops"', "tag:prod:tcp/91-65535", "deny"),
        ('device = "db1"', "tag:prod:any", "deny"),
        (f'user = "eve", {DURING}', "db:udp/53", "allow"),
        (f'user = "eve", {END}', "db:udp/53", "deny"),
    ],
)
def test_a_right_expectation_passes_and_its_opposite_fails(
    source: str, target: str, expect: str
) -> None:
    """Exactly one of "allow" and "deny" holds where all flows asked about are decided alike."""
    assert failures(source, target, expect) == ()
    opposite = {"allow": "deny", "deny": "allow"}[expect]
    assert failures(source, target, opposite) != ()


@pytest.mark.parametrize(
    ("target", "flow"),
    [
        ("db:tcp/20-22", "tcp/20"),
        ("db:tcp/80-91", "tcp/91"),
        ("db:tcp/79-90", "tcp/79"),
        ("db:tcp/22-80", "tcp/23"),
        ("db:any", "any"),
    ],
)
def test_allow_speaks_of_every_port_in_its_range(target: str, flow: str) -> None:
    """One port that is not open fails it, and the message names that port."""
    (failure,) = failures('user = "ann"', target, "allow")
    assert failure.message.startswith(
        f"user:ann to resource:db on {flow}: expected allow, got deny"
    )


@pytest.mark.parametrize("target", ["db:tcp/1-22", "db:tcp/90-91", "db:tcp", "db:any", "db:icmp"])
def test_deny_speaks_of_every_port_in_its_range(target: str) -> None:
    """One port that is open fails it."""
    (failure,) = failures('user = "ann"', target, "deny")
    assert failure.decision.allow


def test_without_an_instant_a_test_speaks_of_every_instant() -> None:
    """A rule that will begin fails a deny, one that will end fails an allow, each at its time."""
    (begun,) = failures('user = "eve"', "db:udp/53", "deny")
    assert begun.message == (
        "user:eve to resource:db on udp/53 at 2026-11-23T00:00:00Z: "
        "expected deny, got allow by week (allowed)"
    )
    (ended,) = failures('user = "bob"', "db:tcp/22", "allow")
    assert ended.message == (
        "user:bob to resource:db on tcp/22 at 2026-12-01T00:00:00Z: "
        "expected allow, got deny by ssh (expired)"
    )


def test_allow_speaks_of_a_group_in_general() -> None:
    """A member who is blocked or has ended fails nothing that membership grants."""
    block = '[[block]]\nid = "q"\nwho = ["user:ann", "device:db1"]\n'
    assert failures('group = "ops"', "tag:prod:tcp/22", "allow", more=block) == ()
    assert failures('user = "ann"', "tag:prod:tcp/22", "allow", more=block) != ()


@pytest.mark.parametrize(
    ("source", "target", "who"),
    [
        ('group = "dev"', "tag:lab:tcp/22", ("user:eve", "tag:lab")),
        ('tag = "prod"', "db2:tcp/22", ("device:db2", "device:db2")),
        ('user = "eve"', "tag:prod:tcp/22", ("user:eve", "device:db2")),
    ],
)
def test_deny_speaks_of_everybody_listed(source: str, target: str, who: tuple[str, str]) -> None:
    """A member who may, for another reason, fails it and is named."""
    (failure,) = failures(source, target, "deny")
    assert (failure.source, failure.destination) == who


@pytest.mark.parametrize(
    ("source", "target", "expect", "says", "passes"),
    [
        ('user = "ann"', "db:tcp/22", "allow", 'rule = "ssh"', True),
        ('user = "ann"', "db:tcp/22", "allow", 'rule = "lab"', False),
        ('user = "ann"', "db:tcp/22", "allow", 'reason = "allowed"', True),
        (f'user = "eve", {END}', "db:udp/53", "deny", 'reason = "expired"', True),
        (f'user = "eve", {END}', "db:udp/53", "deny", 'reason = "not-yet"', False),
        (f'user = "eve", {END}', "db:udp/53", "deny", 'rule = "week"', True),
        (f'user = "eve", {END}', "db:udp/53", "deny", 'rule = "ssh"', False),
        ('user = "ann"', "db:udp/53", "deny", 'reason = "no-rule"', True),
    ],
)
def test_rule_and_reason_are_compared(
    source: str, target: str, expect: str, says: str, *, passes: bool
) -> None:
    """A test may say which rule decides and why."""
    assert (failures(source, target, expect, says) == ()) is passes


def test_any_rule_that_grants_may_be_the_one_expected() -> None:
    """A further rule that grants the same breaks no test."""
    more = (
        '[[rule]]\nid = "aaa"\nfrom = ["user:ann"]\nto = ["tag:prod"]\nallow = ["any"]\n'
        '[[rule]]\nid = "old"\nfrom = ["user:ann"]\nto = ["tag:prod"]\nallow = ["any"]\n'
        "not_after = 2020-01-01T00:00:00Z\n"
    )
    source = f'user = "ann", {DURING}'
    assert failures(source, "db:tcp/22", "allow", 'rule = "ssh"', more) == ()
    assert failures(source, "db:tcp/22", "allow", 'rule = "aaa"', more) == ()
    assert failures(source, "db:tcp/22", "allow", 'rule = "old"', more) != ()


def test_a_reason_is_asked_of_the_name_in_general() -> None:
    """Members need only be denied, each for a reason of his own."""
    block = '[[block]]\nid = "q"\nwho = ["user:ann"]\n'
    assert failures('group = "ops"', "tag:lab:udp/1", "deny", 'reason = "no-rule"', block) == ()


def test_a_failure_says_what_was_expected() -> None:
    """Rule and reason stand in the message."""
    (failure,) = failures('user = "ann"', "db:udp/1", "deny", 'rule = "q"\nreason = "block"', Q)
    assert failure.message == (
        "user:ann to resource:db on udp/1: expected deny by q (block), got deny (no-rule)"
    )
    assert (failure.index, failure.decision.reason) == (0, Reason.NO_RULE)


Q = '[[block]]\nid = "q"\nwho = ["tag:lab"]\n'


def test_each_test_fails_at_most_once() -> None:
    """The first failure of each test is given, in the order of the policy."""
    tests = "".join(
        f'[[test]]\nfrom = {{ user = "ann" }}\nto = "{target}"\nexpect = "deny"\n'
        for target in ("db:tcp/22", "tag:prod:any", "db:udp/1")
    )
    policy, directory = loaded(WORLD + tests)
    found = run_tests(policy, directory)
    assert [policy.tests[each.index] for each in found] == [each.test for each in found]
    assert len({each.index for each in found}) == len(found) == 2


def test_members_who_are_alike_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of a large group costs what its different members cost, not what all of them do."""
    from policy import decide

    users = "".join(f"[users.u{number}]\n" for number in range(200))
    names = ", ".join(f'"u{number}"' for number in range(200))
    rule = '[[rule]]\nid = "r"\nfrom = ["user:u7"]\nto = ["tag:t"]\nallow = ["tcp/22"]\n'
    test = '[[test]]\nfrom = { group = "g" }\nto = "tag:t:tcp/23"\nexpect = "deny"\n'
    policy, directory = loaded(f"{users}[groups]\ng = [{names}]\n[tags.t]\n{rule}{test}")
    asked: list[object] = []
    original = decide.Evaluator.decide

    def counting(self: decide.Evaluator, *args: object) -> decide.Decision:
        asked.append(args)
        return original(self, *args)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(decide.Evaluator, "decide", counting)
    assert run_tests(policy, directory) == ()
    assert len(asked) == 3  # the group in general, u7, and one of the other 199


def test_a_policy_without_tests_passes() -> None:
    """There is nothing to fail."""
    assert run_tests(Policy("acme"), loaded("")[1]) == ()
