"""Restarting: the same state from what was kept, whatever the order, the clock or the damage."""

from __future__ import annotations

import pytest

from crypto.errors import (
    ObjectError,
    PeerError,
    RollbackError,
    SignatureError,
    ThresholdError,
    UnknownParentError,
)
from crypto.objects import RevokeKind
from crypto.signing import decode
from crypto.trust import Limits, Trust
from crypto.trust.admission import admit
from crypto.trust.tables import Tables
from tests.forge import DAY, NOW, Mesh, at, refused, seed, settling, snapshot

LATER = at(NOW + 100)


def kept(trust: Trust) -> list[bytes]:
    """Return what a node has on disk."""
    return [raw for _, _, raw in trust.objects()]


def story() -> tuple[Mesh, Trust]:
    """Return a mesh with something of everything, and a node that has adopted a head."""
    mesh = Mesh()
    founder, ticket = mesh.device("founder"), mesh.ticket(uses=2)
    guests = [mesh.device(f"g{n}", ticket) for n in range(4)]
    words = [mesh.sponsor(guest, founder, at=NOW + 10) for guest in guests[:3]]
    mesh.next_root()
    head = mesh.head(3)
    trust = mesh.trust(founder, ticket, *guests, *words, head)
    for part in mesh.parts().values():
        trust.admit_part(part)
    trust.adopt(head.id)
    for item in (
        mesh.head(4),
        mesh.revoke(RevokeKind.DEVICE, guests[0].device_id),
        mesh.revoke(RevokeKind.DEVICE, guests[1].device_id, seeds=[guests[1].seed]),
    ):
        trust.admit(item.raw, LATER)
    return mesh, trust


def same(restored: Trust, trust: Trust) -> None:
    """Assert that two nodes hold and decide the same, but for parts and counts."""
    assert {raw for _, _, raw in restored.objects()} == {raw for _, _, raw in trust.objects()}
    assert restored.head_id == trust.head_id
    assert restored.candidate_id == trust.candidate_id
    assert restored.conflicts() == trust.conflicts()
    assert dict(restored.devices(LATER)) == dict(trust.devices(LATER))
    assert restored.floor == trust.floor
    assert restored.root == trust.root


def test_a_node_restarts_as_it_was_in_any_order() -> None:
    """Roots last, sponsors before devices, heads between: the same state, nothing refused."""
    mesh, trust = story()
    raws = kept(trust)
    for order in (raws, raws[::-1], sorted(raws)):
        restored = Trust.restore(order, LATER, adopted=trust.head_id)
        assert restored.refused == ()
        assert restored.alarms == ()
        same(restored.trust, trust)
        for part in mesh.parts().values():
            assert restored.trust.admit_part(part)
        assert restored.trust.ready() == trust.ready()


def test_parts_of_the_adopted_head_are_fetched_again_if_they_are_lost() -> None:
    """What was installed and has no parts on disk is missing, behind what the candidate lacks."""
    mesh, trust = story()
    restored = Trust.restore(kept(trust), LATER, adopted=trust.head_id).trust
    assert [part.version for part in restored.missing()] == [4, 4]
    alone = Trust.restore([*mesh.roots, mesh.head(3).raw], LATER, adopted=trust.head_id).trust
    assert [part.version for part in alone.missing()] == [3, 3]
    for part in mesh.parts().values():
        assert alone.admit_part(part)
    assert alone.missing() == ()


def test_t26_a_clock_set_back_forgets_nothing() -> None:
    """T26: heads and sponsors that are in the future now were not when they came."""
    _, trust = story()
    restored = Trust.restore(kept(trust), at(NOW - 300 * DAY), adopted=trust.head_id)
    assert restored.refused == ()
    same(restored.trust, trust)


def test_t26_a_clock_set_forward_forgets_nothing() -> None:
    """T26: expired heads, tickets and roots are still what was in force, and said to be old."""
    _, trust = story()
    late = at(NOW + 900 * DAY)
    restored = Trust.restore(kept(trust), late, adopted=trust.head_id)
    assert restored.refused == ()
    assert [alarm.code for alarm in restored.alarms] == ["root-expired"]
    assert restored.trust.freshness(late) == "expired"
    same(restored.trust, trust)


def test_without_a_time_nothing_is_refused_for_its_time() -> None:
    """What was admitted before is judged by signatures and order alone."""
    mesh = Mesh()
    tables = Tables(mesh.roots[0], Limits())
    assert admit(tables, decode(mesh.head(issued=NOW + 5 * DAY).raw), None).fresh
    assert admit(tables, decode(mesh.next_root(expires=NOW + 3).raw), None).alarms == ()


def test_an_adopted_head_survives_the_rotation_of_its_signers() -> None:
    """T18: between rotation and first new head a restart changes nothing either."""
    mesh = Mesh()
    head = mesh.head(5, parts={})
    trust = mesh.trust(head)
    trust.adopt(head.id)
    trust.admit(mesh.next_root(signers={"policy": ["new 0", "new 1"]}).raw, LATER)
    restored = Trust.restore(kept(trust), LATER, adopted=head.id)
    assert restored.refused == ()
    assert restored.trust.head_id == head.id
    unadopted = Trust.restore(kept(trust), LATER)
    assert [type(error) for _, error in unadopted.refused] == [RollbackError]
    assert unadopted.trust.candidate is None


def test_equivocation_is_remembered() -> None:
    """T14: evidence and choice are the same after a restart, adopted or not."""
    mesh = Mesh()
    low, high = sorted(
        (mesh.head(previous=bytes([n]) * 32, parts={}) for n in range(2)), key=lambda head: head.id
    )
    trust = mesh.trust(high)
    trust.adopt(high.id)
    trust.admit(low.raw, LATER)
    for adopted in (high.id, low.id, None):
        again = Trust.restore(kept(trust), LATER, adopted=adopted).trust
        assert again.conflicts() == ((low.raw, high.raw),)
        assert again.head_id == adopted
        assert again.candidate_id == (None if adopted == low.id else low.id)


def test_a_settled_sponsor_is_remembered_before_the_directory_is() -> None:
    """Who vouched by being settled alone vouches again once the directory is set again."""
    mesh = Mesh()
    first, second = mesh.ticket("first"), mesh.ticket("second")
    settled, guest = mesh.device("settled", first), mesh.device("guest", second)
    directory = settling(settled)
    trust = mesh.trust(first, second, settled, guest)
    trust.set_directory(directory)
    own = mesh.revoke(RevokeKind.DEVICE, settled.device_id, seeds=[settled.seed])
    trust.admit(mesh.sponsor(guest, settled).raw, LATER)
    trust.admit(own.raw, LATER)
    restored = Trust.restore(kept(trust), LATER)
    assert restored.refused == ()
    restored.trust.set_directory(directory)
    same(restored.trust, trust)
    assert set(trust.devices(LATER)) == {guest.device_id}


def test_what_was_damaged_is_reported_and_the_rest_stands() -> None:
    """A flipped bit on disk costs the object and what rests on it, and nothing else."""
    mesh = Mesh()
    ticket, founder = mesh.ticket(), mesh.device("founder")
    guest = mesh.device("guest", ticket)
    word = mesh.sponsor(guest, founder)
    head = mesh.head()
    broken_ticket = ticket.raw[:-1] + bytes([ticket.raw[-1] ^ 1])
    forged_head = mesh.head(2, seeds=mesh.seeds("policy", 1))
    forged_device = mesh.device("forged", seeds=[seed("stranger")])
    raws = [
        *(mesh.roots[0], founder.raw, guest.raw, word.raw, head.raw),
        *(broken_ticket, forged_head.raw, forged_device.raw, b"junk", mesh.member(founder).raw),
    ]
    restored = Trust.restore(raws, LATER)
    errors = {raw: type(error) for raw, error in restored.refused}
    assert errors == {
        broken_ticket: SignatureError,
        guest.raw: UnknownParentError,
        word.raw: UnknownParentError,
        forged_head.raw: ThresholdError,
        forged_device.raw: SignatureError,
        b"junk": ObjectError,
        mesh.member(founder).raw: ObjectError,
    }
    assert set(restored.trust.devices(LATER)) == {founder.device_id}
    assert restored.trust.candidate_id == head.id


def test_nothing_can_be_restored_without_its_first_root() -> None:
    """No root, another mesh's root, or two of them: the node has to say which mesh it is in."""
    mesh, other = Mesh(), Mesh("other")
    device = mesh.device()
    both = [other.roots[0], mesh.roots[0], device.raw]
    for raws, mesh_id in (([device.raw], None), (both, None), (both, bytes(32))):
        with pytest.raises(ObjectError, match="needed to begin with"):
            Trust.restore(raws, LATER, mesh_id=mesh_id)
    restored = Trust.restore(both, LATER, mesh_id=mesh.mesh_id)
    assert restored.trust.mesh_id == mesh.mesh_id
    assert [raw for raw, _ in restored.refused] == [other.roots[0]]
    with pytest.raises(PeerError):
        Trust.restore([mesh.seal(mesh.root, seeds=mesh.seeds("root", 1))], LATER)


def test_a_restored_node_goes_on_admitting() -> None:
    """What was refused before the restart is refused after it, and news is news."""
    mesh, trust = story()
    restored = Trust.restore(kept(trust), LATER, adopted=trust.head_id).trust
    refused(restored, mesh.head(2).raw, RollbackError)
    before = snapshot(restored)
    for raw in kept(trust):
        assert not restored.admit(raw, LATER).fresh
    assert snapshot(restored) == before
    assert restored.admit(mesh.head(5).raw, LATER).fresh
    assert restored.admit(mesh.device("new").raw, LATER).fresh
