"""A node's verified state: events kept, bundles adopted or refused, views for the engine."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from crypto.objects import Device, SignedObject
from crypto.signing import ObjectType
from gossip import events
from node import mesh as mesh_module
from node import restore
from node.alarms import Alarms
from node.clock import Clock
from node.mesh import Mesh as NodeMesh
from node.paths import Paths
from node.restore import Restored
from node.state import StateError, Store
from tests.forge import DAY, Forged, Mesh
from tests.node.crash import crashes
from tests.node.rig import POLICY, adopted, compiled, joined, now

T = TypeVar("T", bound=SignedObject)


class Rig:
    """A node's state in a folder, with a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.forge = Mesh()
        self.places, self.device = joined(folder, self.forge)
        self.wall = float(self.forge.now + 100)
        self.mesh = self.start()

    def start(self) -> NodeMesh:
        """Restore the state from the folder, as a daemon does."""
        self.alarms = Alarms()
        self.store = Store(self.places.database)
        clock = Clock(wall=lambda: self.wall, boot=lambda: self.wall)
        return NodeMesh(
            restore.load(self.store, clock.interval()),
            self.store,
            clock,
            self.alarms,
            wireguard_port=1,
            control_port=2,
        )

    @property
    def forged(self) -> Forged[Device]:
        """This device with its envelope, as the forger would have made it."""
        (raw,) = [raw for kind, _, raw in self.store.objects() if kind == "device"][:1]
        return Forged(ObjectType.DEVICE, raw, self.device)

    def admit(self, forged: Forged[T]) -> None:
        """Let the core have admitted an object."""
        admitted = self.mesh.trust.admit(forged.raw, self.mesh.clock.interval())
        self.mesh.take(events.ObjectAdmitted(admitted.type, admitted.id, forged.raw))

    def bundle(self, version: int, text: str = POLICY) -> None:
        """Let the core have admitted a bundle."""
        parts = compiled(text)
        head = self.forge.head(version, parts=parts)
        self.admit(head)
        for part in parts.values():
            self.mesh.trust.admit_part(part)
            self.mesh.take(events.PartAdmitted(head.body.parts["policy"].hash, part))
        self.mesh.take(events.BundleReady(head.id))

    def codes(self) -> set[str]:
        """Return the codes of the alarms that stand."""
        return {code for code, _ in self.alarms}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A node that has just joined."""
    return Rig(tmp_path / "n")


BROKEN = POLICY.replace('allow = ["tcp/22"]', 'allow = ["tcp/24"]')


async def test_a_whole_bundle_is_adopted_and_there_after_a_restart(rig: Rig) -> None:
    """The policy is in force, its directory settles names, and the disk knows."""
    rig.bundle(1)
    assert rig.mesh.bundle_ready.is_set()
    await rig.mesh.consider()
    assert rig.mesh.bundle is not None
    again = rig.start()
    assert again.bundle == rig.mesh.bundle
    assert again.trust.head_id == rig.mesh.trust.head_id


async def test_a_bundle_whose_tests_fail_is_refused_and_the_old_one_stays(rig: Rig) -> None:
    """The alarm names the failing test; nothing of the bundle in force changes."""
    rig.bundle(1)
    await rig.mesh.consider()
    before = rig.mesh.bundle
    rig.bundle(2, BROKEN)
    await rig.mesh.consider()
    assert rig.mesh.bundle is before
    (text,) = [text for code, text in rig.alarms if code == "bundle-refused"]
    assert "tests fail" in text
    assert "laptop to device:db1" in text
    assert rig.mesh.trust.candidate is None
    assert rig.start().bundle == before


async def test_the_next_good_bundle_ends_the_alarm(rig: Rig) -> None:
    """A refused bundle stands in nobody's way."""
    rig.bundle(1, BROKEN)
    await rig.mesh.consider()
    assert rig.codes() == {"bundle-refused"}
    rig.bundle(2)
    await rig.mesh.consider()
    assert rig.mesh.bundle is not None
    assert rig.codes() == set()


@pytest.mark.parametrize("part", ["policy", "directory"])
async def test_a_part_that_is_none_refuses_the_bundle(rig: Rig, part: str) -> None:
    """Signed nonsense is still nonsense."""
    parts = {**compiled(), part: b"nonsense"}
    rig.admit(rig.forge.head(1, parts=parts))
    for data in parts.values():
        rig.mesh.trust.admit_part(data)
    await rig.mesh.consider()
    assert rig.mesh.bundle is None
    assert rig.codes() == {"bundle-refused"}


async def test_a_bundle_that_this_program_fails_over_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in judging a bundle ends no daemon: else it would at each start, too."""
    rig.bundle(1)
    await rig.mesh.consider()
    before = rig.mesh.bundle

    def fail(*_: object) -> None:
        raise KeyError("db1")

    monkeypatch.setattr(mesh_module, "run_tests", fail)
    rig.bundle(2)
    await rig.mesh.consider()
    assert rig.mesh.bundle is before
    assert "fails over it" in dict(rig.alarms)["bundle-refused"]


async def test_a_bundle_for_later_programs_is_refused(rig: Rig) -> None:
    """T72: min_client_version is obeyed, and the text says what to do."""
    parts = compiled()
    rig.admit(rig.forge.head(1, parts=parts, min_client_version=99))
    for data in parts.values():
        rig.mesh.trust.admit_part(data)
    await rig.mesh.consider()
    assert rig.mesh.bundle is None
    assert "install a newer hedgerow" in dict(rig.alarms)["bundle-refused"]


async def test_what_was_replaced_is_forgotten_on_disk(rig: Rig) -> None:
    """The file does not grow with each bundle."""
    for version in (1, 2, 3):
        rig.bundle(version)
        await rig.mesh.consider()
    heads = [kind for kind, _, _ in rig.store.objects() if kind == "head"]
    assert len(heads) == 1
    assert len(rig.store.parts()) == 2


@pytest.mark.slow
def test_t25_a_crash_at_any_line_of_an_adoption_leaves_old_or_new(tmp_path: Path) -> None:
    """T25: kill -9 at every line; the next start has the old bundle, or the new one, whole."""
    rig = Rig(tmp_path / "n")
    parts = compiled()
    first = rig.forge.head(1, parts=parts)
    adopted(rig.places, rig.forge, first, parts)
    rig.store.close()
    rig.mesh = rig.start()
    rig.bundle(2, POLICY + '[[block]]\nid = "b"\nwho = ["device:n0"]\n')
    ready = rig.mesh.trust.ready()
    assert ready is not None
    bundle = mesh_module.prepare(ready)
    rig.store.close()
    before = rig.places.database.read_bytes()

    def adopt() -> None:
        # Memory is the child's own; the file is not, so it is opened there.
        rig.mesh.store = Store(rig.places.database)
        rig.mesh._adopt(ready, bundle)
        rig.mesh.store.close()

    seen = set()
    for _ in crashes(adopt, "node.mesh", "node.state"):
        seen.add(_version(rig.places))
        for file in rig.places.state.glob("state.db*"):
            file.unlink()
        rig.places.database.write_bytes(before)
    assert seen == {1, 2}


def _version(places: Paths) -> int:
    with Store(places.database) as store:
        found = restore.load(store, now(Mesh()))
    assert found.bundle is not None
    assert found.trust.head is not None
    blocks = len(found.bundle.policy.blocks)
    assert blocks == found.trust.head.version - 1, "a head with another head's policy"
    return found.trust.head.version


async def test_a_revocation_is_urgent_and_other_objects_are_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes rights away does not wait for more changes to come."""
    monkeypatch.setattr(mesh_module, "COALESCE_SECONDS", 3_600.0)
    waiting = asyncio.create_task(rig.mesh.wait(3_600))
    rig.admit(rig.forge.ticket())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    rig.admit(rig.forge.revoke("device", rig.device.device_id))
    await asyncio.wait_for(waiting, 5)


async def test_waiting_ends_at_its_time(rig: Rig) -> None:
    """Without a change, time is the change."""
    await asyncio.wait_for(rig.mesh.wait(0.001), 5)


async def test_an_admitted_object_is_on_disk_when_the_event_returns(rig: Rig) -> None:
    """Nothing is passed on before it is kept."""
    ticket = rig.forge.ticket("another")
    rig.admit(ticket)
    with Store(rig.places.database) as other:
        assert ticket.id in {key for _, key, _ in other.objects()}


async def test_the_floor_rises_with_what_the_admins_sign(rig: Rig) -> None:
    """A later start with a clock set back still knows what time it is not before."""
    rig.forge.now += 50
    rig.bundle(1)
    assert rig.store.get_number(restore.FLOOR) == rig.forge.now


async def test_a_disk_that_takes_nothing_is_an_alarm_and_a_revocation_holds(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node goes on, and writes what it could not as soon as it can."""

    def full(objects: object) -> None:
        raise StateError("the disk is full", remedy="free some space")

    monkeypatch.setattr(rig.store, "add_objects", full)
    revocation = rig.forge.revoke("device", rig.device.device_id)
    rig.admit(revocation)
    assert rig.codes() == {"state-not-saved"}
    assert rig.mesh.trust.is_revoked("device", rig.device.device_id)
    rig.mesh.save_rest()
    assert rig.codes() == {"state-not-saved"}
    monkeypatch.undo()
    rig.mesh.save_rest()
    assert rig.codes() == set()
    assert revocation.id in {key for _, key, _ in rig.store.objects()}


async def test_paths_are_remembered_to_find_the_mesh_again(rig: Rig) -> None:
    """Where a member was reached is tried first after a restart; the core's loss only ends it."""
    founder = rig.forge.device("founder")
    rig.admit(founder)
    rig.mesh.take(events.PathChanged(founder.device_id, ("203.0.113.5", 4_000)))
    assert rig.mesh.view(now(rig.forge)).paths == {founder.device_id: ("203.0.113.5", 4_000)}
    assert rig.store.members()[0].host == "203.0.113.5"
    rig.mesh.take(events.PathChanged(founder.device_id, None))
    assert rig.mesh.view(now(rig.forge)).paths == {}
    assert rig.store.members()[0].host == "203.0.113.5"


async def test_a_translator_is_noticed_by_how_others_see_us(rig: Rig) -> None:
    """Seen at an address that no interface has, the tunnel keeps its way open."""
    rig.mesh.underlay = frozenset({"192.168.1.2"})
    rig.mesh.take(events.Observed(("192.168.1.2", 1)))
    assert rig.mesh.view(now(rig.forge)).natted == frozenset()
    rig.mesh.take(events.Observed(("203.0.113.9", 4_000)))
    assert rig.mesh.view(now(rig.forge)).natted == {rig.device.device_id}


async def test_observations_are_bounded(rig: Rig) -> None:
    """Members that lie about our address cost no memory."""
    for number in range(mesh_module.OBSERVATIONS_MAX * 2):
        rig.mesh.take(events.Observed((f"203.0.113.{number}", 1)))
    assert len(rig.mesh._observed) == mesh_module.OBSERVATIONS_MAX


async def test_events_of_the_core_reach_alarms_and_askers(rig: Rig) -> None:
    """An alarm stands until what it says is over; a ping's answer wakes who asked."""
    rig.mesh.take(events.Alarm("alone", "nobody answers"))
    assert rig.codes() == {"alone"}
    rig.mesh.take(events.PathChanged(bytes(32), ("203.0.113.5", 1)))
    assert rig.codes() == set()
    answer: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
    rig.mesh.pings[7] = answer
    rig.mesh.take(events.PingResult(7, bytes(32), 0.5))
    rig.mesh.take(events.PingResult(8, bytes(32), 0.5))
    assert await answer == 0.5
    rig.mesh.take(events.JoinAccepted(bytes(32)))
    rig.mesh.take(events.Synced())
    rig.mesh.take(events.MemberChanged(bytes(32), events.MemberState.DEAD))


async def test_time_alone_brings_and_ends_alarms(rig: Rig) -> None:
    """Stale and expired bundles, a clock that jumped, and a device not in force are said."""
    rig.bundle(1)
    await rig.mesh.consider()
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert rig.codes() == {"not-in-force"}
    rig.wall += 8 * DAY
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert "bundle-stale" in rig.codes()
    rig.wall += 30 * DAY
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert {"bundle-expired"} <= rig.codes()
    assert "bundle-stale" not in rig.codes()
    rig.wall = 0.0
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert "clock-behind" in rig.codes()


async def test_being_in_force_ends_the_alarms_of_not_being_so(rig: Rig) -> None:
    """What a member refused before it knew better is over once somebody has sponsored us."""
    rig.mesh.take(events.Alarm("join-refused", "no"))
    rig.mesh.take(events.Alarm("removed", "no"))
    founder = rig.forge.device("founder")
    rig.admit(founder)
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert rig.codes() == {"join-refused", "removed", "not-in-force"}
    rig.admit(rig.forge.sponsor(rig.forged, founder))
    rig.mesh.look_around(rig.mesh.clock.interval())
    assert rig.codes() == set()


async def test_the_core_is_told_of_what_was_decided(rig: Rig) -> None:
    """Adopting and refusing change what the core offers to others."""
    told: list[float] = []

    class Core:
        def trust_changed(self, now: float) -> None:
            told.append(now)

    rig.mesh.core = Core()
    rig.bundle(1)
    await rig.mesh.consider()
    rig.bundle(2, BROKEN)
    await rig.mesh.consider()
    assert len(told) == 2


def test_a_state_file_without_its_roots_is_an_error_with_a_remedy(rig: Rig) -> None:
    """Whoever cuts the file can make the node forget, never believe."""
    with rig.store.transaction():
        rig.store.drop_objects(key for kind, key, _ in rig.store.objects() if kind == "root")
    with pytest.raises(restore.RestoreError, match="does not hold the mesh") as caught:
        rig.start()
    assert "join again" in caught.value.remedy


def test_a_bundle_whose_part_is_gone_leaves_nothing_allowed(rig: Rig) -> None:
    """A missing part closes and does not end the daemon; gossip brings it again."""
    parts = compiled()
    adopted(rig.places, rig.forge, rig.forge.head(1, parts=parts), parts)
    with rig.store.transaction():
        rig.store.keep_parts([])
    again = rig.start()
    assert again.bundle is None
    assert again.trust.missing()


def test_restored_says_what_was_refused(rig: Rig) -> None:
    """An object that no longer verifies is left out and named."""
    forged = Mesh("other").ticket()
    with rig.store.transaction():
        rig.store.add_objects([("ticket", forged.id, forged.raw)])
    found = restore.load(rig.store, now(rig.forge))
    assert isinstance(found, Restored)
    assert len(found.refused) == 1
    assert replace(found, refused=()).device == rig.device
