"""One node's share: ranges that do not overlap, each with its rules and its deadline."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from crypto.clock import Interval
from crypto.objects import Directory, User
from policy.decide import Flow, Moment, decide
from policy.grants import Grant, NodeGrants, NodeRules, node_grants
from policy.model import ANY, Block, Defaults, Facts, OnExpiry, Policy, Rule, Subject
from tests.policy.build import (
    RANDOM,
    RESOURCES,
    World,
    device,
    flows,
    key,
    moments,
    rule,
    selectors,
    worlds,
)

DB = device("db1", "prod")
LAP = device("lap", owner="ann")
PHONE = device("phone", owner="bob")
DIRECTORY = Directory(users={"ann": User(), "bob": User(not_after=150), "cy": User("okta:1")})


def share(
    *rules: Rule,
    me: Subject = DB,
    peers: Iterable[Subject] = (LAP, PHONE),
    now: float | Interval = 100,
    blocks: tuple[Block, ...] = (),
    lease: int = 50,
) -> NodeGrants:
    """Give the grants of one node."""
    return node_grants(
        Policy("acme", rules, blocks, RESOURCES, defaults=Defaults(lease=lease)),
        DIRECTORY,
        me=me,
        peers=tuple(peers),
        facts=Facts(),
        now=now if isinstance(now, Interval) else Interval.exact(now),
    )


def shown(grants: Iterable[Grant]) -> list[tuple[str, str]]:
    """Write grants as ports and rules."""
    return [(str(grant.ports), " ".join(grant.rules)) for grant in grants]


@pytest.mark.parametrize(
    ("rules", "cut"),
    [
        ({"a": "tcp/20-30", "b": "tcp/25"}, {"tcp/20-24": "a", "tcp/25": "a b", "tcp/26-30": "a"}),
        ({"a": "tcp/20-30", "b": "tcp/20-30"}, {"tcp/20-30": "a b"}),
        ({"a": "tcp/20-22", "b": "tcp/23-30"}, {"tcp/20-22": "a", "tcp/23-30": "b"}),
        ({"a": "tcp", "b": "tcp/65535"}, {"tcp/1-65534": "a", "tcp/65535": "a b"}),
        ({"a": "tcp/22 tcp/443"}, {"tcp/22": "a", "tcp/443": "a"}),
        ({"a": "tcp/22", "b": "udp/22"}, {"tcp/22": "a", "udp/22": "b"}),
        ({"a": "any", "b": "tcp/22"}, {"any": "a", "tcp/22": "a b"}),
        ({"a": "icmp", "b": "any"}, {"any": "b", "icmp": "a b", "icmpv6": "a b"}),
        (
            {"a": "tcp/20 tcp/22", "b": "tcp"},
            {
                "tcp/1-19": "b",
                "tcp/20": "a b",
                "tcp/21": "b",
                "tcp/22": "a b",
                "tcp/23-65535": "b",
            },
        ),
    ],
)
def test_ports_are_cut_where_the_rules_change(rules: dict[str, str], cut: dict[str, str]) -> None:
    """Each range lists every rule that grants it, those for anything included."""
    found = share(*(rule(name, "user:ann", "tag:prod", allow) for name, allow in rules.items()))
    assert dict(shown(found.inbound[LAP.device_id])) == cut
    assert found.next_change is None


def test_directions_are_kept_apart() -> None:
    """What a peer may open here is inbound, what we may open there is outbound."""
    rules = [
        rule("in", "user:ann", "tag:prod", "tcp/22"),
        rule("out", "tag:prod", "device:lap", "udp/53"),
    ]
    here = share(*rules)
    assert shown(here.inbound[LAP.device_id]) == [("tcp/22", "in")]
    assert shown(here.outbound[LAP.device_id]) == [("udp/53", "out")]
    there = share(*rules, me=LAP, peers=[DB])
    assert there.outbound[DB.device_id] == here.inbound[LAP.device_id]
    assert there.inbound[DB.device_id] == here.outbound[LAP.device_id]


def test_a_peer_without_a_grant_is_missing() -> None:
    """A peer that no rule concerns stands in neither direction."""
    found = share(rule("in", "user:ann", "tag:prod", "tcp/22"))
    assert (set(found.inbound), set(found.outbound)) == ({LAP.device_id}, set())


def test_a_static_grant_has_no_deadline() -> None:
    """What nothing can end by itself stays in the kernel without one."""
    found = share(rule("in", "user:ann", "tag:prod", "tcp/22"))
    assert found.inbound[LAP.device_id][0].until is None


def test_a_conditional_grant_ends_with_its_condition_or_its_lease() -> None:
    """The earlier of the two counts, and half a lease later the node looks again."""
    rules = [rule("in", "user:bob", "tag:prod", "tcp/22")]
    near = share(*rules, now=120)
    assert (near.inbound[PHONE.device_id][0].until, near.next_change) == (150, 150)
    far = share(*rules, now=99)
    assert (far.inbound[PHONE.device_id][0].until, far.next_change) == (149, 124)
    exactly = share(*rules, now=100)
    assert (exactly.inbound[PHONE.device_id][0].until, exactly.next_change) == (150, 150)


def test_a_lease_counts_from_the_late_end_of_the_clock() -> None:
    """Deadlines are readings of the late end, as all ends are."""
    found = share(rule("in", "user:bob", "tag:prod", "tcp/22"), now=Interval(0, 80))
    assert found.inbound[PHONE.device_id][0].until == 130


def test_the_latest_deadline_of_a_range_counts() -> None:
    """A static rule beside a timed one leaves the range without a deadline, and names itself."""
    timed = rule("a", "user:ann", "tag:prod", "tcp/20-30", not_after=400)
    static = rule("b", "user:ann", "tag:prod", "tcp/25")
    grants = share(timed, static, lease=1_000).inbound[LAP.device_id]
    assert [(str(each.ports), each.until, each.rule) for each in grants] == [
        ("tcp/20-24", 400, "a"),
        ("tcp/25", None, "b"),
        ("tcp/26-30", 400, "a"),
    ]


def test_a_rule_that_begins_later_is_the_next_change() -> None:
    """Nothing is granted yet, but the node knows when to look again."""
    found = share(rule("soon", "user:ann", "tag:prod", "tcp/22", not_before=300))
    assert (found.inbound, found.next_change) == ({}, 300)


def test_a_user_without_a_login_is_granted_nothing() -> None:
    """Unknown opens nothing, and time alone will not change it."""
    found = share(rule("in", "user:cy", "tag:prod", "any"), peers=[device("tab", owner="cy")])
    assert found == NodeGrants({}, {}, None)


def test_a_blocked_peer_has_no_grants() -> None:
    """Neither direction, and the others keep theirs."""
    blocks = (Block("q", selectors(["device:lap"])),)
    rules = [rule("both", "user:ann user:bob tag:prod", "device:lap tag:prod", "any")]
    found = share(*rules, blocks=blocks)
    assert (set(found.inbound), set(found.outbound)) == ({PHONE.device_id}, set())


def test_a_blocked_node_grants_nothing() -> None:
    """A node that is blocked itself keeps nothing open in either direction."""
    blocks = (Block("q", selectors(["tag:prod"])),)
    assert share(rule("in", "user:ann", "tag:prod", "any"), blocks=blocks) == NodeGrants(
        {}, {}, None
    )


def test_rules_found_once_answer_for_some_peers() -> None:
    """A change of one device needs only that device to be judged again."""
    rules = (rule("in", "user:ann user:bob", "tag:prod", "tcp/22"),)
    node = NodeRules(Policy("acme", rules), DIRECTORY, DB)
    both = node.grants([LAP, PHONE], Moment(Interval.exact(0)))
    one = node.grants([PHONE], Moment(Interval.exact(0)))
    assert one.inbound == {PHONE.device_id: both.inbound[PHONE.device_id]}
    later = node.grants([PHONE], Moment(Interval.exact(150)))
    assert later.inbound == {}


def found_for(grants: Iterable[Grant], flow: Flow) -> Grant | None:
    """Look a flow up as the kernel does: the exact range, or else the one for anything."""
    covering = [grant for grant in grants if grant.ports.covers(*flow)]
    exact = [grant for grant in covering if grant.ports != ANY]
    assert len(exact) <= 1, "two ranges overlap"
    return next(iter([*exact, *covering]), None)


@given(worlds(), moments(), flows())
@RANDOM
def test_the_share_of_a_node_is_the_decision(world: World, now: Interval, flow: Flow) -> None:
    """For every flow in either direction the grants say what `decide` says, and no more."""
    me, *peers = world.devices
    lease = world.policy.defaults.lease
    found = node_grants(
        world.policy, world.directory, me=me, peers=peers, facts=world.facts, now=now
    )
    for peer in peers:
        for grants, source, destination in (
            (found.inbound, peer, me),
            (found.outbound, me, peer),
        ):
            decision = decide(
                world.policy,
                world.directory,
                source=source,
                destination=destination,
                proto=flow[0],
                port=flow[1],
                facts=world.facts,
                now=now,
            )
            grant = found_for(grants.get(peer.device_id, ()), flow)
            assert (grant is not None) is decision.allow
            if grant is not None:
                until = decision.valid_until
                assert grant.rule == decision.rule
                assert grant.until == (None if until is None else min(until, now.hi + lease))


def share_of(world: World, now: Interval) -> NodeGrants:
    """Return the share of a world's first device."""
    me, *peers = world.devices
    return node_grants(
        world.policy, world.directory, me=me, peers=peers, facts=world.facts, now=now
    )


@given(worlds(), moments())
@RANDOM
def test_nothing_changes_before_the_next_change(world: World, now: Interval) -> None:
    """Up to `next_change` every grant stays as it is, its renewed lease aside."""
    me, *peers = world.devices
    before = node_grants(
        world.policy, world.directory, me=me, peers=peers, facts=world.facts, now=now
    )
    end = 1_000.0 if before.next_change is None else before.next_change
    assert end > now.hi
    for part in (0.01, 0.5, 0.99):
        step = (end - now.hi) * part
        later = Interval(now.lo + step, now.hi + step)
        after = share_of(world, later)
        assert leaseless(after) == leaseless(before)


def leaseless(found: NodeGrants) -> list[object]:
    """Give all that may not change while only a lease is renewed."""
    return [
        {
            peer: [(each.ports, each.rules, each.rule, each.until is None) for each in grants]
            for peer, grants in direction.items()
        }
        for direction in (found.inbound, found.outbound)
    ]


@pytest.mark.parametrize("on_expiry", list(OnExpiry))
def test_an_expired_bundle_reaches_the_grants(on_expiry: OnExpiry) -> None:
    """The age of the bundle, and when it will end, count here as in a decision."""
    rules = (rule("in", "user:ann", "tag:prod", "tcp/22"),)
    policy = Policy("acme", rules, defaults=Defaults(on_expiry=on_expiry, lease=50))
    node = NodeRules(policy, DIRECTORY, DB)
    old = node.grants([LAP], Moment(Interval.exact(0), freshness="expired"))
    assert bool(old.inbound) is (on_expiry is not OnExpiry.DENY)
    soon = node.grants([LAP], Moment(Interval.exact(0), expires=20))
    until = 20 if on_expiry is OnExpiry.DENY else None
    assert soon.inbound[LAP.device_id][0].until == until


def test_many_peers_share_what_was_cut_once() -> None:
    """Peers that are granted the same by the same rules share one tuple."""
    rules = [rule("in", "tag:x", "tag:prod", "tcp/22 udp/53")]
    peers = [
        Subject(key("lap") + bytes([n]), f"p{n}", True, None, frozenset({"x"})) for n in range(9)
    ]
    found = share(*rules, peers=peers)
    assert len({id(grants) for grants in found.inbound.values()}) == 1
