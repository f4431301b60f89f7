"""The engine: from verified state to what the kernel should hold."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.clock import Interval
from crypto.objects import Device
from node.engine.compute import KEEPALIVE_SECONDS, Engine, compute
from node.engine.desired import GID_MASK, GID_PREFIX, Desired
from node.engine.view import Freshness, interface_name
from policy.decide import Moment, decide
from policy.grants import NodeGrants, NodeRules
from policy.model import Block, Facts, Policy, Rule, Selector, SelectorKind, Subject
from policy.ports import normalise, parse_ports
from tests.node.engine.world import DEVICES, DIRECTORY, IDS, NOW, allows, device, view

TIME = Interval.exact(NOW)


def tag(name: str) -> Selector:
    """Select by tag."""
    return Selector(SelectorKind.TAG, name)


def named(name: str) -> Selector:
    """Select by device name."""
    return Selector(SelectorKind.DEVICE, name)


def rule(
    name: str,
    sources: tuple[Selector, ...],
    destinations: tuple[Selector, ...],
    ports: str,
    *,
    not_before: int | None = None,
    not_after: int | None = None,
) -> Rule:
    """Return a rule."""
    return Rule(
        name,
        tuple(sorted(sources)),
        tuple(sorted(destinations)),
        normalise(parse_ports(ports)),
        not_before=not_before,
        not_after=not_after,
    )


SSH = Policy("acme", rules=(rule("ssh", (named("alice-laptop"),), (tag("prod"),), "tcp/22"),))


def test_without_a_bundle_nothing_is_allowed() -> None:
    """A fresh node denies everything and has no tunnel peers."""
    computed = compute(view("db1", None), TIME)
    assert computed.desired.peers == {}
    assert computed.desired.plan.inbound.classes == {}
    assert computed.desired.plan.outbound.classes == {}
    assert computed.next_change is None


def test_a_device_that_is_not_in_force_gets_nothing() -> None:
    """Before it is sponsored, and after it is revoked, a node opens nothing."""
    others = {key: each for key, each in DEVICES.items() if key != IDS["db1"]}
    assert compute(view("db1", SSH, devices=others), TIME).desired.peers == {}


def test_the_plan_names_our_own_ends() -> None:
    """Interface, addresses, ranges and ports come from the view."""
    plan = compute(view("db1", SSH), TIME).desired.plan
    me = DEVICES[IDS["db1"]]
    assert plan.interface == interface_name(me.device_id)
    assert (plan.address4, plan.address6) == (me.address4, me.address6)
    assert (plan.wireguard_port, plan.control_port) == (41_641, 50_000)
    assert plan.address6 in plan.pool6


def test_both_ends_see_one_rule_from_their_side() -> None:
    """The responder lets it in, the initiator lets it out, and nobody else sees it."""
    db1, alice = DEVICES[IDS["db1"]], DEVICES[IDS["alice-laptop"]]
    at_db1 = compute(view("db1", SSH), TIME).desired
    at_alice = compute(view("alice-laptop", SSH), TIME).desired
    assert allows(at_db1, "in", alice, 6, 22, NOW)
    assert not allows(at_db1, "in", alice, 6, 23, NOW)
    assert not allows(at_db1, "out", alice, 6, 22, NOW)
    assert allows(at_alice, "out", db1, 6, 22, NOW)
    assert not allows(at_alice, "in", db1, 6, 22, NOW)
    assert compute(view("ci", SSH), TIME).desired.peers == {}


def test_only_peers_that_a_rule_names_are_configured_with_their_own_addresses() -> None:
    """Allowed-ips are a /32 and a /128; a device without a rule is an unknown key."""
    peers = compute(view("db1", SSH), TIME).desired.peers
    alice = DEVICES[IDS["alice-laptop"]]
    assert set(peers) == {alice.wireguard_public}
    peer = peers[alice.wireguard_public]
    assert peer.device_id == alice.device_id
    assert peer.allowed_ips == (IPv4Network(alice.address4), IPv6Network(alice.address6))


def test_routes_are_the_ranges_of_the_mesh() -> None:
    """Whatever we may not reach is refused by our own firewall instead of leaking outside."""
    desired = compute(view("db1", SSH), TIME).desired
    assert desired.routes == (desired.plan.pool4, desired.plan.pool6)


def test_a_path_is_the_endpoint_and_no_path_leaves_it_alone() -> None:
    """Gossip's confirmed path is where WireGuard sends; without one it is not told."""
    alice = DEVICES[IDS["alice-laptop"]]
    seen = view("db1", SSH)
    assert compute(seen, TIME).desired.peers[alice.wireguard_public].endpoint is None
    seen = replace(seen, paths={alice.device_id: ("203.0.113.9", 4000)})
    peer = compute(seen, TIME).desired.peers[alice.wireguard_public]
    assert peer.endpoint == ("203.0.113.9", 4000)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [((), 0), (("db1",), KEEPALIVE_SECONDS), (("alice-laptop",), KEEPALIVE_SECONDS), (("ci",), 0)],
)
def test_keepalives_run_where_either_end_is_behind_a_translator(
    behind: tuple[str, ...], expected: int
) -> None:
    """Only such a way closes by itself."""
    seen = replace(view("db1", SSH), natted=frozenset(IDS[name] for name in behind))
    (peer,) = compute(seen, TIME).desired.peers.values()
    assert peer.keepalive_seconds == expected


def test_a_deadline_is_on_the_permission_and_is_when_to_look_again() -> None:
    """What ends by itself carries its end; what does not has none."""
    policy = Policy(
        "acme",
        rules=(
            rule("a-week", (named("ci"),), (tag("prod"),), "tcp/443", not_after=NOW + 60),
            *SSH.rules,
        ),
    )
    computed = compute(view("db1", policy), TIME)
    live = computed.desired.plan.inbound.live
    ends = {
        name: {live[key] for key in live if key[0] == DEVICES[IDS[name]].address4}
        for name in ("ci", "alice-laptop")
    }
    assert ends == {"ci": {NOW + 60.0}, "alice-laptop": {None}}
    assert computed.next_change == NOW + 60


def test_a_lease_is_renewed_before_it_ends() -> None:
    """A grant that can end lives one lease at a time, and the next look is before its end."""
    policy = Policy(
        "acme",
        rules=(rule("long", (named("ci"),), (tag("prod"),), "tcp/443", not_after=NOW + 10**6),),
    )
    computed = compute(view("db1", policy), TIME)
    (until,) = set(computed.desired.plan.inbound.live.values())
    assert until == NOW + policy.defaults.lease
    assert computed.next_change is not None
    assert NOW < computed.next_change < until


def test_an_expired_bundle_keeps_static_rules_only() -> None:
    """restrict, the default: what no condition ends stays, the rest stops."""
    policy = Policy(
        "acme",
        rules=(
            rule("a-week", (named("ci"),), (tag("prod"),), "tcp/443", not_after=NOW + 600),
            *SSH.rules,
        ),
    )
    seen = replace(view("db1", policy), freshness="expired")
    live = compute(seen, TIME).desired.plan.inbound.live
    assert {address for address, _ in live} == {
        DEVICES[IDS["alice-laptop"]].address4,
        DEVICES[IDS["alice-laptop"]].address6,
    }


def test_the_directory_gives_tags_to_pinned_devices_and_to_vouched_names() -> None:
    """An entry without a key speaks of the device an admin gave that name, and of no other."""
    policy = Policy("acme", rules=(rule("b", (tag("build"),), (named("db1"),), "any"),))
    ci = DEVICES[IDS["ci"]].wireguard_public
    assert ci in compute(view("db1", policy), TIME).desired.peers
    unproven = view("db1", policy, vouched=("db1", "gateway"))
    assert compute(unproven, TIME).desired.peers == {}


def test_numbers_are_the_same_on_every_run_and_in_their_space() -> None:
    """Another process computes the same plan, bit for bit, so a restart changes nothing."""
    one, other = compute(view("db1", SSH), TIME), compute(view("db1", SSH), TIME)
    assert one == other
    for gid in one.desired.plan.inbound.ports.values():
        assert gid & GID_MASK == GID_PREFIX


def test_peers_with_equal_grants_share_a_class() -> None:
    """A port is in the table once, however many may use it."""
    policy = Policy("acme", rules=(rule("r", (tag("prod"),), (named("ci"),), "tcp/80"),))
    inbound = compute(view("ci", policy), TIME).desired.plan.inbound
    assert len(set(inbound.classes.values())) == 1
    assert len(inbound.ports) == 1
    assert len(inbound.classes) == 4


def test_a_copied_wireguard_key_robs_nobody() -> None:
    """A device that claims another's key gives its own address away and takes none."""
    alice, ci = DEVICES[IDS["alice-laptop"]], DEVICES[IDS["ci"]]
    thief = replace(ci, wireguard_public=alice.wireguard_public)
    policy = Policy(
        "acme", rules=(rule("r", (named("alice-laptop"), named("ci")), (tag("prod"),), "any"),)
    )
    seen = view("db1", policy, devices={**DEVICES, ci.device_id: thief})
    peers = compute(seen, TIME).desired.peers
    assert set(peers) == {alice.wireguard_public}
    assert IPv4Network(alice.address4) in peers[alice.wireguard_public].allowed_ips


@pytest.mark.parametrize("thief_name", ["ci", "gateway", "stranger"])
def test_a_copied_wireguard_key_leads_nobody_astray(thief_name: str) -> None:
    """Whatever the copy's id, the tunnel goes to the device that an admin named."""
    alice = DEVICES[IDS["alice-laptop"]]
    thief = replace(DEVICES[IDS[thief_name]], wireguard_public=alice.wireguard_public)
    thief = replace(thief, tags=("copy",))
    sources = (named("alice-laptop"), tag("copy"))
    policy = Policy("acme", rules=(rule("r", sources, (named("db1"),), "any"),))
    seen = replace(
        view(
            "db1",
            policy,
            devices={**DEVICES, thief.device_id: thief},
            vouched={"alice-laptop", "db1"},
        ),
        paths={alice.device_id: ("192.0.2.1", 1), thief.device_id: ("203.0.113.9", 9)},
    )
    peer = compute(seen, TIME).desired.peers[alice.wireguard_public]
    assert peer.device_id == alice.device_id
    assert peer.endpoint == ("192.0.2.1", 1)
    assert peer.begins == (IDS["db1"] < alice.device_id)
    assert IPv4Network(thief.address4) in peer.allowed_ips


def test_a_device_with_our_own_key_is_no_peer() -> None:
    """WireGuard takes no peer with its own key; the rest of the plan stands."""
    alice, db1 = DEVICES[IDS["alice-laptop"]], DEVICES[IDS["db1"]]
    thief = replace(alice, wireguard_public=db1.wireguard_public)
    seen = view("db1", SSH, devices={**DEVICES, alice.device_id: thief})
    assert compute(seen, TIME).desired.peers == {}


SELECTORS = st.sampled_from(
    [
        named("alice-laptop"),
        named("db1"),
        named("ci"),
        named("stranger"),
        tag("prod"),
        tag("edge"),
        tag("build"),
    ]
)
SOURCES = SELECTORS | st.sampled_from(
    [
        Selector(SelectorKind.USER, "alice"),
        Selector(SelectorKind.USER, "bob"),
        Selector(SelectorKind.GROUP, "staff"),
    ]
)
PORTS = st.sampled_from(
    ["tcp/22", "tcp/20-25", "tcp/24-30", "tcp", "udp/53", "udp", "icmp", "any", "sctp/22"]
)
TIMES = st.none() | st.sampled_from([NOW - 10, NOW + 5, NOW + 50])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw a small policy."""
    rules = []
    for number in range(draw(st.integers(0, 5))):
        before, after = draw(TIMES), draw(TIMES)
        if before is not None and after is not None and after <= before:
            after = None
        rules.append(
            Rule(
                f"r{number}",
                tuple(sorted(draw(st.sets(SOURCES, min_size=1, max_size=3)))),
                tuple(sorted(draw(st.sets(SELECTORS, min_size=1, max_size=3)))),
                normalise(
                    part
                    for text in draw(st.sets(PORTS, min_size=1, max_size=3))
                    for part in parse_ports(text)
                ),
                not_before=before,
                not_after=after,
            )
        )
    blocks: tuple[Block, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        blocks = (Block("b", (draw(SOURCES),)),)
    return Policy("acme", rules=tuple(rules), blocks=blocks)


FLOWS = [
    (6, 22),
    (6, 24),
    (6, 27),
    (6, 9999),
    (17, 53),
    (17, 54),
    (1, None),
    (58, None),
    (47, None),
]


def expected(
    policy: Policy, source: Device, destination: Device, flow: tuple[int, int | None]
) -> bool:
    """Ask the reference evaluator."""
    subjects = view("db1", policy).subjects()
    return decide(
        policy,
        DIRECTORY,
        source=subjects[source.device_id],
        destination=subjects[destination.device_id],
        proto=flow[0],
        port=flow[1],
        facts=Facts(),
        now=TIME,
    ).allow


@settings(max_examples=60, deadline=None)
@given(policies())
def test_the_tables_answer_as_the_evaluator_does(policy: Policy) -> None:
    """T69: for any policy, at both ends, every flow is allowed by the tables iff by `decide`."""
    at: dict[str, Desired] = {
        each.name: compute(view(each.name, policy), TIME).desired for each in DEVICES.values()
    }
    for source in DEVICES.values():
        for destination in DEVICES.values():
            if source is destination:
                continue
            allowed = set()
            for proto, port in FLOWS:
                right = expected(policy, source, destination, (proto, port))
                out = allows(at[source.name], "out", destination, proto, port, NOW)
                into = allows(at[destination.name], "in", source, proto, port, NOW)
                assert out == into == right, (source.name, destination.name, proto, port)
                allowed.add(right)
            if True in allowed:
                assert destination.wireguard_public in at[source.name].peers
                assert source.wireguard_public in at[destination.name].peers


@settings(max_examples=30, deadline=None)
@given(policies(), st.integers(0, 60))
def test_between_two_looks_the_kernel_does_by_itself_what_is_right(
    policy: Policy, later: int
) -> None:
    """Up to next_change the deadlines alone keep the tables equal to the evaluator."""
    computed = compute(view("gateway", policy), TIME)
    if computed.next_change is not None and NOW + later >= computed.next_change:
        return
    then = compute(view("gateway", policy), Interval.exact(NOW + later)).desired
    for peer in DEVICES.values():
        for proto, port in FLOWS:
            for side in ("in", "out"):
                now_says = allows(computed.desired, side, peer, proto, port, NOW + later)
                assert now_says == allows(then, side, peer, proto, port, NOW + later)


def test_an_engine_follows_a_change_of_its_own_device() -> None:
    """The rules picked last are dropped when this device or the bundle changes."""
    engine = Engine()
    seen = view("db1", SSH)
    assert engine.compute(seen, TIME).desired.peers
    demoted = {**DEVICES, IDS["db1"]: replace(device(2), tags=())}
    assert engine.compute(replace(seen, devices=demoted), TIME).desired.peers == {}
    assert engine.compute(seen, TIME).desired.peers


def test_one_device_is_judged_alone_when_it_alone_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cost of a change does not grow with the mesh."""
    judged: list[int] = []
    real = NodeRules.grants

    def counting(self: NodeRules, peers: Iterable[Subject], moment: Moment) -> NodeGrants:
        known = list(peers)
        judged.append(len(known))
        return real(self, known, moment)

    monkeypatch.setattr(NodeRules, "grants", counting)
    engine = Engine()
    seen = view("db1", SSH)
    engine.compute(seen, TIME)
    engine.compute(seen, TIME)
    changed = {**DEVICES, IDS["ci"]: replace(DEVICES[IDS["ci"]], tags=("edge",))}
    engine.compute(replace(seen, devices=changed), TIME)
    assert judged == [len(DEVICES) - 1, 1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([-20, 0, 1, 7, 40, 400]),
        st.sampled_from([0.0, 0.0, 0.5]),
        st.sampled_from(sorted(IDS)),
        st.sampled_from(["tags", "gone", "back", "nothing", "expired"]),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(policies(), STEPS)
def test_memory_changes_no_answer(
    policy: Policy, steps: list[tuple[int, float, str, str]]
) -> None:
    """Through any changes of devices, clock and bundle, an engine answers as a fresh one would.

    Leases aside: a deadline or a next look that is remembered may be earlier than one worked out
    now, never later, and never past.
    """
    engine, seen, time = Engine(), view("gateway", policy), float(NOW)
    for later, doubt, name, what in steps:
        time += later
        devices = dict(seen.devices)
        if what == "tags" and name != "gateway":
            devices[IDS[name]] = replace(DEVICES[IDS[name]], tags=("prod",))
        elif what == "gone":
            devices.pop(IDS[name], None)
        elif what == "back":
            devices[IDS[name]] = DEVICES[IDS[name]]
        freshness: Freshness = "expired" if what == "expired" else "fresh"
        seen = replace(seen, devices=devices, freshness=freshness)
        now = Interval.around(time, doubt)
        ours, fresh = engine.compute(seen, now), compute(seen, now)
        for side in ("inbound", "outbound"):
            mine = getattr(ours.desired.plan, side)
            theirs = getattr(fresh.desired.plan, side)
            assert (mine.classes, mine.ports) == (theirs.classes, theirs.ports)
            assert mine.live.keys() == theirs.live.keys()
            for key, until in mine.live.items():
                right = theirs.live[key]
                assert (until is None) == (right is None)
                assert until is None or right is None or now.hi < until <= right
        assert ours.desired.peers == fresh.desired.peers
        assert ours.next_change is None or ours.next_change > now.hi
        if fresh.next_change is not None:
            assert ours.next_change is not None
            assert ours.next_change <= fresh.next_change
