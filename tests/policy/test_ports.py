"""Ports: as rules write them, joined, compared and written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.ports import (
    ANY,
    ICMP,
    ICMPV6,
    PortRange,
    describe,
    is_normal,
    normalise,
    parse_ports,
)
from tests.policy.build import PORTS, RANDOM, flows, ports


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("tcp/22", [(6, 22, 22)]),
        ("udp/5000-5010", [(17, 5000, 5010)]),
        ("sctp/65535", [(132, 65_535, 65_535)]),
        ("tcp", [(6, 1, 65_535)]),
        ("icmp", [(1, None, None), (58, None, None)]),
        ("any", [(None, None, None)]),
        ("tcp/0022", [(6, 22, 22)]),
    ],
)
def test_a_port_is_read(text: str, ranges: list[tuple[int | None, ...]]) -> None:
    """Each form a rule may use makes the ranges it says."""
    assert parse_ports(text) == tuple(PortRange(*numbers) for numbers in ranges)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp/0", "outside 1 to 65535"),
        ("tcp/65536", "outside 1 to 65535"),
        ("tcp/" + "9" * 5_000, "outside 1 to 65535"),
        ("tcp/", "no port number after the slash"),
        ("tcp/22-", "no port number"),
        ("tcp/-22", "no port number"),
        ("tcp/\uff12\uff12", "no port number"),
        ("tcp/http", "no port number"),
        ("tcp/30-20", "runs backwards; write the lower port first"),
        ("icmp/8", "names no protocol; write sctp, tcp, udp with a port, icmp, or any"),
        ("TCP/22", "names no protocol"),
        ("22", "names no protocol"),
        ("", "names no protocol"),
    ],
)
def test_a_bad_port_says_what_to_write(text: str, words: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ValueError, match=words):
        parse_ports(text)


@pytest.mark.parametrize(
    "numbers",
    [
        (6, None, None),
        (6, 22, None),
        (6, None, 22),
        (6, 0, 1),
        (6, 2, 1),
        (6, 1, 65_536),
        (1, 1, 1),
        (None, 1, 1),
        (47, None, None),
        (33, 1, 1),
    ],
)
def test_a_range_no_flow_matches_is_refused(numbers: tuple[int | None, ...]) -> None:
    """A range is ports of tcp, udp or sctp, icmp, or anything."""
    with pytest.raises(ValueError, match="is no range"):
        PortRange(*numbers)


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["tcp/22", "tcp/23"], "tcp/22-23"),
        (["tcp/30-40", "tcp/20-35", "tcp/21"], "tcp/20-40"),
        (["tcp/20", "tcp/22"], "tcp/20, tcp/22"),
        (["udp/53", "tcp/53"], "tcp/53, udp/53"),
        (["icmp", "icmp"], "icmp"),
        (["tcp", "tcp/22"], "tcp"),
        (["tcp/22", "any", "icmp"], "any"),
        ([], ""),
    ],
)
def test_ports_are_joined_to_one_form(texts: list[str], joined: str) -> None:
    """What overlaps or touches becomes one range, and anything swallows everything."""
    assert describe(ports(*texts)) == joined


def test_icmp_of_one_family_is_named() -> None:
    """A range of one of the two alone is written by its own name."""
    assert (str(PortRange(ICMP)), str(PortRange(ICMPV6))) == ("icmp", "icmpv6")
    assert describe([PortRange(ICMPV6)]) == "icmpv6"


RANGES = st.sampled_from([each for text in PORTS for each in parse_ports(text)])


@given(st.lists(RANGES), flows())
@RANDOM
def test_joining_changes_no_flow(
    ranges: list[PortRange], flow: tuple[int | None, int | None]
) -> None:
    """A flow is in the joined ranges exactly if it was in one of the others."""
    before = any(each.covers(*flow) for each in ranges)
    assert any(each.covers(*flow) for each in normalise(ranges)) is before


@given(RANGES, RANGES, flows())
@RANDOM
def test_ranges_that_share_a_flow_overlap(
    one: PortRange, other: PortRange, flow: tuple[int | None, int | None]
) -> None:
    """Two ranges that cover one flow overlap, and a range holds the flows of what it contains."""
    if one.covers(*flow) and other.covers(*flow):
        assert one.overlaps(other)
        assert other.overlaps(one)
    if one.contains(other) and other.covers(*flow):
        assert one.covers(*flow)


@pytest.mark.parametrize(
    ("one", "other", "overlap", "contain"),
    [
        ("tcp/20-30", "tcp/30-40", True, False),
        ("tcp/20-30", "tcp/31-40", False, False),
        ("tcp/20-30", "tcp/21-30", True, True),
        ("tcp/20-30", "udp/20-30", False, False),
        ("any", "tcp/22", True, True),
        ("tcp/22", "any", True, False),
        ("tcp", "any", True, False),
    ],
)
def test_ranges_are_compared(one: str, other: str, *, overlap: bool, contain: bool) -> None:
    """Overlapping and containing follow the ports and the protocol."""
    (first,), (second,) = ports(one), ports(other)
    assert (first.overlaps(second), first.contains(second)) == (overlap, contain)


def test_a_flow_without_a_port_is_in_no_ported_range() -> None:
    """Where the kernel read no port, only `any` covers the flow."""
    assert not any(each.covers(6, None) for each in ports("tcp"))
    assert ANY.covers(6, None)
    assert ANY.covers(47, None)


@given(st.lists(st.sampled_from([each for text in PORTS for each in ports(text)]), max_size=4))
@RANDOM
def test_what_is_normal_is_left_as_it_is(ranges: list[PortRange]) -> None:
    """`is_normal` says of some ranges exactly whether `normalise` would change them."""
    same = bool(ranges) and normalise(ranges) == tuple(ranges)
    assert is_normal(ranges) is same
