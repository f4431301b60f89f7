"""Sites: how they are cut into regions, and what a gateway lets pass."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Directory
from policy.claims import Party
from policy.decide import Evaluator, Moment
from policy.facts import FactKind, Facts, Via
from policy.grants import NodeRules, SiteGrant
from policy.model import Block, Policy, Rule, Selector, SelectorKind, Subject
from policy.ports import PortRange
from policy.selectors import Network
from policy.sites import Site, overlaps, regions, within
from tests.policy.build import (
    RANDOM,
    SITES,
    World,
    device,
    flows,
    moments,
    rule,
    selectors,
    worlds,
)

NOON = Moment(Interval.exact(0))


def networks() -> st.SearchStrategy[Network]:
    """Return a strategy for networks within 10.0.0.0/24."""
    return st.builds(
        lambda at, bits: ip_network((int(IPv4Network("10.0.0.0/24")[at]), bits), strict=False),
        st.integers(0, 255),
        st.integers(24, 32),
    )


@given(st.lists(networks(), max_size=5), st.integers(0, 255))
@RANDOM
def test_regions_are_alike_within_and_do_not_overlap(named: list[Network], at: int) -> None:
    """Each address is in one region, and a named network holds all of a region or none."""
    site = IPv4Network("10.0.0.0/24")
    found = regions([site], named)
    assert sum(region.num_addresses for region in found) == 256
    assert list(overlaps(found)) == []
    assert len([region for region in found if site[at] in region]) == 1
    for region in found:
        for each in named:
            assert within(region, each) or not region.overlaps(each)


def test_the_two_families_never_meet() -> None:
    """An IPv6 network is not in an IPv4 one, whatever their bits."""
    assert not within(ip_network("::/64"), ip_network("0.0.0.0/0"))
    assert list(overlaps([ip_network("::/0"), ip_network("0.0.0.0/0")])) == []


@pytest.mark.parametrize(
    ("subnets", "gateways", "words"),
    [
        ((), ("a",), "1 to 256 subnets"),
        (("10.0.0.0/8",), (), "1 to 16 gateways"),
        (("10.0.0.0/8",), ("A",), "names of devices"),
        (("10.0.0.0/8",), ("b", "a"), "must be sorted"),
        (("10.0.0.0/8", "10.0.0.0/16"), ("a",), "10.0.0.0/8 and 10.0.0.0/16 overlap"),
    ],
)
def test_a_site_is_refused(
    subnets: tuple[str, ...], gateways: tuple[str, ...], words: str
) -> None:
    """Nothing, too much, disorder and overlaps make no site."""
    with pytest.raises(ValueError, match=words):
        Site(tuple(map(ip_network, subnets)), gateways)


GW = device("gw1")
FAR = device("lap")
PC = device("pc", "office")


def shares(*rules: Rule, blocks: tuple[Block, ...] = (), me: Subject = GW) -> NodeRules:
    """Return a node's rules in a mesh with two sites."""
    policy = Policy(
        "acme",
        tuple(sorted(rules, key=lambda each: each.id)),
        blocks,
        {"printer": "hq/10.0.0.9/32"},
        sites=SITES,
    )
    return NodeRules(policy, Directory(), me)


def texts(grants: tuple[SiteGrant, ...]) -> set[tuple[str, ...]]:
    """Return grants as texts: from, to, ports, rules."""
    return {
        (str(each.source), str(each.destination), str(each.grant.ports), *each.grant.rules)
        for each in grants
    }


def test_a_device_reaches_a_resource_through_the_gateway() -> None:
    """The gateway lets it in to that address, and the device lets it out to the gateway."""
    printing = rule("print", "tag:office", "resource:printer", "tcp/631")
    found = shares(printing).grants([PC], NOON)
    expected = {("None", "10.0.0.9/32", "tcp/631", "print")}
    assert texts(found.inbound_sites[PC.device_id]) == expected
    assert (found.inbound, found.outbound, found.outbound_sites) == ({}, {}, {})
    found = shares(printing, me=PC).grants([GW], NOON)
    assert texts(found.outbound_sites[GW.device_id]) == expected
    assert (found.inbound, found.outbound, found.inbound_sites) == ({}, {}, {})


def test_a_network_reaches_a_network_in_one_direction() -> None:
    """From the branch to a part of the other site, and not back (T73)."""
    crossing = rule("pos", "site:far", "site:hq/10.0.1.0/24", "tcp/1433")
    found = shares(crossing).grants([FAR], NOON)
    expected = {("10.7.0.0/24", "10.0.1.0/24", "tcp/1433", "pos")}
    assert texts(found.inbound_sites[FAR.device_id]) == expected
    assert found.outbound_sites == {}
    found = shares(crossing, me=FAR).grants([GW], NOON)
    assert texts(found.outbound_sites[GW.device_id]) == expected
    assert found.inbound_sites == {}


def test_a_network_reaches_a_device() -> None:
    """At the device the source is the network, behind the peer that stands before it."""
    found = shares(rule("in", "site:far", "tag:office", "tcp/22"), me=PC).grants([FAR], NOON)
    assert texts(found.inbound_sites[FAR.device_id]) == {("10.7.0.0/24", "None", "tcp/22", "in")}


def test_the_rest_of_a_site_is_cut_around_its_parts() -> None:
    """A rule for all of a site covers each region once, a narrower one its own."""
    found = shares(
        rule("all", "tag:office", "site:hq", "tcp/80"),
        rule("one", "tag:office", "resource:printer", "tcp/631"),
    ).grants([PC], NOON)
    grants = found.inbound_sites[PC.device_id]
    web = [each for each in grants if each.grant.rules == ("all",)]
    printing = [each for each in grants if each.grant.rules == ("one",)]
    assert [str(each.destination) for each in printing] == ["10.0.0.9/32"]
    sizes = [each.destination.num_addresses for each in web if each.destination is not None]
    assert sum(sizes) == 512
    assert list(overlaps(each.destination for each in web if each.destination is not None)) == []


def test_who_names_himself_is_no_gateway() -> None:
    """A name that the device chose opens no network to it."""
    liar = Subject(GW.device_id, "gw1", name_trusted=False)
    crossing = rule("pos", "site:far", "site:hq", "any")
    assert shares(crossing, me=liar).grants([FAR], NOON).inbound_sites == {}
    stranger = Subject(FAR.device_id, "lap", name_trusted=False)
    assert shares(crossing).grants([stranger], NOON).inbound_sites == {}


@pytest.mark.parametrize("who", ["site:far", "site:hq", "device:lap", "device:gw1"])
def test_a_block_of_a_site_or_gateway_ends_the_crossing(who: str) -> None:
    """Whoever is blocked at either end, nothing passes."""
    crossing = rule("pos", "site:far", "site:hq", "any")
    assert shares(crossing).grants([FAR], NOON).inbound_sites != {}
    blocked = shares(crossing, blocks=(Block("x", selectors([who])),))
    assert blocked.grants([FAR], NOON).inbound_sites == {}


def test_a_gateway_that_ends_takes_its_network_along() -> None:
    """The validity of the gateway's device is a condition of what comes from behind it."""
    crossing = rule("pos", "site:far", "site:hq/10.0.1.0/24", "any")
    leaving = device("lap", until=500)
    (found,) = shares(crossing).grants([leaving], NOON).inbound_sites[FAR.device_id]
    assert found.grant.until == 500
    later = shares(crossing).grants([leaving], Moment(Interval.exact(500)))
    assert later.inbound_sites == {}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, set()),
        ({"mfa_max_age": 60}, {FactKind.LOGIN}),
        ({"where": ("home",)}, {FactKind.PLACE, FactKind.PATH}),
        ({"via": Via.DIRECT}, {FactKind.PATH}),
    ],
)
def test_a_node_wants_only_what_its_rules_look_at(
    changes: dict[str, object], kinds: set[FactKind]
) -> None:
    """Facts of a peer that no rule of this node could look at are not asked for."""
    asking = Rule(
        "in",
        selectors(["tag:office"]),
        selectors(["device:gw1"]),
        (PortRange(),),
        **changes,  # type: ignore[arg-type]
    )
    from tests.policy.build import PLACES

    policy = Policy("acme", (asking,), places=PLACES)
    node = NodeRules(policy, Directory(), GW)
    assert node.wanted(PC) == kinds
    assert node.wanted(device("other")) == frozenset()


@given(worlds(), moments(), flows())
@RANDOM
def test_the_share_of_a_gateway_is_the_decision(
    world: World, now: Interval, flow: tuple[int | None, int | None]
) -> None:
    """An address of a site is open to a peer exactly if `decide` says so, whoever enforces."""
    evaluator = Evaluator(world.policy, world.directory)
    moment = Moment(now, world.facts)
    for me in world.devices:
        found = NodeRules(world.policy, world.directory, me).grants(
            [each for each in world.devices if each is not me], moment
        )
        mine = evaluator.party(me, moment)
        for peer in world.devices:
            if peer is me or evaluator.blocked(mine, evaluator.party(peer, moment)):
                continue
            grants = found.inbound_sites.get(peer.device_id, ())
            for site in evaluator.identities.sites_of(me):
                for region in evaluator.regions(site):
                    party: Party = evaluator.identities.site(site, region, mine)
                    decision = evaluator.decide(evaluator.party(peer, moment), party, flow, moment)
                    exact = [
                        each.grant
                        for each in grants
                        if each.source is None
                        and each.destination == region
                        and each.grant.ports.covers(*flow)
                    ]
                    assert bool(exact) is decision.allow


def test_a_part_of_a_site_is_written_in_one_way() -> None:
    """A selector knows its site and its network."""
    part = Selector(SelectorKind.SITE, "hq/10.0.1.0/24")
    assert (part.base, part.network) == ("hq", ip_network("10.0.1.0/24"))
    assert Selector(SelectorKind.SITE, "hq").network is None
    assert Facts().of(b"") == Facts().of(b"other")
