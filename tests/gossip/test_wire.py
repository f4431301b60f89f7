"""The wire: every message survives the trip, and nothing malformed becomes a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import Value, dumps
from crypto.errors import CodecError, PeerError
from crypto.objects import Epoch
from gossip import limits, wire
from gossip import messages as m
from tests.gossip.strategies import MESSAGES

EPOCH = Epoch(1, 2)
PRINT = bytes(16)
ID = bytes(32)


@given(st.lists(MESSAGES, max_size=3))
def test_messages_survive_the_trip(messages: list[m.Message]) -> None:
    """Decoding a frame gives back what was put into it, in order."""
    data = wire.frame([wire.encode(message) for message in messages])
    if len(data) <= limits.DATAGRAM_BYTES_MAX:
        assert wire.decode_frame(data) == messages


@given(st.binary(max_size=300))
def test_noise_is_refused_and_never_crashes(data: bytes) -> None:
    """Any bytes either decode or raise a PeerError, nothing else."""
    try:
        wire.decode_frame(data)
    except PeerError:
        return


@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 20), st.binary(max_size=40), st.booleans())), max_size=3
    )
)
def test_any_cbor_is_refused_or_decoded(value: list[list[Value]]) -> None:
    """Well-formed CBOR with any content in the place of messages never crashes the decoder."""
    try:
        wire.decode_frame(dumps(value))
    except PeerError:
        return


def test_many_messages_use_the_long_array_head() -> None:
    """A frame of 24 and more messages has the two-byte array head of CBOR."""
    data = wire.frame([wire.encode(m.RelayedAck(n)) for n in range(30)])
    assert len(wire.decode_frame(data)) == 30


def test_unknown_message_types_are_skipped() -> None:
    """A later version's message is no reason to drop the ones beside it."""
    assert wire.decode_frame(dumps([[200, 1, 2], [4, 7]])) == [m.RelayedAck(7)]


def test_mapped_addresses_become_v4() -> None:
    """An IPv4 address inside IPv6 is one address, not two."""
    packed = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
    assert wire.decode_address([packed, 9]) == ("192.0.2.1", 9)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [1],
        [[]],
        [["ping"]],
        [[1]],
        [[1, 1, 1, 1, b"short"]],
        [[1, -1, 1, 1, PRINT]],
        [[1, True, 1, 1, PRINT]],
        [[1, 1, 2**63, 1, PRINT]],
        [[2, 1, 1, 1, PRINT, [b"abc", 1]]],
        [[2, 1, 1, 1, PRINT, [bytes(4), 0]]],
        [[2, 1, 1, 1, PRINT, None]],
        [[3, 1, b"short", 1]],
        [[3, 1, ID, 3_600_001]],
        [[5, 1, 1]],
        [[6, ID, b""]],
        [[7, b"raw"]],
        [[7, [b""]]],
        [[7, [b"x"] * (limits.MESSAGES_PER_DATAGRAM_MAX + 1)]],
        [[8, ID, limits.OBJECT_BYTES_MAX + 1]],
        [[9, PRINT, [["", PRINT, 1]] * (limits.SYNC_ENTRIES_MAX + 1)]],
        [[9, PRINT, [["xyz", PRINT, 1]]]],
        [[9, PRINT, [["a" * 33, PRINT, 1]]]],
        [[9, PRINT, [[1, 2]]]],
        [[9, PRINT, [["", [b"short"]]]]],
        [[10, [bytes(16)] * (limits.IDS_PER_MESSAGE_MAX + 1)]],
        [[11, [b"short"]]],
        [[12, ID, [0] * (limits.CHUNKS_PER_REQUEST_MAX + 1)]],
        [[12, ID, [-1]]],
        [[13, ID, 0, limits.PART_BYTES_MAX + 1, b"x"]],
        [[13, ID, 0, 1, bytes(limits.CHUNK_BYTES + 1)]],
        [[13, ID, 0, 1, b""]],
        [[14, b""]],
        [[4, 1]] * (limits.MESSAGES_PER_DATAGRAM_MAX + 1),
    ],
)
def test_malformed_messages_are_refused(value: Value) -> None:
    """Wrong types, lengths, counts and ranges refuse the whole datagram."""
    with pytest.raises(PeerError):
        wire.decode_frame(dumps(value))


def test_long_frames_are_refused() -> None:
    """Nothing longer than a datagram is even parsed."""
    with pytest.raises(CodecError, match="longer"):
        wire.decode_frame(dumps([bytes(limits.DATAGRAM_BYTES_MAX)]))
