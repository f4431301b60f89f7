"""Attacks on the chain of roots: skipped, half-signed, forged and endless rotations."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from crypto.codec import Value, dumps, loads
from crypto.errors import (
    ConstraintError,
    EquivocationError,
    ObjectError,
    SignatureError,
    ThresholdError,
    UnknownParentError,
    WrongMeshError,
)
from crypto.objects import Role
from crypto.signing import ObjectType, object_id, public_key
from crypto.trust import Limits, Trust
from tests import forge
from tests.forge import DAY, NOW, Mesh, at, refused, seed

LATER = at(NOW + 100)


def new_holders(mesh: Mesh, generation: int) -> dict[str, list[str]]:
    """Return labels of root keys nobody has used before."""
    return {"root": [f"{mesh.root.mesh_name} root {generation} {n}" for n in range(3)]}


def test_the_first_root_makes_the_mesh() -> None:
    """The mesh id is the hash of root 1, and its fields are what trust says of the mesh."""
    mesh = Mesh()
    trust = mesh.trust()
    assert trust.mesh_id == mesh.mesh_id == object_id(mesh.root.to_payload())
    assert (trust.mesh_name, trust.epoch, trust.root) == ("hedge", 1, mesh.root)
    assert trust.pool4 == mesh.root.pool4
    assert trust.floor == mesh.root.issued


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_root_needs_its_own_threshold(count: int) -> None:
    """One of two needed holders does not found a mesh; all three do."""
    mesh = Mesh()
    raw = mesh.seal(mesh.root, seeds=mesh.seeds("root", count))
    if count == 1:
        with pytest.raises(ThresholdError, match="1 of the 2 root keys"):
            Trust(raw)
    else:
        assert Trust(raw).mesh_id == mesh.mesh_id


def test_only_a_first_root_begins_a_mesh() -> None:
    """Neither a later root nor another object can be taken on trust."""
    mesh = Mesh()
    with pytest.raises(ObjectError, match="root version 1, not 2"):
        Trust(mesh.next_root().raw)
    with pytest.raises(ObjectError, match="not with a ticket"):
        Trust(mesh.ticket().raw)


def test_a_rotation_signed_by_both_sides_is_taken() -> None:
    """T15: version 2 with the thresholds of old and new keys becomes the root."""
    mesh = Mesh()
    trust = mesh.trust()
    second = mesh.next_root(signers=new_holders(mesh, 2))
    admitted = trust.admit(second.raw, LATER)
    assert (admitted.type, admitted.id, admitted.fresh) == (ObjectType.ROOT, second.id, True)
    assert trust.root == second.body
    assert trust.floor == second.body.issued
    assert not trust.admit(second.raw, LATER).fresh
    assert not trust.admit(mesh.roots[0], LATER).fresh


def test_t15_a_root_that_skips_a_version_waits_for_the_one_between() -> None:
    """T15: version 3 without version 2 is refused, names what is missing, and works after it."""
    mesh = Mesh()
    trust = mesh.trust()
    second, third = mesh.next_root(), mesh.next_root()
    error = refused(trust, third.raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert (error.parent_kind, error.parent_id) == ("root", second.id)
    trust.admit(second.raw, LATER)
    trust.admit(third.raw, LATER)
    assert trust.epoch == 3


@pytest.mark.parametrize("side", ["old", "new"])
def test_t15_a_root_signed_by_one_side_only_is_refused(side: str) -> None:
    """T15: neither the old holders nor the new ones can rotate the root alone."""
    mesh = Mesh()
    trust = mesh.trust()
    old = mesh.seeds("root")
    new = [seed(label) for label in new_holders(mesh, 2)["root"][:2]]
    raw = mesh.next_root(signers=new_holders(mesh, 2), seeds=old if side == "old" else new).raw
    refused(trust, raw, ThresholdError)


def test_t13_one_new_holder_short_is_refused() -> None:
    """T13: the old threshold and k - 1 of the new one do not make a root."""
    mesh = Mesh()
    trust = mesh.trust()
    holders = new_holders(mesh, 2)
    seeds = [*mesh.seeds("root"), seed(holders["root"][0])]
    refused(trust, mesh.next_root(signers=holders, seeds=seeds).raw, ThresholdError)


def test_t13_a_root_with_an_unknown_signer_is_refused() -> None:
    """T13: a signature by somebody in neither role spoils the root, enough others or not."""
    mesh = Mesh()
    trust = mesh.trust()
    seeds = [*mesh.seeds("root"), seed("stranger")]
    refused(trust, mesh.next_root(seeds=seeds).raw, SignatureError)


def test_t16_a_node_offline_through_fifty_rotations_follows_the_chain() -> None:
    """T16: fifty rotations with all keys changing twice, most roots long expired, are followed."""
    mesh = Mesh()
    trust = mesh.trust()
    for generation in range(2, 52):
        signers = new_holders(mesh, generation) if generation in {20, 40} else None
        mesh.next_root(signers=signers, expires=NOW + generation + 1)
    much_later = at(NOW + 400 * DAY)
    for raw in mesh.roots[1:]:
        trust.admit(raw, much_later)
    assert trust.epoch == 51
    assert trust.root == mesh.root
    assert trust.root_has_expired(much_later)


def test_an_expired_root_is_reported_and_brings_in_its_successor() -> None:
    """T19: expiry of the newest root is an alarm, not an end."""
    mesh = Mesh()
    trust = mesh.trust()
    late = at(NOW + 500 * DAY)
    expired = mesh.next_root()
    assert [alarm.code for alarm in trust.admit(expired.raw, late).alarms] == ["root-expired"]
    assert trust.root_has_expired(late)
    renewed = mesh.next_root(issued=NOW + 499 * DAY, expires=NOW + 900 * DAY)
    assert trust.admit(renewed.raw, late).alarms == ()
    assert not trust.root_has_expired(late)


@pytest.mark.parametrize(
    ("threshold", "labels"),
    [(0, "ab"), (3, "ab"), (1, "aa")],
    ids=["zero", "more-than-keys", "repeated"],
)
def test_t20_a_root_with_an_impossible_role_is_refused(threshold: int, labels: str) -> None:
    """T20: threshold 0, k > n and repeated keys are refused, even if enough holders sign."""
    keys = [public_key(seed(label)) for label in labels]
    with pytest.raises(ObjectError):
        Role(threshold, tuple(keys))
    refused(*with_role({1: threshold, 2: keys}), ObjectError)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"\x02" * 33])
def test_t20_a_root_with_a_key_that_is_none_is_refused(key: bytes) -> None:
    """T20: small-order, non-canonical and other curves' keys never get a role."""
    refused(*with_role({1: 1, 2: [key]}), ObjectError)


def with_role(role: dict[int, Value]) -> tuple[Trust, bytes]:
    """Return a trust and a rightly signed root 2 whose policy role has these fields."""
    mesh = Mesh()
    trust = mesh.trust()
    fields: Any = loads(mesh.next_root(keep=False).body.to_payload())
    fields[5]["policy"] = role
    payload = dumps(fields)
    signatures = [
        forge.signature(ObjectType.ROOT, payload, signer, mesh_id=mesh.mesh_id)
        for signer in mesh.seeds("root")
    ]
    return trust, forge.envelope(ObjectType.ROOT, payload, signatures)


def test_a_root_that_follows_another_root_is_equivocation() -> None:
    """A root whose hash link leads elsewhere is refused, though all thresholds are met."""
    mesh = Mesh()
    trust = mesh.trust()
    refused(trust, mesh.next_root(previous=b"\x07" * 32).raw, EquivocationError)


def test_a_second_root_of_one_version_is_equivocation() -> None:
    """Two validly signed versions 2: the first stays, the second is refused and told apart."""
    mesh = Mesh()
    other = mesh.next_root(keep=False, issued=NOW + 50)
    trust = mesh.trust(mesh.next_root().raw)
    refused(trust, other.raw, EquivocationError)


def test_a_forged_root_of_a_known_version_is_a_forgery() -> None:
    """Calling it equivocation takes real signatures."""
    mesh = Mesh()
    forged = mesh.next_root(keep=False, issued=NOW + 50, seeds=[seed("thief")])
    trust = mesh.trust(mesh.next_root().raw)
    refused(trust, forged.raw, SignatureError)


def test_a_mesh_keeps_its_name() -> None:
    """A root that renames the mesh is refused, whoever signs it."""
    mesh = Mesh()
    trust = mesh.trust()
    error = refused(trust, mesh.next_root(mesh_name="wall").raw, ConstraintError)
    assert "a mesh keeps its name" in error.message


def test_t04_the_first_root_of_another_mesh_is_refused() -> None:
    """T04: another mesh's beginning changes nothing here."""
    refused(Mesh().trust(), Mesh("other").roots[0], WrongMeshError)


def test_t04_a_root_signed_for_another_mesh_is_refused() -> None:
    """T04: the mesh id is in every signature."""
    mesh = Mesh()
    raw = mesh.next_root(keep=False, mesh_id=Mesh("other").mesh_id).raw
    refused(mesh.trust(), raw, SignatureError)


def test_rotations_max() -> None:
    """The chain ends at its bound, and what is there goes on working."""
    mesh = Mesh()
    trust = Trust(mesh.roots[0], limits=Limits(rotations_max=2))
    for _ in range(2):
        trust.admit(mesh.next_root().raw, LATER)
    refused(trust, mesh.next_root(keep=False).raw, ConstraintError)
    assert trust.admit(mesh.ticket().raw, LATER).fresh
    assert Limits().rotations_max == 1_024


def test_a_root_may_move_the_pool() -> None:
    """Addresses of the old pool stay known and are in force no more until moved."""
    mesh = Mesh()
    device = mesh.device("old")
    trust = mesh.trust(device)
    trust.admit(mesh.next_root(pool4=IPv4Network("10.0.0.0/8")).raw, LATER)
    in_force, reason = trust.device_state(device.device_id, LATER)
    assert (in_force, reason) == (
        False,
        f"{device.body.address4} is outside the mesh's pool 10.0.0.0/8",
    )
    moved = mesh.device("old", issued=NOW + 5, address4=IPv4Address("10.0.0.9"))
    trust.admit(moved.raw, LATER)
    assert trust.devices(LATER)[device.device_id].address4 == moved.body.address4
    fresh = mesh.trust(device)
    assert fresh.root.pool4 == IPv4Network("10.0.0.0/8")
    assert not fresh.device_state(device.device_id, LATER)[0]


def test_admitting_a_statement_is_refused() -> None:
    """Members' statements are verified, never admitted."""
    mesh = Mesh()
    device = mesh.device("a")
    refused(mesh.trust(device), mesh.member(device).raw, ObjectError)
