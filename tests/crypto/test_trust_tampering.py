"""Attacks by whoever carries objects: flipped bits, other types, other meshes, other copies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crypto.errors import ObjectError, PeerError
from crypto.objects import RevokeKind, SignedObject
from crypto.signing import ObjectType, append_signature, decode
from crypto.trust import Trust
from tests import forge
from tests.forge import NOW, Forged, Mesh, at, refused, resigned, seed, snapshot

LATER = at(NOW + 100)


class Scene:
    """A mesh, and one new object of each kind that its trust would take."""

    def __init__(self) -> None:
        self.mesh = mesh = Mesh()
        self.founder = mesh.device("founder")
        self.ticket = mesh.ticket("known")
        self.pending = mesh.device("pending", self.ticket)
        self.trust = mesh.trust(self.founder, self.ticket, self.pending)
        self.fresh: dict[str, Forged[SignedObject]] = {
            "root": mesh.next_root(keep=False),
            "head": mesh.head(),
            "ticket": mesh.ticket("new"),
            "device by a registrar": mesh.device("new"),
            "device by a ticket": mesh.device("newer", self.ticket),
            "sponsor": mesh.sponsor(self.pending, self.founder),
            "revoke": mesh.revoke(RevokeKind.DEVICE, self.founder.device_id),
            "revoke by itself": mesh.revoke(
                RevokeKind.DEVICE, self.founder.device_id, seeds=[self.founder.seed]
            ),
        }
        self.statements: dict[str, Forged[SignedObject]] = {
            "member": mesh.member(self.founder),
            "accusation": mesh.accusation(self.founder, self.pending),
            "leave": mesh.leave(self.founder),
        }


KINDS = tuple(Scene().fresh)
STATEMENTS = tuple(Scene().statements)


def flips(raw: bytes) -> list[bytes]:
    """Return every copy of `raw` with one bit flipped, another bit in each byte."""
    return [
        raw[:index] + bytes([raw[index] ^ (1 << index % 8)]) + raw[index + 1 :]
        for index in range(len(raw))
    ]


def assert_all_refused(trust: Trust, raws: list[bytes], take: Callable[[bytes], object]) -> None:
    """Assert that each of these is refused and that trust is exactly as before."""
    before = snapshot(trust)
    for raw in raws:
        with pytest.raises(PeerError):
            take(raw)
        assert trust.version == before[0]
    assert snapshot(trust) == before


@pytest.mark.parametrize("kind", KINDS)
def test_t02_a_flipped_bit_anywhere_is_refused(kind: str) -> None:
    """T02: one bit wrong in any byte of any object: refused, state unchanged, original taken."""
    scene = Scene()
    raw = scene.fresh[kind].raw
    assert_all_refused(scene.trust, flips(raw), lambda bad: scene.trust.admit(bad, LATER))
    assert scene.trust.admit(raw, LATER).fresh


@pytest.mark.parametrize("kind", STATEMENTS)
def test_t02_a_flipped_bit_in_a_statement_is_refused(kind: str) -> None:
    """T02: the same for what members say."""
    scene = Scene()
    raw = scene.statements[kind].raw
    assert_all_refused(
        scene.trust, flips(raw), lambda bad: scene.trust.verify_statement(bad, LATER)
    )
    assert scene.trust.verify_statement(raw, LATER).raw == raw


@pytest.mark.parametrize("kind", KINDS)
def test_t02_a_cut_object_is_refused(kind: str) -> None:
    """T02: no beginning of an object passes for it, nor does one with more behind it."""
    scene = Scene()
    raw = scene.fresh[kind].raw
    cut = [raw[:length] for length in range(0, len(raw), 7)] + [raw + b"\x00", raw + raw]
    assert_all_refused(scene.trust, cut, lambda bad: scene.trust.admit(bad, LATER))


@pytest.mark.parametrize("kind", KINDS)
def test_t03_a_payload_under_another_type_is_refused(kind: str) -> None:
    """T03: rightly signed bytes put under any other type's header are refused."""
    scene = Scene()
    fresh = scene.fresh[kind]
    found = decode(fresh.raw)
    wrong = [
        forge.envelope(other, found.payload, found.signatures)
        for other in ObjectType
        if other is not found.type
    ]
    assert_all_refused(scene.trust, wrong, lambda bad: scene.trust.admit(bad, LATER))


@pytest.mark.parametrize("kind", KINDS)
def test_t03_a_known_payload_under_another_type_is_refused(kind: str) -> None:
    """T03: that a payload is known as one thing does not make it another."""
    scene = Scene()
    fresh = scene.fresh[kind]
    scene.trust.admit(fresh.raw, LATER)
    found = decode(fresh.raw)
    wrong = [
        forge.envelope(other, found.payload, found.signatures)
        for other in ObjectType
        if other is not found.type
    ]
    assert_all_refused(scene.trust, wrong, lambda bad: scene.trust.admit(bad, LATER))


@pytest.mark.parametrize("kind", KINDS)
def test_t04_an_object_signed_for_another_mesh_is_refused(kind: str) -> None:
    """T04: the very same object by the very same keys, for another mesh, is refused."""
    scene = Scene()
    seeds = {
        "root": scene.mesh.seeds("root"),
        "head": scene.mesh.seeds("policy"),
        "ticket": scene.mesh.seeds("registrar"),
        "device by a registrar": scene.mesh.seeds("registrar"),
        "device by a ticket": [scene.ticket.seed, scene.fresh["device by a ticket"].seed],
        "sponsor": [scene.founder.seed],
        "revoke": scene.mesh.seeds("revoker"),
        "revoke by itself": [scene.founder.seed],
    }
    foreign = resigned(scene.fresh[kind].raw, mesh_id=Mesh("other").mesh_id, seeds=seeds[kind])
    assert_all_refused(scene.trust, [foreign], lambda bad: scene.trust.admit(bad, LATER))


@pytest.mark.parametrize("kind", KINDS)
def test_t13_an_object_signed_by_a_stranger_is_refused(kind: str) -> None:
    """T13: a signature by somebody who has no say is refused, alone or beside a right one."""
    scene = Scene()
    fresh = scene.fresh[kind]
    stranger = resigned(fresh.raw, mesh_id=scene.mesh.mesh_id, seeds=[seed("stranger")])
    beside = append_signature(fresh.raw, scene.mesh.mesh_id, seed("stranger"))
    assert_all_refused(scene.trust, [stranger, beside], lambda bad: scene.trust.admit(bad, LATER))


@pytest.mark.parametrize("kind", STATEMENTS)
def test_t07_a_statement_for_another_device_is_refused(kind: str) -> None:
    """T07: a member cannot speak for another, nor can a stranger for a member."""
    scene = Scene()
    other = scene.mesh.device("other")
    scene.trust.admit(other.raw, LATER)
    forged = [
        resigned(scene.statements[kind].raw, mesh_id=scene.mesh.mesh_id, seeds=[signer])
        for signer in (other.seed, seed("stranger"))
    ]
    assert_all_refused(scene.trust, forged, lambda bad: scene.trust.verify_statement(bad, LATER))


def test_t24_another_signature_is_the_same_object() -> None:
    """T24: a payload signed anew keeps its id, is no news, and stays blocked."""
    mesh = Mesh(threshold=2, holders=3)
    head = mesh.head()
    again = resigned(head.raw, mesh_id=mesh.mesh_id, seeds=[seed("hedge policy 2")])
    device = mesh.device("laptop")
    revoke = mesh.revoke(RevokeKind.DEVICE, device.device_id)
    trust = mesh.trust(head, device, revoke)
    before = snapshot(trust)
    admitted = trust.admit(again, LATER)
    assert (admitted.id, admitted.fresh) == (head.id, False)
    both = resigned(device.raw, mesh_id=mesh.mesh_id, seeds=[*mesh.seeds("registrar"), seed("x")])
    assert both != device.raw
    assert not trust.admit(both, LATER).fresh
    assert snapshot(trust) == before
    assert trust.is_revoked("device", device.device_id)
    assert device.device_id not in trust.devices(LATER)


def test_an_endless_object_is_cut_at_its_cap() -> None:
    """T46: what is longer than its type may be is refused unread."""
    scene = Scene()
    for fresh in scene.fresh.values():
        refused(scene.trust, fresh.raw + bytes(512_001 - len(fresh.raw)), ObjectError)
