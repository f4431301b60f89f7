"""Who a device is: its owner, who is logged in, and groups by claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crypto.clock import Interval
from crypto.objects import Directory, User
from policy.decide import Decision, Evaluator, Moment
from policy.facts import DeviceFacts, Facts, Login
from policy.grants import NodeRules
from policy.issuers import Claim
from policy.model import Block, Defaults, Policy, Reason, Rule, Subject
from tests.policy.build import OKTA, device, rule, selectors

LAP = device("lap", owner="ann")
KIOSK = device("kiosk")
DB = device("db1", "prod")
DIRECTORY = Directory(
    users={"ann": User("okta:1"), "bob": User("okta:2"), "cy": User()},
    groups={"eng": ()},
)
LOGIN = Login("okta", "1", iat=100, exp=500, original_iat=100, groups=frozenset({"eng"}))
USERS = rule("users", "user:ann", "tag:prod", "tcp/22")
ENG = rule("eng", "group:eng", "tag:prod", "tcp/22")
TAGGED = rule("tagged", "device:lap", "tag:prod", "tcp/22")


def asked(
    one: Rule,
    login: Login | None,
    *,
    blocks: str = "",
    source: Subject = LAP,
    at: float = 200,
    revoked: Facts | None = None,
) -> Decision:
    """Decide whether a device with a login may open tcp/22 to the database."""
    policy = Policy(
        "acme",
        (one,),
        (Block("x", selectors(blocks.split())),) if blocks else (),
        issuers={"okta": OKTA},
        claims={"eng": (Claim("okta", "eng"),)},
        defaults=Defaults(session_max=1_000),
    )
    facts = replace(revoked or Facts(), devices={source.device_id: DeviceFacts(login)})
    moment = Moment(Interval.exact(at), facts)
    evaluator = Evaluator(policy, DIRECTORY)
    ends = evaluator.party(source, moment), evaluator.party(DB, moment)
    decision = evaluator.decide(*ends, (6, 22), moment)
    grants = NodeRules(policy, DIRECTORY, source).grants([DB], moment).outbound
    assert bool(grants) is decision.allow
    return decision


def test_an_owner_who_is_logged_in_is_himself() -> None:
    """What his name and his group by claim are granted lasts as long as his token."""
    for each in (USERS, ENG):
        decision = asked(each, LOGIN)
        assert (decision.allow, decision.valid_until) == (True, 500)
        assert asked(each, LOGIN, at=500).reason is Reason.EXPIRED
        assert asked(each, None).reason is Reason.NO_TOKEN


def test_somebody_else_on_the_device_is_nobody() -> None:
    """Neither the owner nor the other is granted anything, and the remedy names the owner."""
    other = replace(LOGIN, subject="2")
    assert asked(USERS, other).reason is Reason.NO_TOKEN
    decision = asked(rule("bob", "user:bob", "tag:prod", "tcp/22"), other)
    assert (decision.allow, decision.reason) == (False, Reason.NO_TOKEN)
    assert "have ann, whose device it is, run `hedgerow login`" in decision.remedy
    assert asked(TAGGED, other).allow
    assert asked(TAGGED, other, blocks="user:bob").reason is Reason.BLOCK


def test_a_device_without_an_owner_is_whoever_is_logged_in() -> None:
    """A person of the directory counts, and a stranger does not."""
    assert asked(USERS, LOGIN, source=KIOSK).allow
    assert asked(USERS, None, source=KIOSK).reason is Reason.NO_RULE
    stranger = replace(LOGIN, subject="9")
    assert asked(USERS, stranger, source=KIOSK).reason is Reason.NO_RULE
    assert asked(ENG, stranger, source=KIOSK).reason is Reason.NO_RULE


def test_a_token_says_who_is_in_a_group() -> None:
    """Who is not listed is not in it; where the token has no groups nobody knows."""
    assert asked(ENG, replace(LOGIN, groups=frozenset({"ops"}))).reason is Reason.NO_RULE
    assert asked(ENG, replace(LOGIN, groups=None)).reason is Reason.NO_TOKEN


def test_who_might_be_in_a_blocked_group_is_blocked() -> None:
    """Only a token that says that he is not lifts it, and only while it is good (2.4)."""
    outside = replace(LOGIN, groups=frozenset())
    assert asked(TAGGED, None, blocks="group:eng").reason is Reason.BLOCK
    assert asked(TAGGED, LOGIN, blocks="group:eng").reason is Reason.BLOCK
    decision = asked(TAGGED, outside, blocks="group:eng")
    assert (decision.allow, decision.valid_until) == (True, 500)
    assert asked(TAGGED, outside, blocks="group:eng", at=500).reason is Reason.BLOCK
    assert asked(TAGGED, None, blocks="group:eng", source=device("lap", owner="cy")).allow


def test_t36_a_revoked_user_is_gone_at_once() -> None:
    """The token is still good, and nothing is granted for it (T36)."""
    revoked = Facts(revoked_users=frozenset({"ann"}))
    for each in (USERS, ENG, replace(TAGGED, mfa_max_age=1_000)):
        proved = replace(LOGIN, auth_time=100, amr=frozenset({"mfa"}))
        assert asked(each, proved).allow
        decision = asked(each, proved, revoked=revoked)
        assert (decision.allow, decision.reason, decision.valid_until) == (
            False,
            Reason.REVOKED,
            None,
        )
    assert asked(TAGGED, LOGIN, blocks="group:eng", revoked=revoked).reason is Reason.BLOCK


def test_a_revoked_grant_is_gone_at_once() -> None:
    """The rule stays in the policy and grants nothing."""
    revoked = Facts(revoked_rules=frozenset({"users"}))
    decision = asked(USERS, LOGIN, revoked=revoked)
    assert (decision.rule, decision.reason) == ("users", Reason.REVOKED)


@pytest.mark.parametrize(("owner", "reason"), [("ann", Reason.NO_TOKEN), ("cy", Reason.NO_TOKEN)])
def test_several_factors_need_somebody_who_is_logged_in(owner: str, reason: Reason) -> None:
    """However the source is named, a proof is a person's; who has no identity has none."""
    both = replace(TAGGED, mfa_max_age=1_000)
    assert asked(both, None, source=device("lap", owner=owner)).reason is reason
    proved = replace(LOGIN, auth_time=100, amr=frozenset({"mfa"}))
    assert asked(both, proved, source=device("lap", owner=owner)).allow is (owner == "ann")
    session = asked(both, replace(proved, exp=300))
    assert (session.allow, session.valid_until) == (True, 300)
