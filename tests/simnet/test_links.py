"""Links and NAT boxes: what passes, and when."""

from random import Random

import pytest

from simnet.links import Link, Links
from simnet.natbox import NatBox

INSIDE = ("192.168.1.2", 4_000)
FIRST, SECOND = ("198.51.100.1", 1), ("198.51.100.2", 2)


def test_delays_lie_between_latency_and_jitter() -> None:
    """Every delay is at least the latency and at most latency plus jitter."""
    random = Random(1)
    link = Link(0.01, 0.005)
    delays = [link.draw(random) for _ in range(500)]
    assert all(delay is not None and 0.01 <= delay < 0.015 for delay in delays)
    assert len(set(delays)) > 400


def test_loss_is_the_share_it_says() -> None:
    """Of many datagrams about the given share is lost; of none and of all, exactly."""
    random = Random(2)
    lost = sum(Link(loss=0.3).draw(random) is None for _ in range(5_000))
    assert lost / 5_000 == pytest.approx(0.3, abs=0.03)
    assert Link(loss=0.0).draw(random) is not None
    assert Link(loss=1.0).draw(random) is None


def test_cuts_have_a_direction() -> None:
    """A cut stops one direction only, until it is healed."""
    links = Links(Link(0.001))
    random = Random(3)
    links.cut(1, 2)
    assert links.draw(1, 2, random) is None
    assert links.draw(2, 1, random) == 0.001
    links.heal()
    assert links.draw(1, 2, random) == 0.001


def test_a_link_can_be_exceptional() -> None:
    """One direction may have a link of its own; others keep the default."""
    links = Links(Link(0.001))
    links.set(1, 2, Link(0.5))
    random = Random(4)
    assert links.draw(1, 2, random) == 0.5
    assert links.draw(2, 1, random) == 0.001


def test_a_cut_does_not_change_other_draws() -> None:
    """A run with a cut draws the same numbers for everybody else."""

    def delays(*, cut: bool) -> list[float | None]:
        links = Links(Link(0.001, 0.01, 0.2))
        random = Random(5)
        if cut:
            links.cut(0, 1)
        return [links.draw(*pair, random) for pair in ((0, 1), (1, 2), (2, 3), (3, 4))]

    assert delays(cut=True)[1:] == delays(cut=False)[1:]


def test_one_inside_socket_has_one_outside_port() -> None:
    """The mapping does not depend on the target (endpoint-independent)."""
    box = NatBox("203.0.113.1")
    assert box.outbound(0.0, INSIDE, FIRST) == box.outbound(0.0, INSIDE, SECOND)
    other = box.outbound(0.0, ("192.168.1.3", 4_000), FIRST)
    assert other != box.outbound(0.0, INSIDE, FIRST)


def test_only_the_exact_target_may_answer() -> None:
    """The filter looks at address and port (address- and port-dependent)."""
    box = NatBox("203.0.113.1")
    _, port = box.outbound(0.0, INSIDE, FIRST)
    assert box.inbound(1.0, port, FIRST) == INSIDE
    assert box.inbound(1.0, port, (FIRST[0], 99)) is None
    assert box.inbound(1.0, port, SECOND) is None
    assert box.inbound(1.0, port + 1, FIRST) is None


def test_silence_closes_and_traffic_keeps_open() -> None:
    """An entry lives for the timeout after the last datagram in either direction."""
    box = NatBox("203.0.113.1", timeout_seconds=10.0)
    _, port = box.outbound(0.0, INSIDE, FIRST)
    assert box.inbound(9.0, port, FIRST) == INSIDE
    assert box.inbound(18.0, port, FIRST) == INSIDE
    assert box.inbound(29.0, port, FIRST) is None


def test_a_rebound_box_has_other_ports_and_no_memory() -> None:
    """After `rebind` the old port leads nowhere and the same socket gets a new one."""
    box = NatBox("203.0.113.1")
    _, old = box.outbound(0.0, INSIDE, FIRST)
    box.rebind()
    assert box.inbound(0.0, old, FIRST) is None
    _, new = box.outbound(0.0, INSIDE, FIRST)
    assert new != old
    assert box.inbound(0.0, new, FIRST) == INSIDE
