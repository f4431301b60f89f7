"""A mesh of forged objects, and the folders of nodes in it."""

from pathlib import Path

from crypto.agreement import x25519_public
from crypto.clock import Interval
from crypto.invite import Approval, Bootstrap, Invite
from crypto.objects import Device, Directory, Head, Ticket
from node import enrol, paths, restore
from node.paths import Paths
from node.state import Store
from policy.compile import compile_document
from policy.document import parse
from tests.forge import Forged, Mesh, at, seed

POLICY = """
schema = 1
mesh = "hedge"
[devices.db1]
[devices.laptop]
[devices.n0]
[[rule]]
id = "ssh"
from = ["device:laptop"]
to = ["device:db1"]
allow = ["tcp/22"]
[[rule]]
id = "any"
from = ["device:n0"]
to = ["device:db1"]
allow = ["any"]
[[test]]
from = { device = "laptop" }
to = "db1:tcp/22"
expect = "allow"
[[test]]
from = { device = "laptop" }
to = "db1:tcp/23"
expect = "deny"
"""


def now(mesh: Mesh) -> Interval:
    """Return an instant at which the mesh's objects are in force."""
    return at(mesh.now + 100)


def member(port: int = 41_641) -> Bootstrap:
    """Return a member to join through."""
    return Bootstrap(
        host="192.0.2.1",
        port=port,
        device_id=Mesh().device("gateway").body.device_id,
        gossip_public=x25519_public(seed("gossip")),
    )


def invite(mesh: Mesh, ticket: Forged[Ticket]) -> Invite:
    """Return an invite with a ticket."""
    return Invite(
        mesh_id=mesh.mesh_id,
        mesh_name=mesh.root.mesh_name,
        ticket_raw=ticket.raw,
        ticket_seed=ticket.seed,
        bootstrap=(member(),),
        roots=tuple(mesh.roots),
    )


def approval(
    mesh: Mesh, device: bytes, *objects: bytes, parts: tuple[bytes, ...] = ()
) -> Approval:
    """Return an approval of a device's envelope."""
    return Approval(
        mesh_id=mesh.mesh_id,
        roots=tuple(mesh.roots),
        device_raw=device,
        bootstrap=(member(),),
        objects=objects,
        parts=parts,
    )


def compiled(text: str = POLICY) -> dict[str, bytes]:
    """Return the parts of a bundle with a policy."""
    done = compile_document(parse(text, "policy.toml"))
    return {"policy": done.policy, "directory": done.directory}


def directory(text: str = POLICY) -> Directory:
    """Return the directory of a policy."""
    return Directory.from_payload(compiled(text)["directory"])


def joined(folder: Path, mesh: Mesh, name: str = "db1") -> tuple[Paths, Device]:
    """Join a mesh with a ticket for a name, and return the folder's places and the device."""
    places = paths.given(folder)
    ticket = mesh.ticket(f"for {name}", name=name, uses=1)
    done = enrol.join(places, invite(mesh, ticket), now(mesh), name="")
    return places, done.device


def adopted(places: Paths, mesh: Mesh, head: Forged[Head], parts: dict[str, bytes]) -> None:
    """Let a folder have adopted a bundle, as a daemon leaves it."""
    with Store(places.database) as store, store.transaction():
        store.add_objects([("head", head.id, head.raw)])
        for ref in head.body.parts.items():
            store.add_part(ref[1].hash, parts[ref[0]])
        store.put(restore.ADOPTED, head.id)
