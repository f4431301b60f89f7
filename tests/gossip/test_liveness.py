"""Liveness: who is dead, who only seemed so, and how the gone come back."""

from collections.abc import Sequence

import pytest

from gossip.config import Config
from gossip.events import Alarm, MemberChanged, MemberState
from gossip.members import Change
from tests.gossip.meshes import Town, Villager

ALIVE, SUSPECT, DEAD, LEFT = (
    MemberState.ALIVE,
    MemberState.SUSPECT,
    MemberState.DEAD,
    MemberState.LEFT,
)


def changes(villager: Villager, other: Villager) -> list[MemberState]:
    """Return what a villager has thought of another, in order."""
    found = villager.events(MemberChanged)
    return [event.state for event in found if event.device_id == other.id]


def check(villagers: Sequence[Villager]) -> None:
    """Check the invariants of every member table."""
    for villager in villagers:
        if villager.host.machine is not None:
            villager.machine._core.members.check()


@pytest.mark.parametrize("size", [2, 3, 4, 8, 16])
def test_a_killed_member_is_dead_for_all_and_alive_after_its_restart(size: int) -> None:
    """After a kill everybody concludes "dead" within seconds, after a restart "alive" at once."""
    town = Town(size)
    *others, victim = town.grown(size)
    town.run(2.0)
    victim.crash()
    took = town.until(lambda: town.all_see(DEAD, victim), limit=20.0)
    assert took is not None
    assert took < 10.0
    check(others)
    victim.host.boot()
    back = town.until(lambda: town.all_see(ALIVE, victim), limit=5.0)
    assert back is not None
    assert back < 1.0
    assert changes(others[0], victim)[-3:] == [SUSPECT, DEAD, ALIVE]
    check(town.villagers)


def test_a_quiet_mesh_stays_quiet() -> None:
    """At rest nobody suspects anybody, and traffic is about two datagrams a second each."""
    town = Town(5)
    villagers = town.grown(8)
    town.run(20.0)
    before = town.world.delivered
    size = town.world.bytes_delivered
    town.run(60.0)
    assert (town.world.delivered - before) / 60 / 8 <= 2.2
    assert (town.world.bytes_delivered - size) / 60 / 8 <= 300
    assert all(v.count("accusations_made") == 0 for v in villagers)
    assert all(v.machine.stats()["health"] == 0 for v in villagers)


def test_a_node_alone_has_no_timer_to_speak_of() -> None:
    """With nobody to probe and nothing to say, ticks are minutes apart."""
    town = Town()
    founder = town.approved("founder")
    town.run(1.0)
    assert founder.machine.next_deadline() is not None
    before = town.world.scheduler._counters[founder.host.number]
    town.run(300.0)
    assert town.world.scheduler._counters[founder.host.number] - before <= 40
    assert not founder.events(Alarm)


def test_a_paused_member_is_suspected_and_refutes() -> None:
    """A member that stood still for two seconds is suspected, wakes, refutes, and is no worse."""
    town = Town(7)
    *others, sleeper = town.grown(8)
    town.run(2.0)
    sleeper.host.pause()
    suspected = town.until(lambda: any(o.state(sleeper) is SUSPECT for o in others), limit=5.0)
    assert suspected is not None
    sleeper.host.resume()
    town.run(2.0)
    assert town.all_see(ALIVE, sleeper)
    assert sleeper.count("refutations") >= 1
    assert sleeper.count("ticks_late") >= 1
    assert all(DEAD not in changes(other, sleeper) for other in others)
    check(town.villagers)


def test_a_member_that_slept_to_death_comes_back_by_itself() -> None:
    """A pause long enough to be condemned ends with a newer record and "alive" everywhere."""
    town = Town(8)
    *_, sleeper = town.grown(6)
    sleeper.host.pause()
    assert town.until(lambda: town.all_see(DEAD, sleeper), limit=20.0) is not None
    sleeper.host.resume()
    assert town.until(lambda: town.all_see(ALIVE, sleeper), limit=70.0) is not None


def test_two_dying_at_once_in_a_mesh_of_three_are_both_condemned() -> None:
    """The survivor does not wait for the word of the other dead."""
    town = Town(9)
    survivor, *victims = town.grown(3)
    town.run(2.0)
    for victim in victims:
        victim.crash()
    took = town.until(lambda: all(survivor.state(v) is DEAD for v in victims), limit=60.0)
    assert took is not None


def test_everybody_else_dying_is_noticed_and_loud() -> None:
    """The last one standing condemns all others and raises the alarm of being alone, once."""
    town = Town(10)
    survivor, *victims = town.grown(5)
    town.run(2.0)
    for victim in victims:
        victim.crash()
    took = town.until(lambda: all(survivor.state(v) is DEAD for v in victims), limit=200.0)
    assert took is not None
    town.run(120.0)
    codes = [alarm.code for alarm in survivor.events(Alarm)]
    assert codes == ["alone"]
    victims[0].host.boot()
    assert town.until(lambda: survivor.state(victims[0]) is ALIVE, limit=5.0) is not None


def test_leaving_is_not_dying() -> None:
    """A member that says good-bye is "left" everywhere at once, is not sought, and can return."""
    town = Town(11)
    *others, leaver = town.grown(6)
    town.run(2.0)
    leaver.do(lambda machine, now: machine.leave(now))
    leaver.do(lambda machine, now: machine.leave(now))
    assert town.until(lambda: town.all_see(LEFT, leaver), limit=1.0) is not None
    leaver.crash()
    sent = [other.count("hellos_sent") for other in others]
    town.run(60.0)
    assert [other.count("hellos_sent") for other in others] == sent
    assert all(changes(other, leaver)[-1] is LEFT for other in others)
    leaver.host.boot()
    assert town.until(lambda: town.all_see(ALIVE, leaver), limit=5.0) is not None


def test_a_left_member_renews_nothing() -> None:
    """After its leave a machine issues no record that would bring it back."""
    town = Town(12)
    founder, leaver = town.grown(2)
    leaver.do(lambda machine, now: machine.leave(now))
    leaver.do(lambda machine, now: machine.set_endpoints(now, [("192.0.2.7", 1)]))
    town.run(2.0)
    assert founder.state(leaver) is LEFT


def test_one_way_loss_evicts_nobody() -> None:
    """A member that one other cannot reach is suspected at most: the edge is bad, not the node."""
    town = Town(13)
    villagers = town.grown(8)
    deaf, other = villagers[3], villagers[5]
    town.run(2.0)
    town.world.cut(other.host, deaf.host)
    town.run(60.0)
    assert all(DEAD not in changes(v, deaf) for v in villagers if v is not deaf)
    assert all(DEAD not in changes(v, other) for v in villagers if v is not other)
    assert other.path(deaf) is None


def test_t51_a_partition_heals_to_the_union() -> None:
    """Both halves go on, learn different things, and end equal after the heal, for good."""
    town = Town(14)
    villagers = town.grown(10)
    left, right = villagers[:5], villagers[5:]
    town.world.partition([v.host for v in left], [v.host for v in right])
    revokes = [town.mesh.revoke("user", name) for name in ("bob", "eve")]
    left[0].publish(revokes[0])
    right[0].publish(revokes[1])
    halves = ((left, right), (right, left))
    split = town.until(
        lambda: all(a.state(b) is DEAD for ours, theirs in halves for a in ours for b in theirs),
        limit=120.0,
    )
    assert split is not None
    assert [town.holders(revoke.id) for revoke in revokes] == [5, 5]
    town.run(100.0)
    town.world.heal()
    assert town.until(town.is_settled, limit=90.0) is not None
    assert [town.holders(revoke.id) for revoke in revokes] == [10, 10]
    check(villagers)


def test_a_late_joiner_learns_who_is_dead() -> None:
    """A newcomer gets the accusations with the dead member's record, and so agrees."""
    town = Town(15)
    *others, victim = town.grown(5)
    town.run(2.0)
    victim.crash()
    assert town.until(lambda: town.all_see(DEAD, victim), limit=20.0) is not None
    newcomer = town.invited("newcomer", others[0])
    assert town.until(lambda: newcomer.state(victim) is DEAD, limit=15.0) is not None


def test_a_clock_that_went_back_is_mended() -> None:
    """A member restarted with a clock before its last boot takes its own newest record's epoch."""
    town = Town(16)
    *others, victim = town.grown(4)
    town.run(2.0)
    victim.crash()
    assert town.until(lambda: town.all_see(DEAD, victim), limit=20.0) is not None
    victim.host.skew_seconds = -60.0
    victim.host.boot()
    town.run(1.0)
    assert victim.count("own_epoch_raised") == 0
    # Its own hellos are too old for the others: they knock at its door with theirs.
    took = town.until(lambda: town.all_see(ALIVE, victim), limit=120.0)
    assert took is not None
    assert victim.count("own_epoch_raised") >= 1
    assert others[0].state(victim) is ALIVE


def test_slow_links_do_not_make_dead() -> None:
    """On links of 150 ms with jitter and 5 % loss the WAN preset condemns nobody."""
    from simnet.links import Link

    town = Town(17, link=Link(0.15, 0.05, 0.05), config=Config.for_wan(8))
    founder = town.approved("founder")
    for number in range(7):
        town.invited(f"n{number}", founder)
    assert town.until(town.is_settled, limit=60.0) is not None
    town.run(120.0)
    for villager in town.villagers:
        assert not [e for e in villager.events(MemberChanged) if e.state is DEAD]


def test_the_table_of_states_is_the_documented_one() -> None:
    """The transitions in the code are those drawn at the head of gossip.members."""
    import gossip.members

    rows = {change.value: states for change, states in gossip.members.TRANSITIONS.items()}
    lines = [line.strip() for line in (gossip.members.__doc__ or "").splitlines()]
    for change in Change:
        line = next(line for line in lines if line.startswith(change.value))
        drawn = line.removeprefix(change.value).split()
        assert drawn == [rows[change.value][state].value for state in MemberState]
