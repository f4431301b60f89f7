"""Signatures: the one Ed25519 verifier, and the envelope around every signed object.

**Verifier.** RFC 8032 section 5.1.7 leaves two equations to choose from and is silent on points of
small order, so correct libraries disagree and could split the mesh. `verify` takes only what all
of them agree on: canonical A and R in the main subgroup, S < L, and libsodium's own check.

**Envelope.** A fixed profile of COSE_Sign (RFC 9052 section 4.1), untagged:
`[body, {}, payload, [[signer, {4: kid}, signature], ...]]` with `body` the constant
`{16: "hedgerow/<type>"}` (typ, RFC 9596) and `signer` the constant `{1: -8}` (EdDSA), both
compared byte for byte. A signature covers
`["Signature", body, signer, external_aad = mesh_id, payload]`, so none can be carried over to
another type or another mesh. Received bytes are what is verified, kept and forwarded.

**SSHSIG.** An admin may sign with ssh-keygen instead. Then `signer` is the constant `{1: -65537}`
(private use, RFC 8152 section 16.4), the signature is an SSHSIG blob, and its message is the same
structure with that `signer`; its namespace is "hedgerow-<type>". The key id is that of the key
and says nothing of the form, so a key has one signature in an envelope, in whatever form.

An object's id is the SHA-256 of its payload. Signatures never name anything: their maker can
produce many for one payload.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError

from crypto import sshsig
from crypto.codec import Value, dumps, loads
from crypto.errors import LocalError, ObjectError, SignatureError

KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SIGNATURES_MAX: Final = 32
HEAD_PAYLOAD_BYTES_MAX: Final = 1_024
KEYS_CACHED_MAX: Final = 4_096

# The order of the main subgroup, RFC 8032 section 5.1.
_L: Final = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
_ALGORITHM_EDDSA: Final = -8  # RFC 9053 section 2.2
_ALGORITHM_SSHSIG: Final = -65_537
_SIGNER_HEADER: Final = dumps({1: _ALGORITHM_EDDSA})
_SSHSIG_HEADER: Final = dumps({1: _ALGORITHM_SSHSIG})
_KID_CONTEXT: Final = b"hedgerow-kid" + dumps(_ALGORITHM_EDDSA)


class ObjectType(StrEnum):
    """What an envelope carries; on the wire "hedgerow/<type>"."""

    ROOT = "root"
    HEAD = "head"
    TICKET = "ticket"
    DEVICE = "device"
    SPONSOR = "sponsor"
    REVOKE = "revoke"
    MEMBER = "member"
    ACCUSATION = "accusation"
    LEAVE = "leave"


SSHSIG_TYPES: Final = frozenset(
    {ObjectType.ROOT, ObjectType.HEAD, ObjectType.TICKET, ObjectType.DEVICE, ObjectType.REVOKE}
)
"""What admins sign, and so may sign with ssh-keygen; what nodes say of themselves is not."""

ENVELOPE_BYTES_MAX: Final = dict.fromkeys(ObjectType, 4_096) | {
    ObjectType.ROOT: 512_000,
    ObjectType.HEAD: 16_384,
}
"""The longest envelope of each type; longer ones are not even parsed."""


def body_header(object_type: ObjectType) -> bytes:
    """Return the protected header of every envelope of this type."""
    return dumps({16: f"hedgerow/{object_type.value}"})


_BODY_HEADERS: Final = {object_type: body_header(object_type) for object_type in ObjectType}
# The first bytes of an envelope tell its type before anything is parsed.
_PREFIXES: Final = {
    object_type: b"\x84" + dumps(header) + b"\xa0" for object_type, header in _BODY_HEADERS.items()
}


@lru_cache(maxsize=KEYS_CACHED_MAX)
def is_valid_key(key: bytes) -> bool:
    """Say whether `key` is a canonical Ed25519 key in the main subgroup; kept per key."""
    return len(key) == KEY_BYTES and crypto_core_ed25519_is_valid_point(key)


def is_valid_admin_key(key: bytes) -> bool:
    """Say whether `key` may hold a role: a valid Ed25519 key, or a security key with one."""
    try:
        return is_valid_key(sshsig.ed25519_key(key))
    except ObjectError:
        return False


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is the one of `message` under `key`; never raises.

    The rule every node must share: lengths, A and R valid main-subgroup points, S < L, and
    libsodium's verification.
    """
    if len(signature) != SIGNATURE_BYTES or not is_valid_key(key):
        return False
    if not crypto_core_ed25519_is_valid_point(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= _L:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except CryptoError:
        return False
    return True


def public_key(seed: bytes) -> bytes:
    """Return the public key of a 32-byte private seed.

    Raises:
        LocalError: If the seed has another length.
    """
    return _key_pair(seed)[0]


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the signature of `message` by the key of this seed (RFC 8032 section 5.1.6).

    Raises:
        LocalError: If the seed has another length than 32.
    """
    signed: bytes = crypto_sign(message, _key_pair(seed)[1])
    return signed[:SIGNATURE_BYTES]


def key_id(key: bytes) -> bytes:
    """Return the key id (COSE kid) under which signatures of `key` are filed."""
    return sha256(_KID_CONTEXT + key).digest()


def object_id(payload: bytes) -> bytes:
    """Return the id of the object with this payload; for root version 1 it is the mesh id."""
    return sha256(payload).digest()


def to_be_signed(object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
    """Return the bytes a signature covers (RFC 9052 section 4.4, Sig_structure)."""
    return _structure(object_type, _SIGNER_HEADER, mesh_id, payload)


def to_be_signed_by_ssh(object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
    """Return the message that `ssh-keygen -Y sign` has to be given.

    Raises:
        LocalError: If such signatures do not count under objects of this type.
    """
    if object_type not in SSHSIG_TYPES:
        raise LocalError(f"a {object_type} is not signed with ssh-keygen")
    return _structure(object_type, _SSHSIG_HEADER, mesh_id, payload)


def ssh_namespace(object_type: ObjectType) -> str:
    """Return the namespace that `ssh-keygen -Y sign` has to be given for objects of this type."""
    return f"hedgerow-{object_type.value}"


def _structure(object_type: ObjectType, header: bytes, mesh_id: bytes, payload: bytes) -> bytes:
    return dumps(["Signature", _BODY_HEADERS[object_type], header, mesh_id, payload])


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed object as received: decoded, not verified.

    Attributes:
        type: What the payload is.
        payload: The object's bytes, exactly as signed.
        signatures: Pairs of key id and signature, in wire order. A signature is the 64 bytes of
            Ed25519 or an SSHSIG blob, which is always longer.
        raw: The whole envelope, to be kept and forwarded as it is.
    """

    type: ObjectType
    payload: bytes
    signatures: tuple[tuple[bytes, bytes], ...]
    raw: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The object's id: the hash of its payload, whoever signed it."""
        return object_id(self.payload)


def decode(raw: bytes) -> Envelope:
    """Return the envelope in `raw` without verifying any signature.

    Raises:
        ObjectError: If it is of no known type, too long, or not in the profile.
        CodecError: If it is not strict CBOR.
    """
    object_type = next((t for t, prefix in _PREFIXES.items() if raw.startswith(prefix)), None)
    if object_type is None:
        raise ObjectError("not an envelope of a known type: the protected header is none of ours")
    limit = ENVELOPE_BYTES_MAX[object_type]
    if len(raw) > limit:
        raise ObjectError(f"{object_type} envelope of {len(raw)} bytes, at most {limit} allowed")
    value = loads(raw, max_bytes=limit)
    # The prefix has fixed the first two of the four items.
    match value:
        case [_, _, bytes(payload), list(entries)]:
            _check_payload(object_type, payload)
        case _:
            raise ObjectError(f"{object_type} envelope without payload bytes and signatures")
    return Envelope(object_type, payload, _decode_signatures(object_type, entries), raw)


def _check_payload(object_type: ObjectType, payload: bytes) -> None:
    if object_type is ObjectType.HEAD and len(payload) > HEAD_PAYLOAD_BYTES_MAX:
        raise ObjectError(
            f"head payload of {len(payload)} bytes, at most {HEAD_PAYLOAD_BYTES_MAX} allowed",
            remedy="a head has to fit one QR code: give it fewer parts",
        )


def _decode_signatures(
    object_type: ObjectType, entries: Sequence[Value]
) -> tuple[tuple[bytes, bytes], ...]:
    if not 1 <= len(entries) <= SIGNATURES_MAX:
        raise ObjectError(
            f"{object_type} envelope with {len(entries)} signatures, "
            f"expected 1 to {SIGNATURES_MAX}"
        )
    return tuple(
        _decode_signature(object_type, index, entry) for index, entry in enumerate(entries)
    )


def _decode_signature(object_type: ObjectType, index: int, entry: Value) -> tuple[bytes, bytes]:
    # Exact maps: {4: kid} and nothing else. An unprotected header that nobody reads would be a
    # place for a carrier to write in.
    match entry:
        case [bytes(header), {4: bytes(kid), **others}, bytes(signature)] if (
            not others and len(kid) == KEY_BYTES and _is_of_form(object_type, header, signature)
        ):
            return kid, signature
    raise ObjectError(f"{object_type} envelope: signature {index} is not in the EdDSA profile")


def _is_of_form(object_type: ObjectType, header: bytes, signature: bytes) -> bool:
    if header == _SIGNER_HEADER:
        return len(signature) == SIGNATURE_BYTES
    if header != _SSHSIG_HEADER or object_type not in SSHSIG_TYPES:
        return False
    sshsig.parse(signature)
    return True


def seal(object_type: ObjectType, mesh_id: bytes, payload: bytes, seeds: Iterable[bytes]) -> bytes:
    """Return the raw envelope of `payload`, signed by the key of each seed in turn.

    Raises:
        LocalError: If there is no seed, one comes twice, or the envelope would be too long.
    """
    message = to_be_signed(object_type, mesh_id, payload)
    signatures = [(key_id(public_key(seed)), sign(seed, message)) for seed in seeds]
    return _encode(object_type, payload, signatures)


def assemble(
    object_type: ObjectType, payload: bytes, signatures: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the raw envelope of `payload` with these pairs of public key and signature.

    They are not verified here: they may have been made elsewhere, in either form.

    Raises:
        LocalError: If there is none, a key comes twice, or the envelope would be too long.
    """
    return _encode(object_type, payload, [(key_id(key), made) for key, made in signatures])


def append(raw: bytes, key: bytes, signature: bytes) -> bytes:
    """Return the envelope `raw` with one more signature, which is not verified here.

    Raises:
        ObjectError: If `raw` is not an envelope.
        CodecError: If `raw` is not strict CBOR.
        LocalError: If this key has signed already, or the envelope would be too long.
    """
    envelope = decode(raw)
    added = (key_id(key), signature)
    return _encode(envelope.type, envelope.payload, [*envelope.signatures, added])


def append_signature(raw: bytes, mesh_id: bytes, seed: bytes) -> bytes:
    """Return the envelope `raw` with one more signature, by the key of `seed`.

    Raises:
        ObjectError: If `raw` is not an envelope.
        CodecError: If `raw` is not strict CBOR.
        LocalError: If this key has signed already, or the envelope would be too long.
    """
    envelope = decode(raw)
    message = to_be_signed(envelope.type, mesh_id, envelope.payload)
    return append(raw, public_key(seed), sign(seed, message))


def signers(envelope: Envelope, mesh_id: bytes, keys: Iterable[bytes]) -> frozenset[bytes]:
    """Return the distinct keys that have signed, all of them among `keys`.

    Every signature has to be by one of `keys`, at most one by each, and valid: what a threshold
    does not need is no place for garbage either.

    Raises:
        SignatureError: If a key id is repeated or unknown, or a signature is not valid.
    """
    by_id = {key_id(key): key for key in keys}
    found: set[bytes] = set()
    counted: set[bytes] = set()
    for kid, signature in envelope.signatures:
        key = by_id.get(kid)
        if key is None:
            raise SignatureError(f"{_name(envelope)} is signed by an unknown key {_short(kid)}")
        # By what Ed25519 verifies: a security key's point is not a second key of its holder.
        point = sshsig.ed25519_key(key)
        if point in counted:
            raise SignatureError(f"{_name(envelope)} carries two signatures by {_short(kid)}")
        _check_signature(envelope, mesh_id, key, signature)
        found.add(key)
        counted.add(point)
    return frozenset(found)


def _check_signature(envelope: Envelope, mesh_id: bytes, key: bytes, signature: bytes) -> None:
    what = f"{_name(envelope)}: the signature by {_short(key_id(key))}"
    if len(signature) == SIGNATURE_BYTES:
        message = to_be_signed(envelope.type, mesh_id, envelope.payload)
        if not verify(key, message, signature):
            raise SignatureError(f"{what} is not valid")
        return
    made = sshsig.parse(signature)
    if made.key != key or made.namespace != ssh_namespace(envelope.type).encode():
        raise SignatureError(f"{what} is not valid: it is by another key, or for another purpose")
    message = to_be_signed_by_ssh(envelope.type, mesh_id, envelope.payload)
    if not verify(sshsig.ed25519_key(key), made.covered(message), made.signature):
        raise SignatureError(f"{what} is not valid")
    if not made.user_present:
        raise SignatureError(
            f"{what} does not count: nobody touched the security key",
            remedy="make the key without the option no-touch-required",
        )


def _encode(
    object_type: ObjectType, payload: bytes, signatures: Sequence[tuple[bytes, bytes]]
) -> bytes:
    kids = [kid for kid, _ in signatures]
    if not 1 <= len(kids) <= SIGNATURES_MAX or len(set(kids)) != len(kids):
        raise LocalError(
            f"a {object_type} needs 1 to {SIGNATURES_MAX} signatures by distinct keys"
        )
    entries: list[Value] = [
        [_header_of(signature), {4: kid}, signature] for kid, signature in signatures
    ]
    raw = dumps([_BODY_HEADERS[object_type], {}, payload, entries])
    limit = ENVELOPE_BYTES_MAX[object_type]
    if len(raw) > limit:
        raise LocalError(f"{object_type} envelope of {len(raw)} bytes, at most {limit} allowed")
    return raw


def _header_of(signature: bytes) -> bytes:
    return _SIGNER_HEADER if len(signature) == SIGNATURE_BYTES else _SSHSIG_HEADER


def _key_pair(seed: bytes) -> tuple[bytes, bytes]:
    if len(seed) != SEED_BYTES:
        raise LocalError(f"a signing seed has {SEED_BYTES} bytes, not {len(seed)}")
    public, private = crypto_sign_seed_keypair(seed)
    return bytes(public), bytes(private)


def _name(envelope: Envelope) -> str:
    return f"{envelope.type} {_short(envelope.id)}"


def _short(identifier: bytes) -> str:
    return identifier.hex()[:16]
