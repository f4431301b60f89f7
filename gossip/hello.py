"""The first datagram between two members: who I am, sealed to whom I mean.

Noise IK in shape (noiseprotocol.org, section 7.5), over the static gossip keys that the signed
device objects name. The hello is

    0xA8 | mac 16 | ephemeral 32 | seal(k1: device id, static key) 80 | seal(k2: body)

with k1 from es, k2 from es and ss, and `mac` a keyed hash that costs a receiver one microsecond,
so noise never costs a key agreement (WireGuard's mac1, whitepaper section 5.4.4). The reply is

    0xA9 | first 8 bytes of the ephemeral | ephemeral 32 | seal(k3: body)

with k3 from es, ss, ee and se: only the one who sent the hello reads it. It is never longer than
the hello. Nothing here keeps state; who may be answered is decided in `gossip.admission`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from crypto.agreement import aead_open, aead_seal, hkdf, x25519, x25519_public
from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, LocalError, ObjectError
from gossip import limits
from gossip.events import Address
from gossip.wire import decode_address, encode_address

HELLO: Final = 0xA8
REPLY: Final = 0xA9
HELLO_BYTES_MIN: Final = 640
"""Every hello is padded to this, so that the reply has room without amplifying."""

ECHO_BYTES: Final = 8
_KEY: Final = 32
_MAC: Final = 16
_TAG: Final = 16
_IDENTITY_AT: Final = 1 + _MAC + _KEY
_BODY_AT: Final = _IDENTITY_AT + 2 * _KEY + _TAG
_REPLY_BODY_AT: Final = 1 + ECHO_BYTES + _KEY
_LENGTH: Final = 2
BODY_BYTES_MAX: Final = limits.DATAGRAM_BYTES_MAX - _BODY_AT - _TAG - _LENGTH


@dataclass(frozen=True, slots=True)
class Own:
    """The keys a member shows in a hello, and the mesh it is in."""

    mesh_id: bytes
    device_id: bytes
    static_private: bytes = field(repr=False)
    static_public: bytes


@dataclass(frozen=True, slots=True)
class HelloBody:
    """What a hello says, once opened.

    Attributes:
        sent_ms: Sender's wall clock; with it a receiver refuses what it has seen before.
        session_key: Sender's current session key, for a receiver without its record.
        member: Sender's signed member record; left out when device and ticket need the room.
        device: Its device envelope, when the receiver may not know it.
        ticket: The ticket envelope that device rests on.
    """

    sent_ms: int
    session_key: bytes
    member: bytes | None = None
    device: bytes | None = None
    ticket: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReplyBody:
    """What the reply says: the replier's record and where it saw the hello come from.

    Attributes:
        accepted: False when the replier will not talk; `evidence` or `reason` tells why.
        observed: Source address of the hello.
        session_key: Replier's current session key.
        member: Replier's signed member record.
        evidence: A signed object that proves the refusal, such as a revocation.
        reason: One sentence for people.
    """

    accepted: bool
    observed: Address
    session_key: bytes | None = None
    member: bytes | None = None
    evidence: bytes | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """What the sender of a hello keeps to read the reply."""

    target: bytes
    target_static: bytes
    ephemeral_private: bytes = field(repr=False)
    ephemeral_public: bytes
    es_ss: bytes = field(repr=False)

    @property
    def echo(self) -> bytes:
        """What the reply names to be found by."""
        return self.ephemeral_public[:ECHO_BYTES]


@dataclass(frozen=True, slots=True)
class Opened:
    """A hello that opened: its sender has proven the static key, nothing else."""

    device_id: bytes
    static_public: bytes
    body: HelloBody
    ephemeral_public: bytes
    es_ss: bytes = field(repr=False)
    length: int


def seal_hello(
    own: Own, target: bytes, target_static: bytes, ephemeral: bytes, body: HelloBody
) -> tuple[bytes, Pending]:
    """Return the hello datagram for `target` and what is needed to read the reply.

    Args:
        own: Our keys and mesh.
        target: Device id of the receiver.
        target_static: Its static gossip key.
        ephemeral: A private key made of fresh entropy.
        body: What to say.

    Raises:
        LocalError: If the body is too long for one datagram.
        ObjectError: If the receiver's key is unusable.
    """
    public = x25519_public(ephemeral)
    es = x25519(ephemeral, target_static)
    es_ss = es + x25519(own.static_private, target_static)
    identity_key, body_key = _hello_keys(own, es, es_ss, public + target_static)
    identity = own.device_id + own.static_public
    aad = own.mesh_id + bytes([HELLO]) + public
    box = aead_seal(identity_key, 0, identity, aad)
    sealed = aead_seal(body_key, 0, _encode_hello(body), aad + box)
    rest = public + box + sealed
    mac = _mac(own.mesh_id, target_static, rest)
    pending = Pending(target, target_static, ephemeral, public, es_ss)
    return bytes([HELLO]) + mac + rest, pending


def is_for(own: Own, data: bytes) -> bool:
    """Say whether the cheap checksum of a hello is right: made for us, by one who knows us."""
    if not HELLO_BYTES_MIN <= len(data) <= limits.DATAGRAM_BYTES_MAX:
        return False
    rest = data[1 + _MAC :]
    return data[1 : 1 + _MAC] == _mac(own.mesh_id, own.static_public, rest)


def open_hello(own: Own, data: bytes) -> Opened | None:
    """Return what a hello says, or None if it does not open. State unchanged.

    The caller has asked `is_for` first.
    """
    public = data[1 + _MAC : _IDENTITY_AT]
    box = data[_IDENTITY_AT:_BODY_AT]
    aad = own.mesh_id + bytes([HELLO]) + public
    try:
        es = x25519(own.static_private, public)
        context = public + own.static_public
        identity = aead_open(_key(own, es, b"hedgerow-hello-1", context), 0, box, aad)
        if identity is None:
            return None
        device_id, static = identity[:_KEY], identity[_KEY:]
        es_ss = es + x25519(own.static_private, static)
        key = _key(own, es_ss, b"hedgerow-hello-2", context)
        plain = aead_open(key, 0, data[_BODY_AT:], aad + box)
        if plain is None:
            return None
        body = _decode_hello(plain)
    except (ObjectError, CodecError):
        return None
    return Opened(device_id, static, body, public, es_ss, len(data))


def seal_reply(own: Own, hello: Opened, ephemeral: bytes, body: ReplyBody) -> bytes | None:
    """Return the reply datagram, or None if it would be longer than the hello.

    Raises:
        ObjectError: If a key of the hello is unusable.
    """
    public = x25519_public(ephemeral)
    secrets = (
        hello.es_ss
        + x25519(ephemeral, hello.ephemeral_public)
        + x25519(ephemeral, hello.static_public)
    )
    context = hello.ephemeral_public + public + hello.static_public + own.static_public
    key = _key(own, secrets, b"hedgerow-reply", context)
    head = bytes([REPLY]) + hello.ephemeral_public[:ECHO_BYTES] + public
    data = head + aead_seal(key, 0, _encode_reply(body), own.mesh_id + head)
    return data if len(data) <= hello.length else None


def open_reply(own: Own, pending: Pending, data: bytes) -> ReplyBody | None:
    """Return what the reply to `pending` says, or None if it does not open. State unchanged."""
    head = data[:_REPLY_BODY_AT]
    public = head[1 + ECHO_BYTES :]
    try:
        secrets = (
            pending.es_ss
            + x25519(pending.ephemeral_private, public)
            + x25519(own.static_private, public)
        )
        context = pending.ephemeral_public + public + own.static_public + pending.target_static
        key = _key(own, secrets, b"hedgerow-reply", context)
        plain = aead_open(key, 0, data[_REPLY_BODY_AT:], own.mesh_id + head)
        return None if plain is None else _decode_reply(plain)
    except (ObjectError, CodecError):
        return None


def reply_echo(data: bytes) -> bytes:
    """Return the part of a reply that names its hello."""
    return data[1 : 1 + ECHO_BYTES]


def _mac(mesh_id: bytes, target_static: bytes, rest: bytes) -> bytes:
    return sha256(b"hedgerow-hello-mac" + mesh_id + target_static + rest).digest()[:_MAC]


def _hello_keys(own: Own, es: bytes, es_ss: bytes, context: bytes) -> tuple[bytes, bytes]:
    return (
        _key(own, es, b"hedgerow-hello-1", context),
        _key(own, es_ss, b"hedgerow-hello-2", context),
    )


def _key(own: Own, secrets: bytes, label: bytes, context: bytes) -> bytes:
    return hkdf(secrets, own.mesh_id, label + context, _KEY)


def _encode_hello(body: HelloBody) -> bytes:
    encoded = dumps([body.sent_ms, body.session_key, body.member, body.device, body.ticket])
    if len(encoded) > BODY_BYTES_MAX:
        raise LocalError(
            f"a hello of {len(encoded)} bytes does not fit one datagram ({BODY_BYTES_MAX})",
            remedy="give the device fewer tags or a shorter name",
        )
    padding = max(0, HELLO_BYTES_MIN - _BODY_AT - _TAG - _LENGTH - len(encoded))
    return len(encoded).to_bytes(_LENGTH, "little") + encoded + bytes(padding)


def _decode_hello(plain: bytes) -> HelloBody:
    length = int.from_bytes(plain[:_LENGTH], "little")
    if length > len(plain) - _LENGTH or any(plain[_LENGTH + length :]):
        raise CodecError("a hello is not padded with zeros")
    match loads(plain[_LENGTH : _LENGTH + length], max_bytes=limits.DATAGRAM_BYTES_MAX):
        case [int(sent), bytes(session_key), member, device, ticket] if len(session_key) == _KEY:
            optional = (_optional(item) for item in (member, device, ticket))
            return HelloBody(sent, session_key, *optional)
    raise CodecError("a hello is malformed")


def _encode_reply(body: ReplyBody) -> bytes:
    address = encode_address(body.observed)
    fields: Sequence[Value] = [
        *(body.accepted, address, body.session_key),
        *(body.member, body.evidence, body.reason),
    ]
    return dumps(fields)


def _decode_reply(plain: bytes) -> ReplyBody:
    match loads(plain, max_bytes=limits.DATAGRAM_BYTES_MAX):
        # What people get to read of it brings no commands for their terminals.
        case [bool(accepted), observed, session_key, member, evidence, str(reason)] if (
            reason.isprintable()
        ):
            return ReplyBody(
                accepted=accepted,
                observed=decode_address(observed),
                session_key=_optional(session_key),
                member=_optional(member),
                evidence=_optional(evidence),
                reason=reason,
            )
    raise CodecError("a reply is malformed")


def _optional(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    raise CodecError("a field of a hello is neither bytes nor null")
