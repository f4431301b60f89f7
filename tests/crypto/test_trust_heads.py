"""Attacks on heads and bundles: rollback, freeze, equivocation, fast-forward, mix and match."""

from __future__ import annotations

from itertools import permutations

import pytest

from crypto.errors import (
    ConstraintError,
    ExpiredError,
    LocalError,
    ObjectError,
    RollbackError,
    SignatureError,
    ThresholdError,
    UnknownParentError,
)
from crypto.objects import PART_BYTES_MAX, Head, PartRef
from crypto.signing import ObjectType, key_id, public_key
from crypto.trust import Limits, Trust
from tests import forge
from tests.forge import DAY, NOW, Forged, Mesh, at, part_ref, refused, seed, snapshot

LATER = at(NOW + 100)
STOLEN = 2**63 - 1


def install(trust: Trust, mesh: Mesh, head: Forged[Head]) -> None:
    """Admit a head with the usual parts and adopt it."""
    trust.admit(head.raw, LATER)
    adopt(trust, mesh)


def adopt(trust: Trust, mesh: Mesh) -> None:
    """Bring the candidate's usual parts and adopt it."""
    for part in mesh.parts().values():
        trust.admit_part(part)
    ready = trust.ready()
    assert ready is not None
    trust.adopt(ready.head_id)


def rivals(mesh: Mesh, count: int = 2, version: int = 1) -> list[Forged[Head]]:
    """Return validly signed heads of one version, the lowest hash first."""
    heads = [mesh.head(version, previous=bytes([number]) * 32) for number in range(count)]
    return sorted(heads, key=lambda head: head.id)


def test_a_head_is_candidate_until_its_parts_are_here_and_the_node_adopts_it() -> None:
    """Decode, verify, fetch, install, adopt: each step shows, and only the last puts in force."""
    mesh = Mesh()
    trust, head = mesh.trust(), mesh.head(issued=NOW + 50)
    assert trust.admit(head.raw, LATER).fresh
    assert (trust.head, trust.head_id, trust.candidate) == (None, None, head.body)
    assert trust.candidate_id == head.id
    parts = mesh.parts()
    assert {part.name for part in trust.missing()} == {"policy", "directory"}
    assert trust.ready() is None
    assert trust.admit_part(parts["policy"])
    assert not trust.admit_part(parts["policy"])
    assert [part.name for part in trust.missing()] == ["directory"]
    assert trust.admit_part(parts["directory"])
    ready = trust.ready()
    assert ready is not None
    assert (ready.head_id, ready.head, ready.parts) == (head.id, head.body, parts)
    trust.adopt(head.id)
    assert (trust.head, trust.head_id, trust.candidate) == (head.body, head.id, None)
    assert trust.ready() is None
    assert trust.part(part_ref(parts["policy"]).hash) == parts["policy"]
    assert trust.floor == NOW + 50


def test_t14_a_lower_head_is_rollback() -> None:
    """T14: below the adopted head, or below the candidate, everything is refused."""
    mesh = Mesh()
    trust = mesh.trust()
    install(trust, mesh, mesh.head(5))
    refused(trust, mesh.head(4).raw, RollbackError)
    trust.admit(mesh.head(7).raw, LATER)
    refused(trust, mesh.head(6).raw, RollbackError)


def test_t14_the_same_head_again_is_no_news() -> None:
    """T14: an equal head with the same hash is ignored, as candidate and as adopted."""
    mesh = Mesh()
    head = mesh.head()
    trust = mesh.trust(head)
    before = snapshot(trust)
    assert not trust.admit(head.raw, LATER).fresh
    assert snapshot(trust) == before
    adopt(trust, mesh)
    assert not trust.admit(head.raw, LATER).fresh


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_t14_of_two_heads_everybody_takes_the_lower_hash(
    order: tuple[int, int], *, adopted: bool
) -> None:
    """T14: in both orders of arrival, with the first adopted or not, the lower hash wins."""
    mesh = Mesh()
    pair = rivals(mesh)
    trust = mesh.trust(pair[order[0]])
    if adopted:
        adopt(trust, mesh)
    admitted = trust.admit(pair[order[1]].raw, LATER)
    assert admitted.fresh
    assert [alarm.code for alarm in admitted.alarms] == ["equivocation"]
    assert f"every node takes head 1-1 ({pair[0].id.hex()[:16]})" in admitted.alarms[0].text
    assert trust.conflicts() == ((pair[0].raw, pair[1].raw),)
    if trust.candidate is not None:
        adopt(trust, mesh)
    assert trust.head_id == pair[0].id
    assert trust.conflicts() == ((pair[0].raw, pair[1].raw),)
    assert not any(trust.admit(head.raw, LATER).fresh for head in pair)


def test_t14_equivocation_in_any_order_ends_alike() -> None:
    """T14: three rivals in all six orders leave the same head and the same evidence."""
    mesh = Mesh()
    heads = rivals(mesh, 3)
    ends = set()
    for order in permutations(heads):
        trust = mesh.trust(*order)
        ends.add((trust.candidate_id, trust.conflicts(), tuple(trust.objects())))
    assert len(ends) == 1
    assert ends.pop()[0] == heads[0].id


def test_t14_a_third_rival_with_a_higher_hash_proves_nothing_new() -> None:
    """T14: the two lowest hashes are the evidence; more are neither kept nor passed on."""
    mesh = Mesh()
    heads = rivals(mesh, 3)
    trust = mesh.trust(*heads[:2])
    before = snapshot(trust)
    admitted = trust.admit(heads[2].raw, LATER)
    assert (admitted.fresh, admitted.alarms) == (False, ())
    assert snapshot(trust) == before


def test_evidence_outlives_newer_heads() -> None:
    """Who signs two ways is not forgotten when the next version comes."""
    mesh = Mesh()
    pair = rivals(mesh)
    trust = mesh.trust(*pair)
    adopt(trust, mesh)
    install(trust, mesh, mesh.head(2))
    assert trust.conflicts() == ((pair[0].raw, pair[1].raw),)
    assert trust.raw(pair[1].id) == pair[1].raw


def test_a_replaced_head_is_forgotten_with_its_parts() -> None:
    """Nothing is kept of a head that a newer one has followed, unless it proves something."""
    mesh = Mesh()
    trust, first = mesh.trust(), mesh.head(1, parts={"policy": b"old"})
    trust.admit(first.raw, LATER)
    trust.admit_part(b"old")
    trust.adopt(first.id)
    install(trust, mesh, mesh.head(2))
    assert trust.raw(first.id) is None
    assert trust.part(part_ref(b"old").hash) is None


def test_t15_a_head_of_an_unknown_epoch_waits_for_its_root() -> None:
    """A head cannot be judged before the root that names its signers."""
    mesh = Mesh()
    trust = mesh.trust()
    root, head = mesh.next_root(), mesh.head()
    error = refused(trust, head.raw, UnknownParentError)
    assert isinstance(error, UnknownParentError)
    assert (error.parent_kind, int.from_bytes(error.parent_id, "big")) == ("root", 2)
    trust.admit(root.raw, LATER)
    assert trust.admit(head.raw, LATER).fresh


def test_t18_a_stolen_policy_key_is_undone_by_one_rotation() -> None:
    """T18: version 2^63-1 of the old epoch, adopted, yields to version 1 of the new epoch."""
    mesh = Mesh(threshold=1)
    trust = mesh.trust()
    install(trust, mesh, mesh.head(STOLEN))
    refused(trust, mesh.head(1).raw, RollbackError)
    trust.admit(mesh.next_root(signers={"policy": ["new 0", "new 1"]}).raw, LATER)
    assert trust.head is not None
    assert trust.head.version == STOLEN, "a rotation alone loses no state"
    install(trust, mesh, mesh.head(1))
    assert trust.head.order == (2, 1)


def test_t18_a_stolen_head_does_not_reach_who_knows_the_rotation() -> None:
    """T18: after the rotation, heads of the removed keys are refused, candidates dropped."""
    mesh = Mesh(threshold=1)
    stolen = mesh.head(STOLEN)
    trust = mesh.trust(stolen)
    rotation = mesh.next_root(signers={"policy": ["new 0", "new 1"]})
    admitted = trust.admit(rotation.raw, LATER)
    assert [alarm.code for alarm in admitted.alarms] == ["head-withdrawn"]
    assert trust.candidate is None
    refused(trust, stolen.raw, RollbackError)
    assert trust.admit(mesh.head(1).raw, LATER).fresh


def test_a_late_joiner_gets_the_old_epochs_head_while_its_signers_are_trusted() -> None:
    """Between rotation and first new head, a joiner takes what the others have."""
    mesh = Mesh()
    head = mesh.head(5)
    mesh.next_root()
    trust = mesh.trust(head)
    assert trust.candidate == head.body
    adopt(trust, mesh)
    trust.admit(mesh.next_root().raw, LATER)
    assert trust.head_id == head.id
    newer = mesh.head(1)
    trust.admit(newer.raw, LATER)
    refused(trust, forged_in_epoch(mesh, 2, version=9).raw, RollbackError)


def test_a_candidate_of_the_old_epoch_stays_if_the_new_root_trusts_its_signers() -> None:
    """A rotation of other keys does not make anybody fetch again."""
    mesh = Mesh()
    head = mesh.head(5)
    trust = mesh.trust(head)
    assert trust.admit(mesh.next_root().raw, LATER).alarms == ()
    assert trust.candidate == head.body


def test_old_and_new_policy_keys_both_have_to_suffice_for_an_old_head() -> None:
    """A head of the old epoch signed by keys of the new root alone is refused as well."""
    mesh = Mesh()
    mesh.next_root(signers={"policy": ["new 0", "new 1"]})
    trust = mesh.trust()
    refused(trust, forged_in_epoch(mesh, 1, version=9).raw, SignatureError)


def forged_in_epoch(mesh: Mesh, epoch: int, version: int) -> Forged[Head]:
    """Return a head that the newest policy keys sign for an earlier epoch."""
    return mesh.head(version, epoch=epoch)


@pytest.mark.parametrize("seeds", [1, 0])
def test_t13_k_minus_one_signatures_are_refused(seeds: int) -> None:
    """T13: one of two policy keys is not enough, and neither are two of another role."""
    mesh = Mesh()
    trust = mesh.trust()
    if seeds:
        refused(trust, mesh.head(seeds=mesh.seeds("policy", 1)).raw, ThresholdError)
    else:
        refused(trust, mesh.head(seeds=mesh.seeds("root")).raw, SignatureError)


@pytest.mark.parametrize("forgery", ["one key twice", "two ids of one key", "unknown id", "junk"])
def test_t13_signatures_that_only_look_like_enough_are_refused(forgery: str) -> None:
    """T13: k signatures by one key, k ids of one key, an unknown id and junk are each refused."""
    mesh = Mesh()
    payload = mesh.head().body.to_payload()
    first, second = (
        forge.signature(ObjectType.HEAD, payload, signer, mesh_id=mesh.mesh_id)
        for signer in mesh.seeds("policy")
    )
    extra = {
        "one key twice": [first],
        "two ids of one key": [(key_id(public_key(seed("x"))), first[1])],
        "unknown id": [second, (bytes(32), second[1])],
        "junk": [(second[0], bytes(64))],
    }
    raw = forge.envelope(ObjectType.HEAD, payload, [first, *extra[forgery]])
    refused(mesh.trust(), raw, SignatureError)


def test_t04_a_head_signed_for_another_mesh_is_refused() -> None:
    """T04: the same keys in another mesh sign nothing here."""
    mesh = Mesh()
    refused(mesh.trust(), mesh.head(mesh_id=b"\x01" * 32).raw, SignatureError)


def test_an_expired_head_is_refused_by_the_late_end_of_the_clock() -> None:
    """A head that may have expired has; just before it is good."""
    mesh = Mesh()
    head = mesh.head()
    trust = mesh.trust()
    with pytest.raises(ExpiredError, match="has expired"):
        trust.admit(head.raw, at(head.body.expires - 5, doubt=5))
    assert trust.admit(head.raw, at(head.body.expires - 6, doubt=5)).fresh


def test_a_head_from_the_future_is_refused() -> None:
    """A head issued after the latest time it can be is refused until then."""
    mesh = Mesh()
    head = mesh.head(issued=NOW + 200)
    trust = mesh.trust()
    refused(trust, head.raw, ExpiredError)
    assert trust.floor == NOW
    assert trust.admit(head.raw, at(NOW + 195, doubt=5)).fresh
    assert trust.floor == NOW + 200


def test_t17_part_versions_do_not_fall_within_an_epoch() -> None:
    """T17: policy 8 cannot be followed by policy 7, whether 8 is adopted or candidate."""
    mesh = Mesh()
    trust = mesh.trust()
    install(trust, mesh, mesh.head(8))
    mixed = {"policy": part_ref(b"policy", 7), "directory": part_ref(b"d", 9)}
    refused(trust, mesh.head(9, parts=mixed).raw, RollbackError)
    trust.admit(mesh.head(10).raw, LATER)
    mixed = {"policy": part_ref(b"policy", 9)}
    refused(trust, mesh.head(11, parts=mixed).raw, RollbackError)
    assert trust.admit(mesh.head(12, parts={"geo": b"new"}).raw, LATER).fresh


def test_t17_a_part_may_stay_as_it_is() -> None:
    """A head that changes only the policy names the directory of before again."""
    mesh = Mesh()
    trust = mesh.trust()
    install(trust, mesh, mesh.head(8))
    parts = {"policy": part_ref(b"new", 9), "directory": part_ref(mesh.parts()["directory"], 8)}
    trust.admit(mesh.head(9, parts=parts).raw, LATER)
    assert [part.name for part in trust.missing()] == ["policy"]


def test_t17_part_versions_begin_anew_with_an_epoch() -> None:
    """After a rotation every count starts again."""
    mesh = Mesh()
    trust = mesh.trust()
    install(trust, mesh, mesh.head(8))
    trust.admit(mesh.next_root().raw, LATER)
    install(trust, mesh, mesh.head(1))
    assert trust.head is not None
    assert trust.head.parts["policy"].version == 1


def test_t17_parts_of_rival_heads_are_not_compared() -> None:
    """Among heads of one version the hash decides, whatever parts they name."""
    mesh = Mesh()
    heads = [mesh.head(3, parts={"policy": part_ref(b"p", number)}) for number in range(1, 5)]
    low, *_, high = sorted(heads, key=lambda head: head.id)
    assert mesh.trust(low, high).candidate_id == mesh.trust(high, low).candidate_id == low.id


def test_t46_parts_are_bounded_before_anybody_fetches_them() -> None:
    """T46: a part of 8 MiB + 1 cannot be named, nor parts too long together."""
    with pytest.raises(ObjectError):
        PartRef(1, bytes(32), PART_BYTES_MAX + 1)
    mesh = Mesh()
    parts = {f"part{n}": PartRef(1, bytes([n]) * 32, PART_BYTES_MAX) for n in range(5)}
    refused(mesh.trust(), mesh.head(parts=parts).raw, ConstraintError)
    del parts["part4"]
    assert mesh.trust(mesh.head(parts=parts)).candidate is not None


def test_bundle_bytes_max() -> None:
    """The parts of one head have to fit the bound together, to the byte."""
    mesh = Mesh()
    head = mesh.head(parts={"policy": bytes(60), "directory": bytes(40)})
    for allowed, fits in ((100, True), (99, False)):
        trust = Trust(mesh.roots[0], limits=Limits(bundle_bytes_max=allowed))
        if fits:
            assert trust.admit(head.raw, LATER).fresh
        else:
            refused(trust, head.raw, ConstraintError)


def test_t46_only_named_bytes_are_kept() -> None:
    """T46: bytes of another hash, or of the right hash and another length, are no part."""
    mesh = Mesh()
    trust = mesh.trust()
    assert not trust.admit_part(b"policy")
    ref = PartRef(1, part_ref(b"policy").hash, 7)
    trust.admit(mesh.head(parts={"policy": ref}).raw, LATER)
    assert not trust.admit_part(b"policy")
    assert not trust.admit_part(b"another")
    assert trust.part(ref.hash) is None
    assert trust.ready() is None


def test_a_head_without_parts_is_ready_at_once() -> None:
    """Nothing missing is nothing to wait for."""
    mesh = Mesh()
    trust = mesh.trust(mesh.head(parts={}))
    ready = trust.ready()
    assert ready is not None
    assert ready.parts == {}


def test_adopting_or_refusing_something_else_is_a_local_error() -> None:
    """The node can only decide about the candidate, and adopt it only whole."""
    mesh = Mesh()
    head = mesh.head()
    trust = mesh.trust(head)
    before = snapshot(trust)
    empty = mesh.trust()
    for holder, head_id in ((trust, head.id), (trust, bytes(32)), (empty, head.id)):
        with pytest.raises(LocalError):
            holder.adopt(head_id)
    for holder, head_id in ((trust, bytes(32)), (empty, head.id)):
        with pytest.raises(LocalError):
            holder.refuse(head_id, "why")
    assert snapshot(trust) == before


def test_a_refused_head_never_comes_back_and_the_old_one_stays() -> None:
    """What the node cannot install is not offered again; the next version is."""
    mesh = Mesh()
    trust = mesh.trust()
    good, bad = mesh.head(1), mesh.head(2)
    install(trust, mesh, good)
    trust.admit(bad.raw, LATER)
    trust.refuse(bad.id, "its own tests fail")
    assert (trust.head_id, trust.candidate) == (good.id, None)
    assert not trust.admit(bad.raw, LATER).fresh
    assert trust.candidate is None
    assert trust.raw(bad.id) == bad.raw, "others may still want it"
    install(trust, mesh, mesh.head(3))


def test_a_rival_of_a_refused_head_is_taken_only_with_the_lower_hash() -> None:
    """Refusing one of two rivals does not put this node on the side that others leave."""
    mesh = Mesh()
    low, high = rivals(mesh)
    trust = mesh.trust(low)
    trust.refuse(low.id, "no")
    trust.admit(high.raw, LATER)
    assert trust.candidate is None
    trust = mesh.trust(high)
    trust.refuse(high.id, "no")
    trust.admit(low.raw, LATER)
    assert trust.candidate_id == low.id


def test_refused_heads_max() -> None:
    """Only so many refusals are remembered; the oldest go first."""
    mesh = Mesh()
    trust = Trust(mesh.roots[0], limits=Limits(refused_heads_max=2))
    heads = [mesh.head(version) for version in range(1, 4)]
    for head in heads:
        trust.admit(head.raw, LATER)
        trust.refuse(head.id, "no")
    assert [trust.raw(head.id) is None for head in heads] == [True, False, False]


def test_conflicts_max() -> None:
    """Only so many equivocations are kept; the oldest go first."""
    mesh = Mesh()
    trust = Trust(mesh.roots[0], limits=Limits(conflicts_max=2))
    pairs = [rivals(mesh, version=version) for version in range(1, 4)]
    for low, high in pairs:
        trust.admit(low.raw, LATER)
        trust.admit(high.raw, LATER)
    assert trust.conflicts() == tuple((low.raw, high.raw) for low, high in reversed(pairs[1:]))
    assert trust.raw(pairs[0][1].id) is None


def test_t19_freshness_follows_the_head_and_the_late_end_of_the_clock() -> None:
    """T19: none, fresh, stale and expired, each from its second on, and next_change tells when."""
    mesh = Mesh()
    trust = mesh.trust()
    assert trust.freshness(LATER) == "none"
    assert trust.next_change(LATER) is None
    head = mesh.head()
    install(trust, mesh, head)
    assert trust.freshness(LATER) == "fresh"
    assert trust.next_change(at(NOW + 100, doubt=5)) == head.body.stale_after - 5
    assert trust.freshness(at(head.body.stale_after - 5, doubt=5)) == "stale"
    assert trust.next_change(at(head.body.stale_after)) == head.body.expires
    assert trust.freshness(at(head.body.expires)) == "expired"
    assert trust.next_change(at(head.body.expires)) is None
    assert trust.head == head.body
    trust.admit(mesh.next_root().raw, at(NOW + 60 * DAY))
    assert trust.epoch == 2, "roots are accepted whatever expired"


def test_a_bundle_file_holds_what_trust_needs() -> None:
    """A whole bundle brings an empty node to its state."""
    mesh = Mesh()
    mesh.next_root()
    bundle = mesh.bundle()
    trust = Trust(bundle.roots[0])
    for raw in (*bundle.roots[1:], bundle.head):
        trust.admit(raw, LATER)
    for part in bundle.parts.values():
        trust.admit_part(part)
    assert trust.ready() is not None
