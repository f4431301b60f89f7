"""The decision: who and what match, what is said when they do not, and what wins."""

from __future__ import annotations

import pytest

from crypto.clock import Interval
from crypto.objects import Directory, DirectoryDevice, User
from policy.decide import Decision, Freshness, decide
from policy.model import Block, Defaults, Facts, OnExpiry, Policy, Reason, Rule, Subject
from tests.policy.build import RESOURCES, device, key, rule, selectors

DB = device("db1", "prod")
LAP = device("lap", owner="ann")
DIRECTORY = Directory(
    users={"ann": User(), "bob": User("okta:1"), "cy": User(not_after=200)},
    groups={"ops": ("ann", "bob", "cy")},
    tags={"prod": ()},
)
SSH = rule("ssh", "group:ops", "tag:prod", "tcp/22")


def ask(
    *rules: Rule,
    source: Subject = LAP,
    destination: Subject = DB,
    flow: tuple[int | None, int | None] = (6, 22),
    now: float | Interval = 100,
    blocks: tuple[Block, ...] = (),
    directory: Directory = DIRECTORY,
    on_expiry: OnExpiry = OnExpiry.RESTRICT,
    freshness: Freshness = "fresh",
    expires: float | None = None,
) -> Decision:
    """Decide under some rules."""
    policy = Policy(
        "acme",
        tuple(sorted(rules, key=lambda each: each.id)),
        blocks,
        RESOURCES,
        defaults=Defaults(on_expiry=on_expiry),
    )
    return decide(
        policy,
        directory,
        source=source,
        destination=destination,
        proto=flow[0],
        port=flow[1],
        facts=Facts(),
        now=now if isinstance(now, Interval) else Interval.exact(now),
        freshness=freshness,
        expires=expires,
    )


def test_nothing_is_allowed_by_itself() -> None:
    """Without a rule the answer is no, for ever, with something to do."""
    decision = ask()
    assert decision == Decision(
        allow=False,
        rule=None,
        reason=Reason.NO_RULE,
        condition="a rule grants it",
        remedy="ask an admin for a rule, or compare with `hedgerow policy matrix`",
        valid_until=None,
    )


def test_a_rule_grants() -> None:
    """A rule that matches both ends and the port grants, for as long as nothing can end it."""
    assert ask(SSH) == Decision(allow=True, rule="ssh", reason=Reason.ALLOWED)


@pytest.mark.parametrize(
    ("sources", "destinations", "allow"),
    [
        ("user:ann", "resource:db", "tcp"),
        ("device:lap", "device:db1", "any"),
        ("tag:none user:ann", "tag:none tag:prod", "udp/1 tcp/20-22"),
    ],
)
def test_each_kind_of_selector_matches(sources: str, destinations: str, allow: str) -> None:
    """Any one selector of each side is enough, whatever its kind."""
    assert ask(rule("r", sources, destinations, allow)).allow


@pytest.mark.parametrize(
    ("sources", "destinations", "allow"),
    [
        ("user:bob", "tag:prod", "any"),
        ("group:dev", "tag:prod", "any"),
        ("tag:prod", "tag:prod", "any"),
        ("user:ann", "tag:lab", "any"),
        ("user:ann", "resource:web", "any"),
        ("user:ann", "tag:prod", "tcp/23 udp/22 icmp"),
    ],
)
def test_what_does_not_match_is_no_rule(sources: str, destinations: str, allow: str) -> None:
    """A rule for somebody else, something else or another port says nothing here."""
    decision = ask(rule("r", sources, destinations, allow))
    assert (decision.allow, decision.rule, decision.reason) == (False, None, Reason.NO_RULE)


def test_direction_counts() -> None:
    """A rule opens one direction; replies belong to the flow, another flow back does not."""
    assert not ask(SSH, source=DB, destination=LAP).allow


@pytest.mark.parametrize(
    ("flow", "allow"), [((1, None), True), ((58, None), True), ((17, 1), False)]
)
def test_icmp_covers_both_families(flow: tuple[int, int | None], *, allow: bool) -> None:
    """One word opens ICMP on IPv4 and on IPv6."""
    assert ask(rule("r", "user:ann", "tag:prod", "icmp"), flow=flow).allow is allow


def test_a_protocol_without_a_name_needs_any() -> None:
    """A flow no rule can name is covered by `any` alone."""
    assert not ask(rule("r", "user:ann", "tag:prod", "tcp udp sctp icmp"), flow=(47, None)).allow
    assert ask(rule("r", "user:ann", "tag:prod", "any"), flow=(47, None)).allow


def test_a_user_with_an_identity_must_log_in() -> None:
    """The owner of a ticket is not enough for a user who has an identity at an issuer."""
    decision = ask(SSH, source=device("lap", owner="bob"))
    assert (decision.allow, decision.rule, decision.reason) == (False, "ssh", Reason.NO_TOKEN)
    assert decision.condition == "user bob is logged in"
    assert "hedgerow login" in decision.remedy


def test_a_user_ends() -> None:
    """A contractor's access ends at the instant the directory names."""
    source = device("lap", owner="cy")
    assert ask(SSH, source=source, now=199).valid_until == 200
    decision = ask(SSH, source=source, now=200)
    assert (decision.allow, decision.reason, decision.valid_until) == (False, Reason.EXPIRED, None)
    assert decision.condition == "user cy ends at 1970-01-01T00:03:20Z"


def test_an_owner_who_is_not_in_the_directory_is_nobody() -> None:
    """A user who was taken out of the directory loses what names him, and learns why."""
    decision = ask(rule("r", "user:eve", "tag:prod", "any"), source=device("lap", owner="eve"))
    assert (decision.allow, decision.reason) == (False, Reason.UNKNOWN)
    assert decision.remedy == "ask an admin to add [users.eve]"


def test_a_rule_begins_and_ends() -> None:
    """Before the beginning it is not yet, from the end on it has expired."""
    week = rule("week", "user:ann", "tag:prod", "tcp/22", not_before=100, not_after=200)
    early = ask(week, now=99)
    assert (early.allow, early.reason, early.valid_until) == (False, Reason.NOT_YET, 100)
    assert (ask(week, now=100).allow, ask(week, now=100).valid_until) == (True, 200)
    late = ask(week, now=200)
    assert (late.allow, late.rule, late.reason) == (False, "week", Reason.EXPIRED)
    assert (late.remedy, late.valid_until) == ("ask an admin to extend it", None)


@pytest.mark.parametrize("border", [100, 200])
def test_a_clock_that_straddles_a_border_grants_nothing(border: int) -> None:
    """Unknown is not True."""
    week = rule("week", "user:ann", "tag:prod", "tcp/22", not_before=100, not_after=200)
    decision = ask(week, now=Interval.around(border, 1))
    assert (decision.allow, decision.reason) == (False, Reason.UNKNOWN)


@pytest.mark.parametrize("end", ["source", "destination"])
def test_a_device_ends(end: str) -> None:
    """Either device's validity bounds what it may do or be asked."""
    mortal = {
        "source": device("lap", owner="ann", until=150),
        "destination": device("db1", "prod", until=150),
    }[end]
    before = ask(SSH, **{end: mortal}, now=149)  # type: ignore[arg-type] # source or destination
    after = ask(SSH, **{end: mortal}, now=150)  # type: ignore[arg-type] # source or destination
    assert (before.allow, before.valid_until) == (True, 150)
    assert (after.allow, after.reason) == (False, Reason.EXPIRED)
    assert after.condition.startswith(f"device {mortal.name} ends at")


def test_the_rule_that_grants_longest_is_named() -> None:
    """Of several rules the latest deadline counts; ties go to the lowest id."""
    short = rule("a", "user:ann", "tag:prod", "tcp/22", not_after=150)
    long = rule("b", "user:ann", "tag:prod", "tcp/22", not_after=180)
    same = rule("c", "user:ann", "tag:prod", "any", not_after=180)
    assert (ask(short, long, same).rule, ask(short, long, same).valid_until) == ("b", 180)
    assert ask(short, long, SSH).rule == "ssh"
    assert ask(SSH, rule("zzz", "user:ann", "tag:prod", "tcp/22")).rule == "ssh"


def test_the_rule_that_came_nearest_is_explained() -> None:
    """Unknown before False, sooner before never, then the lowest id."""
    over = rule("a", "user:ann", "tag:prod", "tcp/22", not_after=50)
    soon = rule("b", "user:ann", "tag:prod", "tcp/22", not_before=300)
    sooner = rule("c", "user:ann", "tag:prod", "tcp/22", not_before=200)
    decision = ask(over, soon, sooner)
    assert (decision.rule, decision.reason, decision.valid_until) == ("c", Reason.NOT_YET, 200)
    token = rule("d", "user:bob", "tag:prod", "tcp/22")
    decision = ask(
        over,
        sooner,
        token,
        rule("e", "group:ops", "tag:lab", "tcp/22"),
        source=device("lap", owner="bob"),
    )
    assert (decision.rule, decision.reason) == ("d", Reason.NO_TOKEN)


def test_what_is_surely_false_is_named_before_what_is_unknown() -> None:
    """To log in does not help where the rule itself has ended."""
    over = rule("a", "user:bob", "tag:prod", "tcp/22", not_after=50)
    assert ask(over, source=device("lap", owner="bob")).reason is Reason.EXPIRED


BLOCKED_BY = ["user:ann", "group:ops", "tag:prod", "device:lap", "device:db1"]


@pytest.mark.parametrize("who", BLOCKED_BY)
def test_a_block_wins_at_either_end(who: str) -> None:
    """Whoever is blocked neither asks nor answers, whatever the rules say."""
    decision = ask(SSH, blocks=(Block("q", selectors([who])),))
    assert (decision.allow, decision.rule, decision.reason) == (False, "q", Reason.BLOCK)
    assert decision.condition == f"neither end is {who}"
    assert decision.remedy == "ask an admin to lift the block q"


def test_the_block_of_lowest_id_is_named() -> None:
    """Which of several blocks is named does not depend on which end matches."""
    blocks = (Block("a", selectors(["tag:prod"])), Block("b", selectors(["device:lap"])))
    assert ask(SSH, blocks=blocks).rule == "a"


@pytest.mark.parametrize("owner", ["bob", "cy", "eve"])
def test_nothing_unknown_or_expired_lifts_a_block(owner: str) -> None:
    """A user who has no token, has ended or was taken out is still the one who is blocked."""
    rules = rule("r", "device:lap", "tag:prod", "any")
    blocks = (Block("q", selectors([f"user:{owner}"])),)
    assert ask(rules, source=device("lap", owner=owner), now=300).allow
    decision = ask(rules, source=device("lap", owner=owner), now=300, blocks=blocks)
    assert decision.reason is Reason.BLOCK


def test_a_name_a_device_gave_itself_grants_nothing() -> None:
    """It is Unknown: no grant, and for a block a match."""
    named = rule("r", "device:lap", "tag:prod", "any")
    liar = device("lap", trusted=False)
    decision = ask(named, source=liar)
    assert (decision.allow, decision.reason) == (False, Reason.UNKNOWN)
    assert decision.condition == "the name lap was given by an admin"
    assert decision.remedy == "ask an admin to put the device's key under [devices.lap]"
    blocks = (Block("q", selectors(["device:lap"])),)
    assert (
        ask(rule("t", "tag:x", "tag:prod", "any"), source=liar, blocks=blocks).reason
        is Reason.BLOCK
    )


def test_a_pinned_name_belongs_to_its_key() -> None:
    """With a key in the directory, the key has the name and the resources, and nobody else has."""
    directory = Directory(devices={"db1": DirectoryDevice(key("other"))})
    to_name = rule("r", "device:lap", "device:db1 resource:db", "any")
    renamed = Subject(key("other"), "mine", name_trusted=False)
    assert ask(to_name, destination=renamed, directory=directory).allow
    assert ask(to_name, destination=DB, directory=directory).reason is Reason.NO_RULE


def test_a_declared_name_without_a_key_goes_to_whom_an_admin_gave_it() -> None:
    """A declaration alone pins nothing."""
    directory = Directory(devices={"db1": DirectoryDevice()})
    to_name = rule("r", "device:lap", "device:db1", "any")
    assert ask(to_name, directory=directory).allow


TIMED = rule("timed", "user:ann", "tag:prod", "tcp/22", not_after=900)
KEPT = rule("kept", "user:ann", "tag:prod", "tcp/22", not_after=900, survives_expiry=True)


@pytest.mark.parametrize(
    ("on_expiry", "static", "timed", "kept"),
    [
        (OnExpiry.RESTRICT, True, False, True),
        (OnExpiry.KEEP, True, True, True),
        (OnExpiry.DENY, False, False, False),
    ],
)
def test_an_expired_bundle_ends_what_it_should(
    on_expiry: OnExpiry, *, static: bool, timed: bool, kept: bool
) -> None:
    """`restrict` leaves static grants and survivors, `keep` all, `deny` none."""
    rules = {SSH: static, TIMED: timed, KEPT: kept}
    for each, allow in rules.items():
        decision = ask(each, on_expiry=on_expiry, freshness="expired")
        assert decision.allow is allow
        assert allow or decision.reason is Reason.EXPIRED
        assert allow or decision.condition == "the bundle has not expired"


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
def test_a_stale_bundle_changes_nothing(on_expiry: OnExpiry) -> None:
    """Staleness is an alarm."""
    assert ask(TIMED, on_expiry=on_expiry, freshness="stale") == ask(TIMED, on_expiry=on_expiry)


@pytest.mark.parametrize(
    ("on_expiry", "static", "timed", "kept"),
    [
        (OnExpiry.RESTRICT, None, 500, 900),
        (OnExpiry.KEEP, None, 900, 900),
        (OnExpiry.DENY, 500, 500, 500),
    ],
)
def test_a_grant_ends_with_its_bundle(
    on_expiry: OnExpiry, static: float | None, timed: float | None, kept: float | None
) -> None:
    """Told when the bundle expires, a grant that will end then says so before."""
    for each, until in {SSH: static, TIMED: timed, KEPT: kept}.items():
        assert ask(each, on_expiry=on_expiry, expires=500).valid_until == until


def test_a_stale_token_reason_beats_the_expired_bundle() -> None:
    """What fails anyway is explained before the bundle's age."""
    decision = ask(SSH, source=device("lap", owner="bob"), freshness="expired")
    assert decision.reason is Reason.NO_TOKEN
