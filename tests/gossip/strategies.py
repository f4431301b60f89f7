"""What hypothesis draws: every message that the wire can carry."""

from hypothesis import strategies as st

from crypto.objects import Epoch
from gossip import limits
from gossip import messages as m

NUMBERS = st.integers(0, 2**63 - 1)
IDS = st.binary(min_size=32, max_size=32)
SHORTS = st.binary(min_size=16, max_size=16)
SHORT_TUPLES = st.lists(SHORTS, max_size=4).map(tuple)
EPOCHS = st.builds(Epoch, NUMBERS, NUMBERS)
ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), st.integers(1, 65_535)),
    st.tuples(st.ip_addresses(v=6, network="2000::/3").map(str), st.integers(1, 65_535)),
)
PREFIXES = st.text("0123456789abcdef", max_size=32)
RANGES = st.one_of(
    st.builds(m.RangePrint, PREFIXES, SHORTS, NUMBERS),
    st.builds(m.RangeIds, PREFIXES, SHORT_TUPLES),
)
MESSAGES = st.one_of(
    st.builds(m.Ping, NUMBERS, EPOCHS, SHORTS),
    st.builds(m.Ack, NUMBERS, EPOCHS, SHORTS, ADDRESSES),
    st.builds(m.PingRequest, NUMBERS, IDS, st.integers(0, 3_600_000)),
    st.builds(m.RelayedAck, NUMBERS),
    st.builds(m.Nack, NUMBERS, st.booleans()),
    st.builds(m.Punch, IDS, st.binary(min_size=1, max_size=64)),
    st.builds(m.Push, st.lists(st.binary(min_size=1, max_size=64), max_size=4).map(tuple)),
    st.builds(m.Offer, IDS, st.integers(0, limits.OBJECT_BYTES_MAX)),
    st.builds(m.Sync, SHORTS, st.lists(RANGES, max_size=4).map(tuple)),
    st.builds(m.Have, SHORT_TUPLES),
    st.builds(m.Want, SHORT_TUPLES),
    st.builds(m.ChunkRequest, IDS, st.lists(NUMBERS, max_size=16).map(tuple)),
    st.builds(
        m.Chunk,
        IDS,
        NUMBERS,
        st.integers(0, limits.PART_BYTES_MAX),
        st.binary(min_size=1, max_size=64),
    ),
    st.builds(m.Absent, IDS),
)
