"""Messages as bytes: a strict CBOR array of arrays, each with its type number first.

Decoding trusts nothing: counts and lengths are checked against the caps of `gossip.limits` before
a message exists. A type number this version does not know is skipped, so that a later version can
add messages; what is wrong inside a known one refuses the whole datagram. State is not touched.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final, TypeAlias

from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError
from crypto.objects import Epoch
from gossip import limits
from gossip import messages as m
from gossip.events import Address

FINGERPRINT_BYTES: Final = 16
ID_BYTES: Final = 32
PREFIX_DIGITS_MAX: Final = 32
COUNTER_MAX: Final = 2**64 - 1
_PREFIX: Final = re.compile(r"[0-9a-f]{0,32}")

Fields: TypeAlias = Sequence[Value]


def encode_address(address: Address) -> Value:
    """Return an address as [packed IP, port]."""
    return [ip_address(address[0]).packed, address[1]]


def decode_address(value: Value) -> Address:
    """Return the address in `value`, v4-mapped ones as v4.

    Raises:
        CodecError: If it is not [4 or 16 bytes, port 1 to 65535]. State unchanged.
    """
    match value:
        case [bytes(packed), int(port)] if len(packed) in {4, 16} and 1 <= port <= 65_535:
            address = ip_address(packed)
            mapped = getattr(address, "ipv4_mapped", None)
            return str(mapped or address), port
    raise CodecError("an address is not an IP address and a port")


def encode(message: m.Message) -> bytes:
    """Return one message as an item of a frame."""
    number, fields = _ENCODERS[type(message)](message)
    return dumps([number, *fields])


def frame(items: Sequence[bytes]) -> bytes:
    """Return the frame of encoded messages: an array head and the items behind it."""
    count = len(items)
    head = bytes([0x80 + count]) if count < 24 else bytes([0x98, count])
    return head + b"".join(items)


def decode_frame(data: bytes) -> list[m.Message]:
    """Return the messages of a frame.

    Raises:
        CodecError: If the frame is not strict CBOR, has too many messages, or one of them is
            malformed. State unchanged.
    """
    value = loads(data, max_bytes=limits.DATAGRAM_BYTES_MAX)
    if not isinstance(value, list) or len(value) > limits.MESSAGES_PER_DATAGRAM_MAX:
        raise CodecError("a frame is not an array of messages")
    found = (_decode(item) for item in value)
    return [message for message in found if message is not None]


def _decode(item: Value) -> m.Message | None:
    if not isinstance(item, list) or not item or not isinstance(item[0], int):
        raise CodecError("a message does not begin with its type")
    decoder = _DECODERS.get(item[0])
    return None if decoder is None else decoder(item[1:])


def _unsigned(value: Value, most: int = COUNTER_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise CodecError("a number of a message is out of range")
    return value


def _flag(value: Value) -> bool:
    if not isinstance(value, bool):
        raise CodecError("a flag of a message is not a boolean")
    return value


def _octets(value: Value, least: int, most: int) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise CodecError("a byte string of a message has a wrong length")
    return value


def _identity(value: Value) -> bytes:
    return _octets(value, ID_BYTES, ID_BYTES)


def _items(value: Value, most: int) -> Sequence[Value]:
    if not isinstance(value, list) or len(value) > most:
        raise CodecError("a list of a message is too long")
    return value


def _short_ids(value: Value, most: int) -> tuple[bytes, ...]:
    size = m.SHORT_ID_BYTES
    return tuple(_octets(item, size, size) for item in _items(value, most))


def _fields(fields: Fields, count: int) -> Fields:
    if len(fields) != count:
        raise CodecError(f"a message has {len(fields)} fields, expected {count}")
    return fields


def _epoch(boot_ms: Value, counter: Value) -> Epoch:
    return Epoch(_unsigned(boot_ms), _unsigned(counter))


def _decode_ping(fields: Fields) -> m.Ping:
    seq, boot_ms, counter, fingerprint = _fields(fields, 4)
    return m.Ping(_unsigned(seq), _epoch(boot_ms, counter), _fingerprint(fingerprint))


def _decode_ack(fields: Fields) -> m.Ack:
    seq, boot_ms, counter, fingerprint, observed = _fields(fields, 5)
    return m.Ack(
        _unsigned(seq),
        _epoch(boot_ms, counter),
        _fingerprint(fingerprint),
        decode_address(observed),
    )


def _fingerprint(value: Value) -> bytes:
    return _octets(value, FINGERPRINT_BYTES, FINGERPRINT_BYTES)


def _decode_ping_request(fields: Fields) -> m.PingRequest:
    seq, target, budget = _fields(fields, 3)
    return m.PingRequest(_unsigned(seq), _identity(target), _unsigned(budget, 3_600_000))


def _decode_relayed_ack(fields: Fields) -> m.RelayedAck:
    (seq,) = _fields(fields, 1)
    return m.RelayedAck(_unsigned(seq))


def _decode_nack(fields: Fields) -> m.Nack:
    seq, tried = _fields(fields, 2)
    return m.Nack(_unsigned(seq), _flag(tried))


def _decode_punch(fields: Fields) -> m.Punch:
    target, hello = _fields(fields, 2)
    return m.Punch(_identity(target), _octets(hello, 1, limits.DATAGRAM_BYTES_MAX))


def _decode_push(fields: Fields) -> m.Push:
    (raws,) = _fields(fields, 1)
    items = _items(raws, limits.MESSAGES_PER_DATAGRAM_MAX)
    return m.Push(tuple(_octets(raw, 1, limits.DATAGRAM_BYTES_MAX) for raw in items))


def _decode_offer(fields: Fields) -> m.Offer:
    identity, length = _fields(fields, 2)
    return m.Offer(_identity(identity), _unsigned(length, limits.OBJECT_BYTES_MAX))


def _decode_sync(fields: Fields) -> m.Sync:
    fingerprint, ranges = _fields(fields, 2)
    items = _items(ranges, limits.SYNC_ENTRIES_MAX)
    return m.Sync(_fingerprint(fingerprint), tuple(_decode_range(item) for item in items))


def _decode_range(item: Value) -> m.Range:
    match item:
        case [str(prefix), list(ids)]:
            return m.RangeIds(_prefix(prefix), _short_ids(ids, limits.IDS_PER_MESSAGE_MAX))
        case [str(prefix), fingerprint, count]:
            return m.RangePrint(_prefix(prefix), _fingerprint(fingerprint), _unsigned(count))
    raise CodecError("a range of a sync message is malformed")


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise CodecError("a range prefix is not made of hexadecimal digits")
    return text


def _decode_have(fields: Fields) -> m.Have:
    (ids,) = _fields(fields, 1)
    return m.Have(_short_ids(ids, limits.IDS_PER_MESSAGE_MAX))


def _decode_want(fields: Fields) -> m.Want:
    (ids,) = _fields(fields, 1)
    return m.Want(_short_ids(ids, limits.IDS_PER_MESSAGE_MAX))


def _decode_chunk_request(fields: Fields) -> m.ChunkRequest:
    identity, indices = _fields(fields, 2)
    numbers = _items(indices, limits.CHUNKS_PER_REQUEST_MAX)
    return m.ChunkRequest(_identity(identity), tuple(_unsigned(number) for number in numbers))


def _decode_chunk(fields: Fields) -> m.Chunk:
    identity, index, length, data = _fields(fields, 4)
    return m.Chunk(
        _identity(identity),
        _unsigned(index),
        _unsigned(length, limits.PART_BYTES_MAX),
        _octets(data, 1, limits.CHUNK_BYTES),
    )


def _decode_absent(fields: Fields) -> m.Absent:
    (identity,) = _fields(fields, 1)
    return m.Absent(_identity(identity))


_DECODERS: Final[dict[int, Callable[[Fields], m.Message]]] = {
    1: _decode_ping,
    2: _decode_ack,
    3: _decode_ping_request,
    4: _decode_relayed_ack,
    5: _decode_nack,
    6: _decode_punch,
    7: _decode_push,
    8: _decode_offer,
    9: _decode_sync,
    10: _decode_have,
    11: _decode_want,
    12: _decode_chunk_request,
    13: _decode_chunk,
    14: _decode_absent,
}


def _encode_ping(message: m.Ping) -> tuple[int, list[Value]]:
    epoch = message.epoch
    return 1, [message.seq, epoch.boot_ms, epoch.counter, message.fingerprint]


def _encode_ack(message: m.Ack) -> tuple[int, list[Value]]:
    epoch = message.epoch
    address = encode_address(message.observed)
    return 2, [message.seq, epoch.boot_ms, epoch.counter, message.fingerprint, address]


def _encode_sync(message: m.Sync) -> tuple[int, list[Value]]:
    return 9, [message.fingerprint, [_encode_range(item) for item in message.ranges]]


def _encode_range(item: m.Range) -> Value:
    if isinstance(item, m.RangeIds):
        return [item.prefix, list(item.ids)]
    return [item.prefix, item.fingerprint, item.count]


# mypy cannot tie a key's class to its function's argument; the round-trip test does.
_ENCODERS: Final[dict[type, Callable[..., tuple[int, list[Value]]]]] = {
    m.Ping: _encode_ping,
    m.Ack: _encode_ack,
    m.PingRequest: lambda message: (3, [message.seq, message.target, message.budget_ms]),
    m.RelayedAck: lambda message: (4, [message.seq]),
    m.Nack: lambda message: (5, [message.seq, message.tried]),
    m.Punch: lambda message: (6, [message.target, message.hello]),
    m.Push: lambda message: (7, [list(message.raws)]),
    m.Offer: lambda message: (8, [message.id, message.length]),
    m.Sync: _encode_sync,
    m.Have: lambda message: (10, [list(message.ids)]),
    m.Want: lambda message: (11, [list(message.ids)]),
    m.ChunkRequest: lambda message: (12, [message.id, list(message.indices)]),
    m.Chunk: lambda message: (13, [message.id, message.index, message.length, message.data]),
    m.Absent: lambda message: (14, [message.id]),
}
