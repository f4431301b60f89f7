"""Paths: punching through NATs, keeping paths, losing and moving them."""

import pytest

from gossip.events import Address, MemberState, Observed, PathChanged, PingResult
from simnet.links import Link
from simnet.natbox import NatBox
from tests.gossip.meshes import Town, Villager

SLOW = Link(0.02, 0.004)


def behind_nats(seed: int, count: int = 2) -> tuple[Town, Villager, list[Villager]]:
    """Return a town of one public member and some behind NATs of their own, in sync."""
    town = Town(seed, link=SLOW)
    public = town.approved("public")
    inside = [
        town.invited(f"inside{n}", public, nat=NatBox(f"203.0.113.{n + 1}")) for n in range(count)
    ]
    assert town.until(town.is_settled, limit=30.0) is not None
    return town, public, inside


def path_events(villager: Villager, other: Villager) -> list[Address | None]:
    """Return the paths a villager has told its driver of, in order."""
    found = villager.events(PathChanged)
    return [event.address for event in found if event.device_id == other.id]


def test_members_learn_where_they_are_seen() -> None:
    """A member behind a NAT publishes its outside address; a public one learns it is reachable."""
    town, public, (inside, _) = behind_nats(1)
    town.run(5.0)
    assert Observed(("203.0.113.1", 40_000)) in inside.events(Observed)
    record = public.machine.members()[inside.id].record
    assert record is not None
    assert ("203.0.113.1", 40_000) in [endpoint.address for endpoint in record.endpoints]
    assert record.reachable is None
    known = inside.machine.members()[public.id].record
    assert known is not None
    assert known.reachable is True


@pytest.mark.parametrize("seed", range(5))
def test_two_members_behind_strict_nats_meet(seed: int) -> None:
    """Wanting a path on one side is enough: a common member makes the other side send as well."""
    town = Town(seed + 10, link=SLOW)
    public = town.approved("public")
    left, right = (
        town.invited(f"inside{n}", public, nat=NatBox(f"203.0.113.{n + 1}")) for n in range(2)
    )
    town.world.partition([left.host], [right.host])
    assert town.until(town.is_settled, limit=30.0) is not None
    # What each tries on its own accord fails for good, and no NAT remembers it.
    town.run(60.0)
    town.world.heal()
    town.run(30.0)
    assert left.path(right) is None
    left.want(right)
    took = town.until(
        lambda: left.path(right) is not None and right.path(left) is not None, limit=20.0
    )
    assert took is not None
    assert took < 0.5
    assert left.path(right) == ("203.0.113.2", 40_000)
    assert path_events(left, right) == [left.path(right)]


def test_a_wanted_path_is_kept_open() -> None:
    """Keepalives hold a wanted path through NATs that forget after 30 s; silence would lose it."""
    town, _, (left, right) = behind_nats(20)
    left.want(right)
    right.want(left)
    town.run(10.0)
    before = (left.path(right), right.path(left))
    assert None not in before
    town.run(200.0)
    assert (left.path(right), right.path(left)) == before
    assert path_events(left, right).count(None) == 0


def test_a_rebound_nat_is_followed() -> None:
    """When a box restarts and gives new ports, the wanted path is there again within a minute."""
    town, _, (left, right) = behind_nats(21)
    left.want(right)
    right.want(left)
    town.run(10.0)
    assert left.nat is not None
    left.nat.rebind()
    took = town.until(lambda: right.path(left) == ("203.0.113.1", 41_000), limit=60.0)
    assert took is not None
    assert town.until(lambda: left.path(right) is not None, limit=5.0) is not None


def test_a_member_that_moves_is_followed_at_once() -> None:
    """New local addresses reach everybody with a path within a few round trips."""
    town = Town(22)
    villagers = town.grown(4)
    mover = villagers[-1]
    old, new = mover.address, ("10.0.7.7", 4_242)
    others = villagers[:-1]
    mover.want(*others)
    for other in others:
        other.want(mover)
    town.run(5.0)
    assert all(other.path(mover) == old for other in others)
    town.world.move(mover.host, new)
    mover.do(lambda machine, now: machine.set_endpoints(now, [new]))
    took = town.until(lambda: all(other.path(mover) == new for other in others), limit=10.0)
    assert took is not None
    assert took < 2.0
    assert town.all_see(MemberState.ALIVE, mover)


def test_the_same_addresses_again_are_no_news() -> None:
    """Naming the same endpoints twice makes no new record."""
    town = Town(23)
    founder, other = town.grown(2)
    prints = founder.machine.fingerprint()
    founder.do(lambda machine, now: machine.set_endpoints(now, [founder.address]))
    founder.do(lambda machine, now: machine.set_endpoints(now, [founder.address] * 2))
    assert founder.machine.fingerprint() == prints
    assert other.state(founder) is MemberState.ALIVE


def test_unusable_endpoints_are_left_out() -> None:
    """Addresses nobody can be alone at never get into the record."""
    town = Town(24)
    founder, other = town.grown(2)
    odd = [("0.0.0.0", 1), ("ff02::1", 2), ("nonsense", 3), ("10.0.0.9", 0), ("fe80::1%eth0", 5)]
    founder.do(lambda machine, now: machine.set_endpoints(now, [*odd, founder.address]))
    town.run(1.0)
    record = other.machine.members()[founder.id].record
    assert record is not None
    assert {endpoint.address for endpoint in record.endpoints} == {founder.address}


def test_a_dead_path_is_given_up_and_sought_again() -> None:
    """A wanted member that no longer answers loses its path, is punched at, and regains it."""
    town = Town(25)
    villagers = town.grown(4)
    left, right = villagers[1], villagers[2]
    left.want(right)
    town.run(5.0)
    town.world.partition([left.host], [right.host])
    assert town.until(lambda: left.path(right) is None, limit=60.0) is not None
    assert path_events(left, right)[-1] is None
    town.world.heal()
    took = town.until(lambda: left.path(right) == right.address, limit=40.0)
    assert took is not None


def test_wanting_too_soon_is_tried_again() -> None:
    """A want that follows a failed attempt within a moment is not forgotten."""
    town = Town(26)
    villagers = town.grown(3)
    left, right = villagers[1], villagers[2]
    right.crash()
    left.machine._core.paths.forget(right.id)
    left.machine._core.paths.attempt(town.world.now, right.id)
    left.host.arm()
    town.run(0.5)
    left.want(right)
    right.host.boot()
    assert town.until(lambda: left.path(right) == right.address, limit=10.0) is not None


def test_no_longer_wanted_is_no_longer_sought() -> None:
    """After `want` without a member its attempts end."""
    town = Town(27)
    villagers = town.grown(3)
    left, right = villagers[1], villagers[2]
    right.crash()
    left.want(right)
    town.run(60.0)
    left.want()
    town.run(31.0)
    assert left.machine._core.timers.at("punch", right.id) is None


def test_nobody_wants_itself_or_a_stranger() -> None:
    """Wanting oneself or an unknown device does nothing."""
    town = Town(28)
    founder, other = town.grown(2)
    sent = founder.count("hellos_sent")
    founder.do(lambda machine, now: machine.want(now, [founder.id, bytes(32)]))
    town.run(2.0)
    assert founder.count("hellos_sent") == sent
    assert other.path(founder) is not None


def test_ping_measures_the_round_trip() -> None:
    """A ping tells the driver the round trip; to a silent member it tells that there is none."""
    town = Town(29, link=Link(0.03))
    founder, other = town.grown(2)
    founder.do(lambda machine, now: machine.ping(now, other.id, 7))
    town.run(0.1)
    (result,) = founder.events(PingResult)
    assert result.token == 7
    assert result.rtt_seconds == pytest.approx(0.06, abs=0.001)
    other.crash()
    founder.do(lambda machine, now: machine.ping(now, other.id, 8))
    town.run(3.0)
    assert founder.events(PingResult)[-1] == PingResult(8, other.id, None)


def test_ping_finds_a_path_first() -> None:
    """A ping to a member without a path is answered by the hello that finds one."""
    town = Town(30)
    founder, other = town.grown(2)
    founder.machine._core.paths.forget(other.id)
    town.run(2.0)
    founder.machine._core.paths.forget(other.id)
    founder.do(lambda machine, now: machine.ping(now, other.id, 9))
    town.run(1.0)
    (result,) = founder.events(PingResult)
    assert result.rtt_seconds is not None
    founder.do(lambda machine, now: machine.ping(now, bytes(32), 10))
    town.run(3.0)
    assert founder.events(PingResult)[-1] == PingResult(10, bytes(32), None)


def test_a_redirected_hello_moves_no_path() -> None:
    """A hello caught on the wire and sent from elsewhere gets one answer and no path."""
    town = Town(31)
    founder, other = town.grown(2)
    hello = other.machine._core.admission.make_hello(town.world.now, founder.id)
    assert hello is not None
    elsewhere = ("198.51.100.66", 6)
    founder.machine.receive(town.world.now, elsewhere, hello)
    founder.host.arm()
    town.run(5.0)
    assert founder.path(other) == other.address
    assert elsewhere not in path_events(founder, other)


def test_anchors_are_kept_by_those_behind_nats() -> None:
    """A member others may not reach keeps its path to a public one alive without being asked."""
    town, public, (inside, _) = behind_nats(32)
    town.run(300.0)
    assert public.path(inside) is not None
    assert inside.path(public) == public.address
    assert town.all_see(MemberState.ALIVE)


def test_a_group_behind_nats_stays_alive_through_helpers() -> None:
    """Members that cannot ping each other are probed through the public one and stay alive."""
    town, _, inside = behind_nats(33, count=3)
    town.run(120.0)
    assert town.all_see(MemberState.ALIVE)
    assert all(v.count("accusations_made") == 0 for v in inside)
