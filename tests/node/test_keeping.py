"""What a node keeps on disk: enough to start again, nothing of strangers, the copy that counts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crypto.identity import overlay6
from crypto.objects import Directory, DirectoryDevice, RevokeKind
from crypto.signing import ObjectType
from gossip import events
from node import enrol, paths, restore
from node import mesh as mesh_module
from node.alarms import Alarms
from node.clock import Clock
from node.mesh import Mesh as NodeMesh
from node.paths import Paths
from node.state import Store
from tests.forge import Mesh, resigned, seed
from tests.node.rig import approval, compiled, directory, joined, now


class Node:
    """A node's state in a folder."""

    def __init__(self, forge: Mesh, places: Paths) -> None:
        self.forge = forge
        self.places = places
        self.start()

    def start(self) -> None:
        """Restore the state from the folder, as a daemon does."""
        wall = float(self.forge.now + 100)
        self.store = Store(self.places.database)
        clock = Clock(wall=lambda: wall, boot=lambda: wall)
        restored = restore.load(self.store, clock.interval())
        self.mesh = NodeMesh(
            restored, self.store, clock, Alarms(), wireguard_port=1, control_port=2
        )

    def admit(self, raw: bytes) -> None:
        """Let the core have admitted an object."""
        admitted = self.mesh.trust.admit(raw, self.mesh.clock.interval())
        if admitted.fresh:
            self.mesh.take(events.ObjectAdmitted(admitted.type, admitted.id, raw))

    async def adopt(self, version: int, other: Directory | None = None) -> None:
        """Let the node have adopted a bundle."""
        parts = compiled()
        if other is not None:
            parts["directory"] = other.to_payload()
        self.admit(self.forge.head(version, parts=parts).raw)
        for part in parts.values():
            self.mesh.trust.admit_part(part)
        await self.mesh.consider()
        assert self.mesh.bundle is not None

    def kept(self, kind: ObjectType) -> list[bytes]:
        """Return the ids of the objects of a type on disk."""
        return [key for each, key, _ in self.store.objects() if each == kind]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that has joined with a ticket."""
    forge = Mesh()
    made = Node(forge, joined(tmp_path / "n", forge)[0])
    yield made
    made.store.close()


async def test_a_device_that_is_approved_anew_starts_again(tmp_path: Path) -> None:
    """A newer object of this device takes the place of the one it was enrolled with."""
    forge = Mesh()
    places = paths.given(tmp_path / "n")
    asked = enrol.request(places, name="db1")
    first = forge.device(
        "db1",
        device_id=asked.device_id,
        wireguard_public=asked.wireguard_public,
        gossip_public=asked.gossip_public,
        address6=overlay6(forge.mesh_id, asked.device_id),
    )
    enrol.approve(places, approval(forge, first.raw), now(forge), requested=places)
    node = Node(forge, places)
    newer = replace(first.body, tags=("prod",), issued=first.body.issued + 50)
    node.admit(forge.seal(newer, seeds=forge.seeds("registrar")))
    await node.adopt(1)
    node.store.close()
    node.start()
    assert node.mesh.me.tags == ("prod",)


async def test_a_device_that_others_crowd_out_of_memory_starts_again(node: Node) -> None:
    """Who holds the same invite can push this device out of the waiting room, and no further."""
    (raw,) = [raw for kind, _, raw in node.store.objects() if kind == ObjectType.TICKET]
    ticket = replace(node.forge.ticket("for db1", name="db1", uses=1), raw=raw)
    for number in range(40):
        node.admit(node.forge.device(f"thief {number}", ticket).raw)
    await node.adopt(1)
    node.store.close()
    me = node.mesh.me.device_id
    node.start()
    assert node.mesh.me.device_id == me


def test_a_device_that_nobody_has_let_in_is_not_kept(node: Node) -> None:
    """An invite makes as many devices as its holder likes; the disk is for those that are in."""
    ticket = node.forge.ticket("lost", uses=1)
    node.admit(ticket.raw)
    for number in range(5):
        node.admit(node.forge.device(f"thief {number}", ticket).raw)
    assert len(node.kept(ObjectType.DEVICE)) == 1


def test_a_device_is_kept_with_the_word_that_lets_it_in(node: Node) -> None:
    """A sponsored device is there after a restart."""
    founder, ticket = node.forge.device("founder"), node.forge.ticket("guests")
    guest = node.forge.device("guest", ticket)
    for forged in (founder, ticket, guest, node.forge.sponsor(guest, founder)):
        node.admit(forged.raw)
    node.store.close()
    node.start()
    assert guest.body.device_id in node.mesh.trust.devices(now(node.forge))


async def test_a_device_that_the_directory_settles_is_kept(node: Node) -> None:
    """It needs nobody's word, so it goes to disk with the bundle that names it."""
    ticket = node.forge.ticket("guests")
    guest = node.forge.device("guest", ticket)
    for forged in (ticket, guest):
        node.admit(forged.raw)
    named = DirectoryDevice(guest.body.device_id)
    usual = directory()
    await node.adopt(1, replace(usual, devices={**usual.devices, "guest": named}))
    node.store.close()
    node.start()
    assert guest.body.device_id in node.mesh.trust.devices(now(node.forge))


def test_objects_that_were_replaced_do_not_fill_the_disk(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member may date its word back again and again; only the last one stays for long."""
    monkeypatch.setattr(mesh_module, "REPLACED_MAX", 8)
    node.store.close()
    node.start()
    founder, ticket = node.forge.device("founder"), node.forge.ticket("guests")
    guest = node.forge.device("guest", ticket)
    for forged in (founder, ticket, guest):
        node.admit(forged.raw)
    for number in range(50):
        said = node.forge.sponsor(guest, founder, at=node.forge.now + 90 - number)
        node.admit(said.raw)
    assert len(node.kept(ObjectType.SPONSOR)) <= 10


def test_t24_the_copy_whose_signers_count_is_the_one_that_is_kept(node: Node) -> None:
    """A revocation signed again by who has the role now binds after a restart as before it."""
    forge = node.forge
    late = forge.device("late", issued=forge.now + 80, not_before=forge.now + 80)
    revoke = forge.revoke(RevokeKind.DEVICE, late.body.device_id)
    node.admit(revoke.raw)
    node.admit(forge.next_root(signers={"revoker": ["new revoker"]}).raw)
    node.admit(late.raw)
    assert late.body.device_id in node.mesh.trust.devices(now(forge)), "the first word lapsed"
    node.admit(resigned(revoke.raw, mesh_id=forge.mesh_id, seeds=[seed("new revoker")]))
    assert late.body.device_id not in node.mesh.trust.devices(now(forge))
    node.store.close()
    node.start()
    assert late.body.device_id not in node.mesh.trust.devices(now(forge))
