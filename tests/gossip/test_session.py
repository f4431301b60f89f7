"""Sessions: only authentic, new datagrams between current keys open."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from gossip import limits
from gossip.session import (
    CHANNELS_PER_PEER_MAX,
    DATA,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    WINDOW_BITS,
    ReplayWindow,
    Sessions,
)

MESH = bytes(range(32))
ALICE, BOB, EVE = b"A" * 32, b"B" * 32, b"E" * 32


class Entropy:
    """Bytes that follow from a label."""

    def __init__(self, label: str) -> None:
        self._label, self._count = label, 0

    def __call__(self, size: int) -> bytes:
        """Return the next bytes."""
        self._count += 1
        return sha256(f"{self._label} {self._count}".encode()).digest()[:size]


def sessions(device_id: bytes, life: int = 1) -> Sessions:
    """Return the sessions of a device in one of its lives."""
    return Sessions(
        mesh_id=MESH,
        device_id=device_id,
        entropy=Entropy(f"{device_id!r} {life}"),
        overlap_seconds=100.0,
        settle_seconds=10.0,
    )


def introduce(*all_: tuple[bytes, Sessions]) -> None:
    """Tell everybody everybody's session key."""
    for device_id, mine in all_:
        for other, theirs in all_:
            if other != device_id:
                mine.set_peer(0.0, other, theirs.public, rebooted=False)


def pair() -> tuple[Sessions, Sessions]:
    """Return two members that know each other."""
    alice, bob = sessions(ALICE), sessions(BOB)
    introduce((ALICE, alice), (BOB, bob))
    return alice, bob


def sealed(source: Sessions, target: bytes, frame: bytes = b"frame", now: float = 0.0) -> bytes:
    """Return a datagram that must exist."""
    data = source.seal(now, target, frame)
    assert data is not None
    return data


def test_a_frame_arrives_with_its_sender() -> None:
    """What one seals for the other opens there, once, and names the sender."""
    alice, bob = pair()
    data = sealed(alice, BOB)
    assert data[0] == DATA
    assert bob.open(data) == (ALICE, b"frame")
    assert bob.open(sealed(alice, BOB, b"next")) == (ALICE, b"next")


def test_the_longest_frame_fits_a_datagram() -> None:
    """A full frame makes a datagram of exactly the limit."""
    alice, bob = pair()
    data = sealed(alice, BOB, bytes(FRAME_BYTES_MAX))
    assert len(data) == limits.DATAGRAM_BYTES_MAX
    assert bob.open(data) is not None
    assert bob.open(data + b"x") is None


def test_directions_have_different_keys() -> None:
    """A datagram reflected to its sender does not open."""
    alice, _ = pair()
    assert alice.open(sealed(alice, BOB)) is None


@given(st.integers(min_value=0))
def test_every_changed_byte_is_noticed(at: int) -> None:
    """A bit flipped anywhere, header or body, opens nowhere."""
    alice, bob = pair()
    data = bytearray(sealed(alice, BOB))
    data[at % len(data)] ^= 1 << at % 7
    assert data[0] != DATA or bob.open(bytes(data)) is None


@given(st.integers(0, 60))
def test_truncated_datagrams_do_not_open(size: int) -> None:
    """A datagram cut anywhere opens nowhere."""
    alice, bob = pair()
    data = sealed(alice, BOB)
    assert bob.open(data[: min(size, len(data) - 1)]) is None


def test_t05_a_replay_is_dropped() -> None:
    """The same datagram opens once (T05, after a second)."""
    alice, bob = pair()
    data = sealed(alice, BOB)
    assert bob.open(data) is not None
    assert bob.open(data) is None


def test_t05_a_replay_after_the_receivers_restart_is_dropped() -> None:
    """A receiver's new life has a new key: what was captured before opens nowhere."""
    alice, bob = pair()
    data = sealed(alice, BOB)
    reborn = sessions(BOB, life=2)
    introduce((ALICE, alice), (BOB, reborn))
    assert bob.open(data) is not None
    assert reborn.open(data) is None


def test_t05_a_replay_after_the_senders_restart_is_dropped() -> None:
    """Once a member's record says it rebooted, its old key is dead, even for unseen counters."""
    alice, bob = pair()
    unseen = sealed(alice, BOB)
    bob.set_peer(1.0, ALICE, sessions(ALICE, life=2).public, rebooted=True)
    assert bob.open(unseen) is None


def test_t05_a_replay_to_another_member_is_dropped() -> None:
    """Keys are pairwise: what was made for one member opens at no other."""
    alice, bob, eve = sessions(ALICE), sessions(BOB), sessions(EVE)
    introduce((ALICE, alice), (BOB, bob), (EVE, eve))
    assert eve.open(sealed(alice, BOB)) is None


def test_naming_anothers_key_opens_nothing() -> None:
    """A record that names another member's session key neither reads nor speaks for it."""
    alice, bob = pair()
    bob.set_peer(0.0, EVE, alice.public, rebooted=False)
    assert bob.open(sealed(alice, BOB)) == (ALICE, b"frame")


def test_both_keys_open_while_one_replaces_the_other() -> None:
    """After a rotation both keys are accepted; after the overlap only the new one."""
    alice, bob = pair()
    late = sealed(alice, BOB)
    alice.rotate(1_000.0)
    bob.set_peer(1_000.0, ALICE, alice.public, rebooted=False)
    # Until everybody knows the new key, the old one is spoken.
    assert bob.open(sealed(alice, BOB, now=1_005.0)) is not None
    assert bob.open(sealed(alice, BOB, now=1_050.0)) is not None
    assert bob.open(late) is not None
    # What is sealed for the old key opens during the overlap.
    other = sessions(BOB)
    other.set_peer(0.0, ALICE, alice.public, rebooted=False)
    for each in (alice, bob):
        each.expire(1_050.0)
    assert alice.open(sealed(bob, ALICE, now=1_050.0)) is not None
    for each in (alice, bob):
        each.expire(1_100.0)
    assert bob.open(sealed(alice, BOB, now=1_101.0)) is not None


def test_the_old_key_dies_with_the_overlap() -> None:
    """What was sealed for or by a replaced key does not open once the overlap is over."""
    alice, bob = pair()
    to_old = sealed(bob, ALICE)
    by_old = sealed(alice, BOB)
    alice.rotate(0.0)
    bob.set_peer(0.0, ALICE, alice.public, rebooted=False)
    for each in (alice, bob):
        each.expire(100.0)
    assert alice.open(to_old) is None
    assert bob.open(by_old) is None


def test_two_rotations_keep_one_old_key() -> None:
    """Only the key before the present one is accepted, however often one rotates."""
    alice, bob = pair()
    first = sealed(alice, BOB)
    for _ in range(2):
        alice.rotate(0.0)
        bob.set_peer(0.0, ALICE, alice.public, rebooted=False)
    assert bob.open(first) is None


def test_a_forgotten_member_is_neither_heard_nor_sent_to() -> None:
    """After `forget` nothing opens and nothing is sealed; forgetting twice is harmless."""
    alice, bob = pair()
    bob.forget(ALICE)
    bob.forget(ALICE)
    assert not bob.knows(ALICE)
    assert bob.seal(0.0, ALICE, b"frame") is None
    assert bob.open(sealed(alice, BOB)) is None


def test_a_member_that_comes_back_meets_its_old_window() -> None:
    """Forgotten and known again under the same keys: no replay opens, no counter repeats."""
    alice, bob = pair()
    data = sealed(alice, BOB)
    assert bob.open(data) is not None
    sent = sealed(bob, ALICE)
    bob.forget(ALICE)
    bob.set_peer(1.0, ALICE, alice.public, rebooted=False)
    assert bob.open(data) is None
    assert sealed(bob, ALICE)[9:HEADER_BYTES] != sent[9:HEADER_BYTES]


def test_an_unusable_key_makes_no_channel() -> None:
    """A member whose record names a point of small order gets and gives nothing."""
    bob = sessions(BOB)
    bob.set_peer(0.0, EVE, bytes(32), rebooted=False)
    assert bob.seal(0.0, EVE, b"frame") is None
    tag = sha256(b"hedgerow-tag" + MESH + EVE + bytes(32)).digest()[:8]
    assert bob.open(bytes([DATA]) + tag + bytes(60)) is None


@given(st.lists(st.integers(0, 3 * WINDOW_BITS), max_size=60))
def test_the_window_accepts_what_a_set_would(counters: list[int]) -> None:
    """The window agrees with a set of all seen counters, except for those too old to tell."""
    window = ReplayWindow()
    seen: set[int] = set()
    for counter in counters:
        too_old = bool(seen) and counter <= max(seen) - WINDOW_BITS
        assert window.is_new(counter) == (counter not in seen and not too_old)
        if window.is_new(counter):
            window.mark(counter)
            seen.add(counter)


def test_a_huge_counter_costs_no_memory() -> None:
    """A jump of 2^63 is a shift by at most the window."""
    window = ReplayWindow()
    window.mark(5)
    window.mark(2**63)
    assert not window.is_new(2**63)
    assert not window.is_new(5)
    assert window.is_new(2**63 - 1)


def counter_of(data: bytes) -> int:
    """Return the counter of a datagram, with its key the nonce."""
    return int.from_bytes(data[9:HEADER_BYTES], "little")


def test_a_key_that_comes_back_never_sees_a_counter_twice() -> None:
    """A hello, then a record from before the hello, then the record of now: one key, one count."""
    alice, bob = pair()
    first = counter_of(sealed(alice, BOB))
    alice.set_peer(1.0, BOB, sessions(BOB, life=0).public, rebooted=True)
    sealed(alice, BOB)
    alice.set_peer(2.0, BOB, bob.public, rebooted=True)
    assert counter_of(sealed(alice, BOB)) > first


def test_t05_a_key_that_comes_back_does_not_bring_replays_back() -> None:
    """What was received under a key stays received, however often the key changes in between."""
    alice, bob = pair()
    data = sealed(bob, ALICE)
    assert alice.open(data) is not None
    for life in (0, 2, 3):
        alice.set_peer(1.0, BOB, sessions(BOB, life=life).public, rebooted=True)
    alice.set_peer(2.0, BOB, bob.public, rebooted=True)
    assert alice.open(data) is None
    assert alice.open(sealed(bob, ALICE, b"next")) == (BOB, b"next")


def test_a_member_that_names_many_keys_is_kept_in_bounds() -> None:
    """Of its keys' channels only so many are kept."""
    alice = sessions(ALICE)
    for life in range(3 * CHANNELS_PER_PEER_MAX):
        alice.set_peer(0.0, BOB, sessions(BOB, life=life).public, rebooted=True)
        sealed(alice, BOB)
    assert len(alice._channels[BOB]) == CHANNELS_PER_PEER_MAX
