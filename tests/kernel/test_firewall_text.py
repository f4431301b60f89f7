"""The firewall as text: the table, and the difference between two contents. Nothing is run."""

import inspect
import json
import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.desired import Address, Direction, FirewallPlan, LiveKey, PortKey
from node.kernel.firewall import content, delta, plan, readback
from node.kernel.firewall.content import EMPTY, Content, same, wanted
from node.kernel.firewall.delta import ELEMENTS_PER_COMMAND, diff, render_timeout
from node.kernel.firewall.errors import FirewallError, UnreadableTableError
from node.kernel.firewall.plan import (
    CHAINS,
    COUNTERS,
    SETS,
    check_table,
    render_base,
    render_remove,
)
from node.kernel.firewall.readback import Count, parse

NOW = 1_800_000_000.0
TABLE = "hedgerow"
FOUR = IPv4Address("100.64.0.2")
SIX = IPv6Address("fd00::2")
GID = 0x4800_0001

PLAN = FirewallPlan(
    "hg01234567",
    IPv4Address("100.64.0.1"),
    IPv6Address("fd00::1"),
    IPv4Network("100.64.0.0/10"),
    IPv6Network("fd00::/48"),
    51820,
    6000,
)


def rules(text: str, chain: str) -> list[str]:
    """Return the rules that the text puts into a chain."""
    start = f"add rule inet {TABLE} {chain} "
    return [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]


def test_the_base_denies_before_it_holds_any_element() -> None:
    """The table alone ends every way through the tunnel in a drop or a refusal."""
    text = render_base(PLAN, table=TABLE)
    assert "add element" not in text
    assert rules(text, "input") == ['iifname "hg01234567" goto in_tun']
    assert rules(text, "output")[0] == 'oifname "hg01234567" goto out_tun'
    assert all(rule.endswith("drop") for rule in rules(text, "output")[1:])
    assert rules(text, "in_tun")[-1] == "goto in_slow"
    assert rules(text, "out_tun")[-1] == "goto out_slow"
    assert rules(text, "in_slow")[-1] == 'counter name "denied_in" drop'
    assert rules(text, "out_slow")[-1].endswith("reject with icmpx admin-prohibited")
    assert all(rule.endswith("drop") for rule in rules(text, "forward"))


def test_the_base_comes_in_the_order_that_nft_needs() -> None:
    """Objects are made before they are named, and every chain is emptied before it is filled."""
    verbs = [line.split()[0:2] for line in render_base(PLAN, table=TABLE).splitlines()]
    order = ["table", "counter", "map", "set", "chain", "rule"]
    kinds = [kind for verb, kind in verbs if verb == "add"]
    assert kinds == sorted(kinds, key=order.index)
    flushed = [index for index, verb in enumerate(verbs) if verb == ["flush", "chain"]]
    assert len(flushed) == len(CHAINS)
    assert max(flushed) < verbs.index(["add", "rule"])
    assert ["delete", "table"] not in verbs
    assert len(SETS) + len(COUNTERS) + len(CHAINS) + 1 == kinds.index("rule")


def test_every_packet_costs_one_lookup_per_family() -> None:
    """The fast path is the live lookup and nothing else, whatever the plan holds."""
    text = render_base(PLAN, table=TABLE)
    assert rules(text, "in_tun")[:2] == [
        "ip saddr . ct mark @live4 accept",
        "ip6 saddr . ct mark @live6 accept",
    ]
    assert rules(text, "out_tun")[:2] == [
        "ip daddr . ct mark @live4 accept",
        "ip6 daddr . ct mark @live6 accept",
    ]


def test_roles_are_reversed_for_replies() -> None:
    """A reply is looked up under the grants of the flow's own direction, by its source port."""
    text = render_base(PLAN, table=TABLE)
    expected = {
        "in_first": ("in", "saddr", "dport"),
        "in_reply": ("out", "saddr", "sport"),
        "out_first": ("out", "daddr", "dport"),
        "out_reply": ("in", "daddr", "sport"),
    }
    for chain, (side, peer, port) in expected.items():
        found = rules(text, chain)
        assert len(found) == 6
        assert [re.findall(r"@(\w+)_(ports|protos|any)", rule) for rule in found] == [
            [(side, kind)] for kind in ("ports", "protos", "any") for _ in (4, 6)
        ]
        assert all(f"ip {peer}" in rule or f"ip6 {peer}" in rule for rule in found)
        assert all(f"th {port}" in rule for rule in found[:2])


def test_without_a_control_port_nothing_is_rewritten() -> None:
    """With two visible ports there is no demultiplexing and no hidden port to guard."""
    text = render_base(replace(PLAN, control_port=None), table=TABLE)
    assert rules(text, "demux_in") == rules(text, "demux_out") == []
    assert "udp" not in text
    assert "sport set" in render_base(PLAN, table=TABLE)


@pytest.mark.parametrize("name", ["", 'x"; flush ruleset; "', "a" * 16, "two words", "$var"])
def test_an_interface_name_cannot_carry_commands(name: str) -> None:
    """What is not the name of an interface never reaches nft."""
    with pytest.raises(FirewallError, match="not an interface name"):
        render_base(replace(PLAN, interface=name), table=TABLE)


@pytest.mark.parametrize("name", ["", "1st", "a b", "x;y", "a" * 65])
def test_a_table_name_cannot_carry_commands(name: str) -> None:
    """What is not a plain word is refused as the table's name."""
    with pytest.raises(FirewallError, match="not a usable table name"):
        check_table(name)
    assert check_table("second_mesh") == "second_mesh"


def test_removal_works_whether_or_not_the_table_is_there() -> None:
    """The table is added before it is deleted, which nft 1.0.6 needs."""
    assert render_remove("t") == "add table inet t\ndelete table inet t\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5, "2500ms"),
        (2.4999, "2499ms"),
        (0.0001, "1ms"),
        (86_399.999, "86399999ms"),
        (86_400, "1d0h0m0s0ms"),
        (90_061.001, "1d1h1m1s1ms"),
        (1e12, "3650d0h0m0s0ms"),
    ],
)
def test_a_timeout_is_exact_and_never_longer(seconds: float, text: str) -> None:
    """Timeouts are milliseconds, rounded down, in the form that nft takes at any length."""
    assert render_timeout(seconds) == text


def test_a_new_grant_is_a_few_lines() -> None:
    """One peer's grant: its class, its port, and the permission with its remaining time."""
    direction = Direction(
        {FOUR: 5, SIX: 5},
        {PortKey(5, 6, 80, 90): GID, PortKey(5, 6, 443, 443): GID},
        {(FOUR, GID): NOW + 2.5, (SIX, GID): None},
    )
    grant = wanted(replace(PLAN, inbound=direction), NOW)
    ports = "0x5 . 6 . 80-90 : 0x48000001, 0x5 . 6 . 443-443 : 0x48000001"
    assert diff(EMPTY, grant, NOW, table=TABLE) == [
        "add element inet hedgerow in_class4 { 100.64.0.2 : 0x5 }",
        "add element inet hedgerow in_class6 { fd00::2 : 0x5 }",
        f"add element inet hedgerow in_ports {{ {ports} }}",
        "add element inet hedgerow live4 { 100.64.0.2 . 0x48000001 timeout 2500ms }",
        "add element inet hedgerow live6 { fd00::2 . 0x48000001 }",
    ]
    assert diff(grant, grant, NOW, table=TABLE) == []


def test_a_changed_deadline_is_deleted_and_added() -> None:
    """An element that may have lapsed is added, deleted and added; a static one only deleted."""
    before = replace(EMPTY, live={(FOUR, GID): NOW + 1, (SIX, GID): None})
    after = replace(EMPTY, live={(FOUR, GID): NOW + 9, (SIX, GID): NOW + 9})
    assert diff(before, after, NOW, table=TABLE) == [
        "add element inet hedgerow live4 { 100.64.0.2 . 0x48000001 }",
        "delete element inet hedgerow live4 { 100.64.0.2 . 0x48000001 }",
        "delete element inet hedgerow live6 { fd00::2 . 0x48000001 }",
        "add element inet hedgerow live4 { 100.64.0.2 . 0x48000001 timeout 9000ms }",
        "add element inet hedgerow live6 { fd00::2 . 0x48000001 timeout 9000ms }",
    ]


def test_the_text_is_as_long_as_the_difference() -> None:
    """One more peer among 10,000 is a handful of short lines."""
    addresses = [IPv4Address("100.64.0.0") + number for number in range(10_000)]
    before = replace(
        EMPTY, in_classes=dict.fromkeys(addresses, 5), live={(a, GID): None for a in addresses}
    )
    more = IPv4Address("100.127.0.1")
    after = replace(
        before,
        in_classes={**before.in_classes, more: 5},
        live={**before.live, (more, GID): NOW + 5},
    )
    assert sum(map(len, diff(before, after, NOW, table=TABLE))) < 200


def test_long_differences_come_in_several_commands() -> None:
    """No command carries more elements than its bound."""
    addresses = [IPv4Address("100.64.0.0") + number for number in range(ELEMENTS_PER_COMMAND + 1)]
    many = replace(EMPTY, in_classes=dict.fromkeys(addresses, 5))
    commands = diff(EMPTY, many, NOW, table=TABLE)
    assert [command.count(" : ") for command in commands] == [ELEMENTS_PER_COMMAND, 1]


def test_a_grant_that_is_over_is_not_wanted() -> None:
    """A permission is left out from the instant of its deadline on."""
    live: dict[LiveKey, float | None] = {
        (FOUR, GID): NOW,
        (FOUR, GID + 1): NOW + 0.001,
        (SIX, GID): None,
    }
    found = wanted(replace(PLAN, outbound=Direction(live=live)), NOW)
    assert set(found.live) == {(FOUR, GID + 1), (SIX, GID)}


def test_ports_of_protocols_without_ports_are_left_out() -> None:
    """Only the protocols whose ports the kernel reads can be granted by port."""
    ports = {PortKey(5, proto, 80, 80): GID for proto in (1, 6, 17, 33, 47, 58, 132, 136)}
    found = wanted(replace(PLAN, inbound=Direction(ports=ports)), NOW)
    assert {key.proto for key in found.in_ports} == {6, 17, 132}


@pytest.mark.parametrize("proto", [1, 58])
def test_icmp_covers_both_families(proto: int) -> None:
    """Either number of ICMP is installed as both, and an explicit other one is kept."""
    ports = {PortKey(5, proto, None, None): GID}
    found = wanted(replace(PLAN, inbound=Direction(ports=ports)), NOW)
    assert found.in_ports == {PortKey(5, n, None, None): GID for n in (1, 58)}
    ports[PortKey(5, 59 - proto, None, None)] = GID + 1
    found = wanted(replace(PLAN, inbound=Direction(ports=ports)), NOW)
    assert found.in_ports == ports


def _addresses() -> st.SearchStrategy[Address]:
    four = st.integers(0, 5).map(lambda number: IPv4Address(0x6440_0000 + number))
    six = st.integers(0, 5).map(lambda number: IPv6Address((0xFD00 << 112) + number))
    return st.one_of(four, six)


def _port_keys() -> st.SearchStrategy[PortKey]:
    classes = st.integers(1, 3)
    single = st.builds(lambda c, p, n: PortKey(c, p, n, n), classes, st.sampled_from([6, 17]),
                       st.integers(1, 4))  # fmt: skip
    ranged = st.builds(lambda c, n: PortKey(c, 132, n * 10, n * 10 + 5), classes,
                       st.integers(1, 4))  # fmt: skip
    whole = st.builds(lambda c, p: PortKey(c, p, None, None), classes, st.integers(0, 255))
    everything = st.builds(lambda c: PortKey(c, None, None, None), classes)
    return st.one_of(single, ranged, whole, everything)


_GIDS = st.integers(GID, GID + 3)
_CONTENTS = st.builds(
    Content,
    st.dictionaries(_addresses(), st.integers(1, 3)),
    st.dictionaries(_port_keys(), _GIDS),
    st.dictionaries(_addresses(), st.integers(1, 3)),
    st.dictionaries(_port_keys(), _GIDS),
    st.dictionaries(
        st.tuples(_addresses(), _GIDS),
        st.none() | st.integers(1, 100).map(lambda seconds: NOW + seconds),
    ),
)


class Kernel:
    """As much of nftables as the difference needs: sets that refuse what the kernel refuses."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, str]] = {}

    def load(self, commands: list[str]) -> None:
        """Carry out the commands; fail where the kernel would."""
        for command in commands:
            match = re.fullmatch(r"(add|delete) element inet hedgerow (\w+) \{ (.*) \}", command)
            assert match is not None, command
            verb, name, listed = match.groups()
            held = self.sets.setdefault(name, {})
            for element in listed.split(", "):
                key, _, value = element.partition(" : ")
                if not value:
                    key, _, value = element.partition(" timeout ")
                if verb == "delete":
                    assert key in held, f"delete of what is not there: {command}"
                    del held[key]
                elif key in held:
                    # The kernel takes it and changes nothing, or refuses another value.
                    assert not value, f"add of what is there: {command}"
                else:
                    held[key] = value

    def filled(self) -> dict[str, dict[str, str]]:
        """Return the sets that hold anything."""
        return {name: held for name, held in self.sets.items() if held}


def _loaded(wished: Content) -> Kernel:
    kernel = Kernel()
    kernel.load(diff(EMPTY, wished, NOW, table=TABLE))
    return kernel


@given(_CONTENTS, _CONTENTS, st.booleans())
def test_a_difference_applied_gives_what_was_wanted(
    before: Content,
    after: Content,
    lapsed: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """From any content to any other, also when timed elements have lapsed in between."""
    kernel = _loaded(before)
    if lapsed:
        for name in ("live4", "live6"):
            held = kernel.sets.get(name, {})
            kernel.sets[name] = {key: value for key, value in held.items() if not value}
    commands = diff(before, after, NOW, table=TABLE)
    if lapsed:
        # What both want unchanged has lapsed with its deadline, and is no part of the difference.
        gone = [
            key
            for key, until in before.live.items()
            if until is not None and after.live.get(key) == until
        ]
        after = replace(after, live={k: v for k, v in after.live.items() if k not in gone})
    kernel.load(commands)
    assert kernel.filled() == _loaded(after).filled()


@given(_CONTENTS)
def test_no_difference_is_no_text(one: Content) -> None:
    """Equal contents, however they were built, give no command."""
    again = Content(
        dict(one.in_classes),
        dict(one.in_ports),
        dict(one.out_classes),
        dict(one.out_ports),
        dict(one.live),
    )
    assert diff(one, again, NOW, table=TABLE) == []


def test_shifted_moves_deadlines_only() -> None:
    """A clock step moves every deadline and leaves what has none."""
    live: dict[LiveKey, float | None] = {(FOUR, GID): NOW, (SIX, GID): None}
    assert replace(EMPTY, live=live).shifted(5).live == {(FOUR, GID): NOW + 5, (SIX, GID): None}


def test_same_allows_for_what_time_does() -> None:
    """Lapsed elements and rough deadlines are no drift; everything else is."""
    known = Content(
        {FOUR: 5},
        {PortKey(5, 6, 80, 80): GID},
        {SIX: 6},
        {PortKey(6, None, None, None): GID + 1},
        {(FOUR, GID): NOW + 10, (SIX, GID): None},
    )
    assert same(known, known, NOW)
    assert same(replace(known, live={(FOUR, GID): NOW + 9, (SIX, GID): None}), known, NOW)
    assert same(replace(known, live={(SIX, GID): None}), known, NOW + 9)
    drifted = [
        replace(known, in_classes={FOUR: 6}),
        replace(known, in_ports={}),
        replace(known, out_classes={}),
        replace(known, out_ports={PortKey(6, None, None, None): GID}),
        replace(known, live={(SIX, GID): None}),
        replace(known, live={(FOUR, GID): NOW + 10}),
        replace(known, live={(FOUR, GID): NOW + 20, (SIX, GID): None}),
        replace(known, live={(FOUR, GID): None, (SIX, GID): None}),
        replace(known, live={**known.live, (FOUR, GID + 1): None}),
    ]
    assert not any(same(found, known, NOW) for found in drifted)


LISTING = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "hedgerow", "handle": 1}},
        {"counter": {"name": "ended", "handle": 2, "packets": 3, "bytes": 99}},
        {"map": {"name": "in_class4", "elem": [["100.64.0.2", 5]]}},
        {"map": {"name": "in_class6", "elem": [["fd00::2", 5]]}},
        {
            "map": {
                "name": "in_ports",
                "flags": "interval",
                "elem": [
                    [{"concat": [5, 6, {"range": [80, 90]}]}, GID],
                    [{"concat": [5, 17, 53]}, GID],
                ],
            }
        },
        {"map": {"name": "out_protos", "elem": [[{"concat": [5, 58]}, GID]]}},
        {"map": {"name": "out_any", "elem": [[5, GID]]}},
        {"map": {"name": "out_class4"}},
        {
            "set": {
                "name": "live4",
                "elem": [
                    {"concat": ["100.64.0.2", GID]},
                    {
                        "elem": {
                            "val": {"concat": ["100.64.0.3", GID]},
                            "timeout": 9,
                            "expires": 7,
                        }
                    },
                ],
            }
        },
        {"chain": {"name": "input", "table": "hedgerow", "handle": 7, "prio": 0}},
        {"rule": {"chain": "input", "table": "hedgerow", "handle": 9, "expr": [{"drop": None}]}},
    ]
}


def test_a_listing_becomes_content() -> None:
    """Every kind of key that nft prints is read as the key it was made from."""
    found = parse(json.dumps(LISTING).encode(), NOW)
    assert found.content == Content(
        {FOUR: 5, SIX: 5},
        {PortKey(5, 6, 80, 90): GID, PortKey(5, 17, 53, 53): GID},
        {},
        {PortKey(5, 58, None, None): GID, PortKey(5, None, None, None): GID},
        {(FOUR, GID): None, (FOUR + 1, GID): NOW + 7},
    )
    assert found.counters == {"ended": Count(3, 99)}
    assert {"counter ended", "map in_ports", "set live4", "chain input"} <= found.objects


def test_rules_compare_without_their_handles() -> None:
    """The same rules loaded again, or under another table's name, read the same."""
    again = json.loads(json.dumps(LISTING).replace('"handle": 9', '"handle": 4711'))
    first, second = (parse(json.dumps(one).encode(), NOW) for one in (LISTING, again))
    assert first.rules == second.rules
    changed = json.loads(json.dumps(LISTING).replace('"drop"', '"accept"'))
    assert parse(json.dumps(changed).encode(), NOW).rules != first.rules


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"nftables": [{"set": {}}]}',
        b'{"nftables": [{"set": {"name": "live4", "elem": ["192.0.2.1"]}}]}',
        b'{"nftables": [{"map": {"name": "in_class4", "elem": [["nonsense", 1]]}}]}',
        b'{"nftables": [{"map": {"name": "in_ports", "elem": [[{"concat": []}, 1]]}}]}',
        b'{"nftables": [{"counter": {"name": "x"}}]}',
    ],
)
def test_another_listing_is_refused(document: bytes) -> None:
    """What is not a table of ours is an error of its own kind, not a crash."""
    with pytest.raises(UnreadableTableError, match="cannot be read") as caught:
        parse(document, NOW)
    assert "replaces it" in caught.value.remedy


@pytest.mark.parametrize("module", [content, delta, plan, readback])
def test_the_pure_parts_do_no_io(module: ModuleType) -> None:
    """Rendering and reading import neither sockets nor processes nor clocks."""
    impure = r"^(import|from) (asyncio|socket|time|os|subprocess|random|pathlib)\b"
    assert not re.search(impure, inspect.getsource(module), re.MULTILINE)
