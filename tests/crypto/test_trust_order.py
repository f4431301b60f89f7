"""The law under all others: the state follows from the set of objects, not from their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.errors import PeerError
from crypto.objects import Device, Directory, RevokeKind, SignedObject, Ticket
from crypto.signing import ObjectType
from crypto.trust import Trust
from crypto.trust.enrolment import Enrolment
from tests.forge import NOW, Forged, Mesh, at, seed, settling

LATER = at(NOW + 100)
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

MESH = Mesh()
MESH.signers |= {"registrar": ["r0", "r1"], "revoker": ["v0", "v1"]}
SECOND_ROOT = MESH.next_root(issued=NOW)
FOUNDERS = [MESH.device("f0"), MESH.device("f1", not_after=NOW + 80)]
TICKETS: list[Forged[Ticket]] = [
    MESH.ticket("t0", uses=1),
    MESH.ticket("t1", uses=2),
    MESH.ticket("t2", uses=3, owner="alice"),
    MESH.ticket("t3", uses=1, name="web1"),
]
GUESTS: list[Forged[Device]] = [
    MESH.device(f"g{number}", TICKETS[number % len(TICKETS)]) for number in range(12)
]
SQUATTERS = [
    MESH.device("s0", address4=FOUNDERS[0].body.address4, issued=NOW + 3),
    MESH.device("s1", address4=GUESTS[1].body.address4),
    MESH.device("s2", name="web1", issued=NOW + 30),
]
THIRD_ROOT = MESH.next_root(
    issued=NOW + 40, signers={"registrar": ["r0", "r2"], "revoker": ["v0"]}
)
HEADS = [MESH.head(version, epoch=3) for version in (1, 2)] + [
    MESH.head(3, epoch=3, previous=bytes([number]) * 32) for number in range(3)
]
BASE: list[Forged[SignedObject]] = [
    *(SECOND_ROOT, THIRD_ROOT),
    *FOUNDERS,
    *TICKETS,
    *GUESTS,
    *SQUATTERS,
    *HEADS,
]
SUBJECTS: list[tuple[RevokeKind, bytes | str]] = [
    *((RevokeKind.DEVICE, device.device_id) for device in (*FOUNDERS, *GUESTS)),
    *((RevokeKind.TICKET, ticket.id) for ticket in TICKETS),
    (RevokeKind.REGISTRAR, MESH.root.roles["registrar"].keys[0]),
    (RevokeKind.USER, "alice"),
]


# Few, so that many things happen in the same second; around the rotation at 40.
SECONDS = st.sampled_from((0, 1, 2, 39, 40, 41, 60))


@dataclass(frozen=True)
class Story:
    """What happened in a mesh, and two orders in which a node may hear of it."""

    directory: Directory
    orders: tuple[Sequence[Forged[SignedObject]], Sequence[Forged[SignedObject]]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw sponsors, revocations and a directory, and shuffle all of it twice."""
    people = [*FOUNDERS, *GUESTS]
    words = [
        MESH.sponsor(guest, sponsor, at=NOW + draw(SECONDS))
        for guest in GUESTS
        for sponsor in draw(st.lists(st.sampled_from(people), max_size=3, unique=True))
    ]
    chosen = draw(st.lists(st.sampled_from(SUBJECTS), max_size=6))
    signers = [draw(st.sampled_from(("v0", "v1"))) for _ in chosen]
    revokes = [
        MESH.revoke(*subject, issued=NOW + draw(SECONDS), reason=label, seeds=[seed(label)])
        for subject, label in zip(chosen, signers, strict=True)
    ]
    settled = draw(st.lists(st.sampled_from(GUESTS), max_size=2, unique=True))
    closed = draw(st.lists(st.sampled_from(TICKETS), max_size=1))
    objects = [*BASE, *words, *revokes]
    orders = (draw(st.permutations(objects)), draw(st.permutations(objects)))
    return Story(settling(*settled, closed=closed), orders)


def check(trust: Trust) -> None:
    """Assert that what was added in place is what working all of it out anew gives."""
    kept = trust._tables.enrolment
    anew = Enrolment(trust._tables.register, trust._tables.roots, trust._tables.revocations)
    anew.settled, anew.closed = kept.settled, kept.closed
    anew.rebuild()
    assert kept.displaced == anew.displaced
    assert {i: (n.rank, set(n.objects)) for i, n in kept.nodes.items()} == {
        i: (n.rank, set(n.objects)) for i, n in anew.nodes.items()
    }


def hear(order: Sequence[Forged[SignedObject]], directory: Directory, when: int) -> Trust:
    """Tell a node all of it, again and again while that changes anything, as gossip does."""
    trust = Trust(MESH.roots[0])
    waiting = list(order)
    for count in range(len(order) + 1):
        if count == when:
            trust.set_directory(directory)
        left = []
        for item in waiting:
            try:
                trust.admit(item.raw, LATER)
            except PeerError:
                left.append(item)
            else:
                check(trust)
        if len(left) == len(waiting) and count >= when:
            break
        waiting = left
    return trust


def outcome(trust: Trust) -> tuple[object, ...]:
    """Return all that a node decides by."""
    return (
        dict(trust.devices(LATER)),
        dict(trust.devices(at(NOW + 70))),
        {d.device_id: trust.device_state(d.device_id, LATER)[0] for d in (*FOUNDERS, *GUESTS)},
        {d.device_id: trust.name_is_authoritative(d.device_id) for d in GUESTS},
        (trust.candidate_id, trust.conflicts(), trust.floor, trust.root),
        {i for t, i, _ in trust.objects() if t in {ObjectType.REVOKE, ObjectType.TICKET}},
    )


@SETTINGS
@given(story=stories(), when=st.integers(0, 2))
def test_any_order_of_arrival_ends_in_the_same_state(story: Story, when: int) -> None:
    """Sponsors, overuse, revocations, rotations, rivals, conflicts: two orders, one outcome."""
    first, second = story.orders
    assert outcome(hear(first, story.directory, 0)) == outcome(hear(second, story.directory, when))


@SETTINGS
@given(story=stories())
def test_what_was_kept_gives_the_same_state_again(story: Story) -> None:
    """Restoring from objects in any order refuses nothing and decides as before."""
    trust = hear(story.orders[0], story.directory, 0)
    kept = [raw for _, _, raw in trust.objects()]
    wanted = {raw: place for place, raw in enumerate(item.raw for item in story.orders[1])}
    kept.sort(key=lambda raw: wanted.get(raw, 0))
    restored = Trust.restore(kept, LATER)
    assert restored.refused == ()
    restored.trust.set_directory(story.directory)
    check(restored.trust)
    assert outcome(restored.trust) == outcome(trust)
    assert {i for _, i, _ in restored.trust.objects()} == {i for _, i, _ in trust.objects()}


@SETTINGS
@given(story=stories())
def test_objects_come_after_what_they_rest_on(story: Story) -> None:
    """Whoever gets the objects of a node one after the other can admit each at once."""
    trust = hear(story.orders[0], story.directory, 0)
    other = Trust(MESH.roots[0])
    other.set_directory(story.directory)
    for object_type, _, raw in trust.objects():
        try:
            other.admit(raw, LATER)
        except PeerError:
            # Words of sponsors that have been displaced since, and rivals of older heads.
            assert object_type in {ObjectType.SPONSOR, ObjectType.HEAD}
    assert dict(other.devices(LATER)) == dict(trust.devices(LATER))
