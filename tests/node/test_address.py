"""A device that lost its address to an earlier one takes another, within its ticket."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from crypto.objects import Device
from crypto.signing import ObjectType, decode
from gossip import events
from node import address, enrol, keystore, paths, restore
from node.alarms import Alarms
from node.clock import Clock
from node.mesh import Mesh as NodeMesh
from node.readdress import SETTLED_SECONDS, TRIES_MAX, Readdresser
from node.state import Store
from tests.forge import DAY, Forged, Mesh, at
from tests.node.rig import invite

RANGE = IPv4Network("100.64.7.0/29")
MESH_ID = bytes(32)
ME = bytes(range(32))


def test_the_first_choice_is_the_hash_and_later_ones_differ() -> None:
    """All six hosts of a range are found, each once, before there is none."""
    taken: list[IPv4Address] = []
    while (chosen := address.choose(RANGE, MESH_ID, ME, taken=taken)) is not None:
        taken.append(chosen)
    assert sorted(taken) == list(RANGE.hosts())


def test_two_that_met_part() -> None:
    """Of devices with one first choice, the second choices are spread."""
    network = IPv4Network("100.64.0.0/24")
    ids = [number.to_bytes(32, "big") for number in range(2_000)]
    met = [each for each in ids if address.choose(network, MESH_ID, each) == network[9]]
    second = {address.choose(network, MESH_ID, each, taken={network[9]}) for each in met}
    assert len(met) > 3
    assert len(second) > 1


def test_the_ticket_key_is_kept_as_secret_as_the_device_key(tmp_path: Path) -> None:
    """Mode 0600; what is damaged is said, and what is erased is gone."""
    assert address.load(tmp_path) is None
    address.keep(tmp_path, bytes(32))
    address.keep(tmp_path, ME)
    path = tmp_path / address.FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert address.load(tmp_path) == ME
    for damaged in (b"\xff", b"\xa0"):
        path.write_bytes(damaged)
        with pytest.raises(LocalError, match=address.FILE):
            address.load(tmp_path)
    address.forget(tmp_path)
    address.forget(tmp_path)
    assert address.load(tmp_path) is None


class Rig:
    """A node enrolled by a ticket for many, and an earlier device that chose its address."""

    def __init__(self, folder: Path) -> None:
        self.forge = Mesh()
        self.wall = float(self.forge.now + 100)
        self.ticket = self.forge.ticket("guests", addresses=RANGE, uses=5)
        self.gate = self.forge.device("gate")
        self.places = paths.given(folder)
        made = invite(self.forge, self.ticket)
        self.device = enrol.join(self.places, made, at(self.wall), name="late").device
        self.alarms = Alarms()
        self.store = Store(self.places.database)
        self.clock = Clock(wall=lambda: self.wall, boot=lambda: self.wall)
        self.mesh = self.restored()
        self.readdresser = self.started()

    def restored(self) -> NodeMesh:
        """Restore the state, as a daemon does."""
        return NodeMesh(
            restore.load(self.store, self.clock.interval()),
            self.store,
            self.clock,
            self.alarms,
            wireguard_port=1,
            control_port=2,
        )

    def started(self) -> Readdresser:
        """Begin to watch, as a daemon does."""
        return Readdresser(self.places.state, self.mesh, self.keys)

    @property
    def keys(self) -> DeviceKeys:
        """The device's keys."""
        keys = keystore.load(self.places.state)
        assert keys is not None
        return keys

    def admit(self, raw: bytes) -> None:
        """Let the core have admitted an object."""
        admitted = self.mesh.trust.admit(raw, self.clock.interval())
        self.mesh.take(events.ObjectAdmitted(admitted.type, admitted.id, raw))

    def sponsor(self, raw: bytes, at_seconds: int) -> None:
        """Let the gate have sponsored a device."""
        body = Device.from_payload(decode(raw).payload)
        forged = Forged(ObjectType.DEVICE, raw, body)
        self.admit(self.forge.sponsor(forged, self.gate, at=at_seconds).raw)

    def own_raw(self) -> bytes:
        """Return this device's envelope on disk."""
        return restore.load(self.store, self.clock.interval()).device_raw

    def conflict(self, claimed: IPv4Address) -> None:
        """Let an earlier device of the ticket claim an address."""
        early = self.forge.device(f"early {claimed}", self.ticket, address4=claimed)
        for raw in (self.gate.raw, self.ticket.raw, early.raw):
            self.admit(raw)
        self.sponsor(early.raw, self.forge.now + 10)

    def state(self) -> tuple[bool, str]:
        """Say whether this device is in force."""
        return self.mesh.trust.device_state(self.device.device_id, self.clock.interval())

    def look(self, seconds: float = 0.0) -> bytes | None:
        """Look once."""
        return self.readdresser.look(self.clock.interval(), seconds)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A node that has just joined."""
    return Rig(tmp_path / "n")


def test_a_device_whose_address_is_taken_comes_in_with_another(rig: Rig) -> None:
    """It was in, an earlier one appeared: the same enrolment, no further use, another address."""
    rig.conflict(rig.device.address4)
    rig.sponsor(rig.own_raw(), rig.forge.now + 50)
    in_force, reason = rig.state()
    assert not in_force
    assert address.lost(reason, rig.device.address4)
    raw = rig.look()
    assert raw is not None
    rig.sponsor(raw, rig.forge.now + 60)
    assert rig.state() == (True, "in force")
    assert rig.mesh.me.address4 != rig.device.address4
    assert rig.mesh.me.address4 in RANGE
    assert rig.look() is None


def test_a_refusal_by_a_member_is_enough(rig: Rig) -> None:
    """Nobody talks to a device that is not in force, so all it knows is what it was told."""
    told = "the device is not in force: {} belongs to early (0123456789abcdef)"
    rig.mesh.take(events.Alarm("join-refused", told.format("100.64.99.99")))
    assert rig.look() is None
    rig.mesh.take(events.Alarm("join-refused", told.format(rig.device.address4)))
    raw = rig.look()
    assert raw is not None
    assert "join-refused" not in dict(rig.alarms)
    # The member that refused the first object takes the second.
    member = rig.forge.trust(rig.gate, rig.ticket)
    member.admit(raw, at(rig.wall))
    assert member.may_sponsor(decode(raw).id, rig.gate.device_id, at(rig.wall))[0]


def test_addresses_known_to_be_in_use_are_left_out(rig: Rig) -> None:
    """What this node knows of others, it does not try."""
    others = [each for each in RANGE.hosts() if each != rig.device.address4]
    for claimed in (rig.device.address4, *others[:3]):
        rig.conflict(claimed)
    rig.sponsor(rig.own_raw(), rig.forge.now + 50)
    raw = rig.look()
    assert raw is not None
    assert Device.from_payload(decode(raw).payload).address4 in others[3:]


def test_what_was_signed_again_survives_a_restart(rig: Rig) -> None:
    """The newer object is this device's own from then on."""
    rig.mesh.take(events.Alarm("join-refused", f"{rig.device.address4} belongs to early (01)"))
    raw = rig.look()
    assert rig.own_raw() == raw
    again = rig.restored()
    assert again.enrolled.address4 != rig.device.address4
    assert again.enrolled.issued > rig.device.issued


def test_the_tries_are_bounded(rig: Rig) -> None:
    """Each of them is an object that every member keeps."""
    tried = set()
    for _ in range(TRIES_MAX + 3):
        mine = rig.mesh.enrolled.address4
        tried.add(mine)
        rig.mesh.take(events.Alarm("join-refused", f"{mine} belongs to early (01)"))
        rig.look()
    assert len(tried) == min(TRIES_MAX + 1, 6)


def test_other_reasons_change_nothing(rig: Rig) -> None:
    """A device that nobody has sponsored yet, or that is revoked, keeps its address."""
    assert not rig.state()[0]
    assert rig.look() is None
    rig.mesh.take(events.Alarm("join-refused", "its ticket has no use left"))
    assert rig.look() is None


def test_the_key_is_erased_once_the_address_is_settled(rig: Rig) -> None:
    """An hour in force without a break, and nobody else can have been earlier unheard."""
    rig.admit(rig.gate.raw)
    rig.sponsor(rig.own_raw(), rig.forge.now + 50)
    assert rig.look(0.0) is None
    assert rig.look(SETTLED_SECONDS - 1) is None
    assert address.load(rig.places.state) is not None
    assert rig.look(SETTLED_SECONDS) is None
    assert address.load(rig.places.state) is None


def test_the_key_is_erased_when_the_ticket_has_ended(rig: Rig) -> None:
    """It opens nothing any more."""
    rig.wall += 8 * DAY
    assert rig.look() is None
    assert address.load(rig.places.state) is None


def test_a_damaged_key_file_ends_nothing(rig: Rig) -> None:
    """The node runs; it only cannot take another address."""
    (rig.places.state / address.FILE).write_bytes(b"\x00")
    rig.readdresser = rig.started()
    rig.mesh.take(events.Alarm("join-refused", f"{rig.device.address4} belongs to x (01)"))
    assert rig.look() is None


def test_a_ticket_for_one_address_leaves_no_key(tmp_path: Path) -> None:
    """There is no other address to take."""
    forge = Mesh()
    ticket = forge.ticket("one", addresses=IPv4Network("100.64.0.9/32"), uses=1)
    places = paths.given(tmp_path / "n")
    enrol.join(places, invite(forge, ticket), at(forge.now + 100), name="one")
    assert address.load(places.state) is None


def test_an_ephemeral_device_lives_on_from_its_newer_object(rig: Rig) -> None:
    """Its end keeps to what the ticket allows."""
    enrolment = address.Enrolment(
        rig.forge.mesh_id,
        replace(rig.ticket.body, ephemeral_minutes=5),
        rig.ticket.seed,
        rig.keys,
    )
    signed = enrolment.again(rig.device, [rig.device.address4], at(rig.wall + 9))
    assert signed is not None
    assert signed[0].not_after == signed[0].issued + 300
    assert enrolment.again(rig.device, list(RANGE.hosts()), at(rig.wall)) is None
    assert enrolment.again(rig.device, [], at(rig.forge.now + 8 * DAY)) is None
