"""Signatures: one verifier for everybody, and an envelope nobody can carry elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from crypto import signing
from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, LocalError, ObjectError, PeerError, SignatureError
from crypto.signing import (
    ENVELOPE_BYTES_MAX,
    HEAD_PAYLOAD_BYTES_MAX,
    SIGNATURES_MAX,
    ObjectType,
    append_signature,
    body_header,
    decode,
    is_valid_key,
    key_id,
    object_id,
    public_key,
    seal,
    sign,
    signers,
    to_be_signed,
    verify,
)
from tests.crypto import samples
from tests.crypto.samples import ADMINS, MESH_ID, OTHER_MESH_ID, sealed, signer_keys

TYPES = list(ObjectType)
SUBGROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
SIGNER_HEADER = dumps({1: -8})
PAYLOAD = b"payload"


def load(path: Path) -> Any:  # noqa: ANN401 - published JSON of many shapes
    """Return a JSON file's content."""
    return json.loads(path.read_text())


def items(raw: bytes) -> list[Any]:
    """Return the four items of an envelope."""
    value = loads(raw, max_bytes=10**6)
    assert isinstance(value, list)
    return value


def entry(seed: bytes, message: bytes = b"") -> Value:
    """Return the wire form of one signature."""
    return [SIGNER_HEADER, {4: key_id(public_key(seed))}, sign(seed, message)]


# --- the verifier ---


def test_t23_cctv_leaves_exactly_one_of_914(vectors: Path) -> None:
    """Of the 914 edge cases on which verifiers differ, our rule takes exactly one."""
    cases = load(vectors / "cctv" / "ed25519vectors.json")
    taken = [
        case["number"]
        for case in cases
        if verify(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
    ]
    assert (len(cases), len(taken)) == (914, 1)


def test_t23_cctv_takes_only_what_has_no_flag(vectors: Path) -> None:
    """The one edge case taken is the one without anything unusual in it."""
    for case in load(vectors / "cctv" / "ed25519vectors.json"):
        verdict = verify(
            bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"])
        )
        assert verdict == (not case["flags"]), case["number"]


def test_t23_speccheck_verdicts(vectors: Path) -> None:
    """Of the 12 ambiguities of the RFC none is taken: each has small order or S >= L in it."""
    cases = load(vectors / "speccheck" / "cases.json")
    verdicts = [
        verify(
            bytes.fromhex(case["pub_key"]),
            bytes.fromhex(case["message"]),
            bytes.fromhex(case["signature"]),
        )
        for case in cases
    ]
    assert verdicts == [False] * 12


def test_t23_wycheproof_ed25519_as_expected(vectors: Path) -> None:
    """All 151 Wycheproof cases are judged as that suite says."""
    count = 0
    for group in load(vectors / "wycheproof" / "ed25519_test.json")["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            verdict = verify(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert verdict == (case["result"] == "valid"), case["tcId"]
            count += 1
    assert count == 151


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_t23_a_key_of_another_length_verifies_nothing(length: int) -> None:
    """A key that has not 32 bytes is refused without an exception."""
    assert not verify(bytes(length), b"m", sign(ADMINS[0], b"m"))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_t23_a_signature_of_another_length_is_none(length: int) -> None:
    """A signature that has not 64 bytes is refused without an exception."""
    assert not verify(public_key(ADMINS[0]), b"m", (sign(ADMINS[0], b"m") * 2)[:length])


def test_t23_adding_the_group_order_to_s_is_refused() -> None:
    """S + L, which satisfies the equation as well, is no signature."""
    signature = sign(ADMINS[0], b"m")
    scalar = int.from_bytes(signature[32:], "little") + SUBGROUP_ORDER
    malleated = signature[:32] + scalar.to_bytes(32, "little")
    assert verify(public_key(ADMINS[0]), b"m", signature)
    assert not verify(public_key(ADMINS[0]), b"m", malleated)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_t23_verify_never_raises(key: bytes, message: bytes, signature: bytes) -> None:
    """Whatever bytes come, the answer is no and not an exception."""
    assert verify(key, message, signature) is False


@given(st.binary(max_size=200), st.integers(0, 511))
def test_a_signature_is_for_its_message_and_bits_alone(message: bytes, bit: int) -> None:
    """A signature verifies; with one bit changed, or for a longer message, it does not."""
    key, signature = public_key(ADMINS[0]), sign(ADMINS[0], message)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert verify(key, message, signature)
    assert not verify(key, message, bytes(changed))
    assert not verify(key, message + b"\x00", signature)
    assert not verify(public_key(ADMINS[1]), message, signature)


def test_rfc_8032_test_1() -> None:
    """The first example of RFC 8032 section 7.1 comes out to the byte."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(seed).hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert sign(seed, b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


@pytest.mark.parametrize("make", [public_key, lambda seed: sign(seed, b"m")])
def test_a_seed_of_another_length_is_our_mistake(make: Callable[[bytes], bytes]) -> None:
    """Signing with a seed that has not 32 bytes is refused, and the message counts them."""
    with pytest.raises(LocalError, match="a signing seed has 32 bytes, not 31"):
        make(bytes(31))


def test_the_cache_of_keys_is_bounded() -> None:
    """Verdicts on keys are kept for a named number of keys, not for all ever seen."""
    assert is_valid_key.cache_info().maxsize == signing.KEYS_CACHED_MAX


# --- the COSE profile ---


def test_cose_example_eddsa_01_reads_by_our_rules(vectors: Path) -> None:
    """The working group's COSE_Sign example has our layout, signed bytes and signer header."""
    example = load(vectors / "cose" / "eddsa-01.json")
    tagged = bytes.fromhex(example["output"]["cbor"])
    assert tagged[:2] == b"\xd8\x62"
    body, unprotected, payload, [[header, kid, signature]] = items(tagged[2:])
    message = dumps(["Signature", body, header, b"", payload])
    signer = example["input"]["sign"]["signers"][0]["key"]
    assert (unprotected, header, kid) == ({}, SIGNER_HEADER, {4: b"11"})
    assert message.hex() == example["intermediates"]["signers"][0]["ToBeSign_hex"].lower()
    assert verify(bytes.fromhex(signer["x_hex"]), message, signature)
    assert sign(bytes.fromhex(signer["d_hex"]), message) == signature


def test_cose_example_eddsa_sig_01_verifies(vectors: Path) -> None:
    """The working group's COSE_Sign1 signature is good for the verifier too."""
    example = load(vectors / "cose" / "eddsa-sig-01.json")
    signature = bytes.fromhex(example["output"]["cbor"])[-64:]
    key = bytes.fromhex(example["input"]["sign0"]["key"]["x_hex"])
    assert verify(key, bytes.fromhex(example["intermediates"]["ToBeSign_hex"]), signature)


@pytest.mark.parametrize("name", ["eddsa-02", "eddsa-sig-02"])
def test_cose_examples_of_ed448_are_refused(vectors: Path, name: str) -> None:
    """A signature by the other EdDSA curve is none here, and no envelope of ours."""
    example = load(vectors / "cose" / f"{name}.json")
    raw = bytes.fromhex(example["output"]["cbor"])
    key = example["input"].get("sign0") or example["input"]["sign"]["signers"][0]
    assert not verify(bytes.fromhex(key["key"]["x_hex"]), b"", raw[-114:])
    with pytest.raises(ObjectError, match="not an envelope of a known type"):
        decode(raw)


@pytest.mark.parametrize("object_type", TYPES)
def test_an_envelope_is_the_documented_array(object_type: ObjectType) -> None:
    """On the wire an envelope is exactly the array the module describes."""
    payload = samples.OBJECTS[object_type].to_payload()
    message = dumps(
        ["Signature", dumps({16: f"hedgerow/{object_type}"}), SIGNER_HEADER, MESH_ID, payload]
    )
    signatures = [entry(seed, message) for seed in samples.SIGNERS[object_type]]
    expected = dumps([dumps({16: f"hedgerow/{object_type}"}), {}, payload, signatures])
    assert sealed(object_type) == expected


@pytest.mark.parametrize("object_type", TYPES)
def test_a_sealed_object_comes_back_with_its_signers(object_type: ObjectType) -> None:
    """Decoding what was sealed gives type, payload, id and raw bytes, and all signers."""
    raw, payload = sealed(object_type), samples.OBJECTS[object_type].to_payload()
    envelope = decode(raw)
    assert (envelope.type, envelope.payload, envelope.raw) == (object_type, payload, raw)
    assert envelope.id == object_id(payload)
    keys = signer_keys(object_type)
    assert signers(envelope, MESH_ID, keys) == frozenset(keys)


def test_key_ids_differ_from_keys_and_from_hashes() -> None:
    """A key id is a hash with its own context, so it cannot be taken for anything else."""
    key = public_key(ADMINS[0])
    assert key_id(key) not in {key, object_id(key)}
    assert key_id(key) == sha256(b"hedgerow-kid" + b"\x27" + key).digest()


def test_the_mesh_id_is_that_of_root_version_1() -> None:
    """The first root is signed under its own hash as mesh id."""
    envelope = decode(sealed(ObjectType.ROOT))
    assert signers(envelope, envelope.id, signer_keys(ObjectType.ROOT))


def test_only_given_keys_count_and_all_are_named() -> None:
    """The result is the signing keys among those given, not those that merely could sign."""
    raw = seal(ObjectType.HEAD, MESH_ID, PAYLOAD, ADMINS[:2])
    keys = list(map(public_key, ADMINS))
    assert signers(decode(raw), MESH_ID, keys) == frozenset(keys[:2])


# --- attacks ---


@pytest.mark.parametrize("object_type", TYPES)
def test_t02_a_flipped_bit_anywhere_is_rejected(object_type: ObjectType) -> None:
    """A bit flipped in any byte of any envelope is refused by decoding or by verification."""
    raw, keys = sealed(object_type), signer_keys(object_type)
    for index in range(len(raw)):
        flipped = bytearray(raw)
        flipped[index] ^= 1 << index % 8
        with pytest.raises(PeerError):
            signers(decode(bytes(flipped)), MESH_ID, keys)


@given(st.integers(0), st.integers(1, 255))
def test_t02_any_change_of_a_byte_is_rejected(position: int, change: int) -> None:
    """Any other value in any byte of a member record is refused."""
    raw = bytearray(sealed(ObjectType.MEMBER))
    raw[position % len(raw)] ^= change
    with pytest.raises(PeerError):
        signers(decode(bytes(raw)), MESH_ID, signer_keys(ObjectType.MEMBER))


@given(st.integers(0))
def test_t02_any_truncation_is_rejected(position: int) -> None:
    """A part of an envelope is no envelope."""
    raw = sealed(ObjectType.DEVICE)
    with pytest.raises(PeerError):
        decode(raw[: position % len(raw)])


@pytest.mark.parametrize("claimed", TYPES)
@pytest.mark.parametrize("signed", TYPES)
def test_t03_a_payload_cannot_change_its_type(signed: ObjectType, claimed: ObjectType) -> None:
    """Signatures of one type in an envelope of another are not valid, whatever the payload."""
    _, _, payload, signatures = items(sealed(signed))
    forged = dumps([body_header(claimed), {}, payload, signatures])
    if claimed is signed:
        assert forged == sealed(signed)
    else:
        with pytest.raises(PeerError, match=r"is not valid|at most"):
            signers(decode(forged), MESH_ID, signer_keys(signed))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        dumps({}),
        dumps({1: -8}),
        dumps({16: "hedgerow/policy"}),
        dumps({16: "hedgerow/head", 17: 0}),
        dumps({1: -8, 16: "hedgerow/head"}),
        b"\xa1\x18\x10\x6dhedgerow/head",
    ],
)
def test_t03_the_protected_header_is_compared_by_bytes(header: bytes) -> None:
    """A header that is not byte for byte ours is refused before anything else."""
    _, _, payload, signatures = items(sealed(ObjectType.HEAD))
    with pytest.raises(ObjectError, match="the protected header is none of ours"):
        decode(dumps([header, {}, payload, signatures]))


@pytest.mark.parametrize("object_type", TYPES)
def test_t04_an_object_of_another_mesh_is_rejected(object_type: ObjectType) -> None:
    """The same keys' signatures for one mesh are not valid in another."""
    envelope = decode(sealed(object_type))
    with pytest.raises(SignatureError, match=f"{object_type} .* is not valid"):
        signers(envelope, OTHER_MESH_ID, signer_keys(object_type))


def test_t13_two_signatures_by_one_key_are_rejected() -> None:
    """A key that signs twice counts not twice, and not once: the object is refused."""
    _, _, payload, signatures = items(sealed(ObjectType.HEAD))
    doubled = dumps([body_header(ObjectType.HEAD), {}, payload, [signatures[0], signatures[0]]])
    with pytest.raises(SignatureError, match="carries two signatures by"):
        signers(decode(doubled), MESH_ID, signer_keys(ObjectType.HEAD))


def test_t13_a_signature_by_an_unknown_key_is_rejected() -> None:
    """One signature by a key nobody named spoils the object, however many good ones it has."""
    raw = append_signature(sealed(ObjectType.HEAD), MESH_ID, samples.REVOKER)
    with pytest.raises(SignatureError, match="is signed by an unknown key"):
        signers(decode(raw), MESH_ID, signer_keys(ObjectType.HEAD))


def test_t13_one_bad_signature_spoils_the_good_ones() -> None:
    """A wrong signature under a known key id refuses the object even above the threshold."""
    _, _, payload, signatures = items(sealed(ObjectType.HEAD))
    signatures[2][2] = signatures[1][2]
    raw = dumps([body_header(ObjectType.HEAD), {}, payload, signatures])
    with pytest.raises(SignatureError, match=r"head [0-9a-f]{16}: the signature by .* not valid"):
        signers(decode(raw), MESH_ID, signer_keys(ObjectType.HEAD))


def test_t24_another_valid_signature_leaves_the_id() -> None:
    """The same payload under another valid signature of the same key is the same object."""
    payload = samples.OBJECTS[ObjectType.DEVICE].to_payload()
    message = to_be_signed(ObjectType.DEVICE, MESH_ID, payload)
    again: Value = [
        SIGNER_HEADER,
        {4: key_id(public_key(samples.TICKET))},
        sign_otherwise(message),
    ]
    one = decode(sealed(ObjectType.DEVICE))
    other = decode(dumps([body_header(ObjectType.DEVICE), {}, payload, [again]]))
    assert signers(one, MESH_ID, signer_keys(ObjectType.DEVICE))
    assert signers(other, MESH_ID, signer_keys(ObjectType.DEVICE))
    assert one.raw != other.raw
    assert one.id == other.id


def sign_otherwise(message: bytes) -> bytes:
    """Sign with the ticket's key but another nonce than RFC 8032 prescribes."""
    digest = bytearray(sha512(samples.TICKET).digest()[:32])
    digest[0] &= 0xF8
    digest[31] = digest[31] & 0x3F | 0x40
    nonce = 12_345
    point = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    challenge = sha512(point + public_key(samples.TICKET) + message).digest()
    scalar = nonce + int.from_bytes(challenge, "little") * int.from_bytes(digest, "little")
    return bytes(point) + (scalar % SUBGROUP_ORDER).to_bytes(32, "little")


# --- decoding ---


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x84",
        b"\xf6",
        dumps([]),
        dumps(["Signature", {}, b"", []]),
        b"\xd8\x62" + sealed(ObjectType.MEMBER),
    ],
)
def test_what_does_not_begin_like_an_envelope_is_none(raw: bytes) -> None:
    """Bytes without one of our headers in front are refused, a COSE tag included."""
    with pytest.raises(ObjectError, match="not an envelope of a known type"):
        decode(raw)


@pytest.mark.parametrize(
    ("payload", "signatures"), [("text", [entry(ADMINS[0])]), (PAYLOAD, {}), (None, []), (b"", 0)]
)
def test_payload_and_signatures_have_their_types(payload: Value, signatures: Value) -> None:
    """A payload that is no bytes, or signatures that are no array, are refused."""
    with pytest.raises(ObjectError, match="member envelope without payload bytes and signatures"):
        decode(dumps([body_header(ObjectType.MEMBER), {}, payload, signatures]))


def test_an_unprotected_header_of_the_body_is_refused() -> None:
    """There is no place in the body where a carrier could write something."""
    _, _, payload, signatures = items(sealed(ObjectType.MEMBER))
    with pytest.raises(ObjectError, match="the protected header is none of ours"):
        decode(dumps([body_header(ObjectType.MEMBER), {99: b""}, payload, signatures]))


KID = key_id(public_key(ADMINS[0]))
SIGNATURE = sign(ADMINS[0], PAYLOAD)


@pytest.mark.parametrize(
    "signature",
    [
        [],
        b"",
        [SIGNER_HEADER, {4: KID}],
        [SIGNER_HEADER, {4: KID}, SIGNATURE, b""],
        [dumps({1: -7}), {4: KID}, SIGNATURE],
        [b"", {4: KID}, SIGNATURE],
        [SIGNER_HEADER, {}, SIGNATURE],
        [SIGNER_HEADER, [KID], SIGNATURE],
        [SIGNER_HEADER, {4: KID, 5: b""}, SIGNATURE],
        [SIGNER_HEADER, {5: KID}, SIGNATURE],
        [SIGNER_HEADER, {"4": KID}, SIGNATURE],
        [SIGNER_HEADER, {4: KID[:-1]}, SIGNATURE],
        [SIGNER_HEADER, {4: "kid"}, SIGNATURE],
        [SIGNER_HEADER, {4: KID}, SIGNATURE[:-1]],
        [SIGNER_HEADER, {4: KID}, SIGNATURE + b"\x00"],
        [SIGNER_HEADER, {4: KID}, "signature"],
    ],
)
def test_a_signature_entry_has_one_form(signature: Value) -> None:
    """Any other header, algorithm, length or addition in a signature entry is refused."""
    good = entry(ADMINS[1])
    with pytest.raises(ObjectError, match="member envelope: signature 1 is not in the EdDSA"):
        decode(dumps([body_header(ObjectType.MEMBER), {}, PAYLOAD, [good, signature]]))


@pytest.mark.parametrize("count", [0, SIGNATURES_MAX + 1])
def test_the_number_of_signatures_is_bounded(count: int) -> None:
    """No signature, and more than 32, are refused before any is looked at."""
    raw = dumps([body_header(ObjectType.ROOT), {}, PAYLOAD, [entry(ADMINS[0])] * count])
    with pytest.raises(ObjectError, match=f"{count} signatures, expected 1 to 32"):
        decode(raw)


def test_as_many_signatures_as_allowed_are_read() -> None:
    """Thirty-two signatures are read and verified."""
    seeds = [samples.seed(str(number)) for number in range(SIGNATURES_MAX)]
    envelope = decode(seal(ObjectType.ROOT, MESH_ID, PAYLOAD, seeds))
    keys = frozenset(map(public_key, seeds))
    assert signers(envelope, MESH_ID, keys) == keys


@pytest.mark.parametrize("object_type", TYPES)
def test_each_type_has_its_cap(object_type: ObjectType) -> None:
    """An envelope one byte above its type's cap is refused for its length."""
    cap = ENVELOPE_BYTES_MAX[object_type]
    raw = (dumps([body_header(object_type), {}]) + bytes(cap))[: cap + 1]
    raw = b"\x84" + raw[1:]
    with pytest.raises(ObjectError, match=f"{object_type} .* {cap + 1} bytes, at most {cap}"):
        decode(raw)


def test_an_envelope_of_just_its_cap_is_read() -> None:
    """A leave envelope of exactly 4,096 bytes is read."""
    overhead = len(seal(ObjectType.LEAVE, MESH_ID, bytes(3_000), [ADMINS[0]])) - 3_000
    raw = seal(ObjectType.LEAVE, MESH_ID, bytes(4_096 - overhead), [ADMINS[0]])
    assert len(decode(raw).raw) == 4_096


def test_a_head_payload_has_to_fit_one_code() -> None:
    """A head payload of 1,024 bytes is read, one of 1,025 refused with a remedy."""
    fits = seal(ObjectType.HEAD, MESH_ID, bytes(HEAD_PAYLOAD_BYTES_MAX), [ADMINS[0]])
    assert len(decode(fits).payload) == HEAD_PAYLOAD_BYTES_MAX
    long = seal(ObjectType.HEAD, MESH_ID, bytes(HEAD_PAYLOAD_BYTES_MAX + 1), [ADMINS[0]])
    with pytest.raises(ObjectError, match="head payload of 1025 bytes, at most 1024") as caught:
        decode(long)
    assert "QR code" in caught.value.remedy


def test_bytes_behind_an_envelope_are_refused() -> None:
    """An envelope with anything behind it is not in the profile."""
    with pytest.raises(CodecError, match="1 bytes behind the value"):
        decode(sealed(ObjectType.MEMBER) + b"\x00")


@given(st.binary(max_size=80))
def test_garbage_behind_a_good_beginning_is_a_peer_error(garbage: bytes) -> None:
    """Whatever follows a right beginning, the outcome is an envelope or a PeerError."""
    raw = sealed(ObjectType.REVOKE)[:24] + garbage
    try:
        envelope = decode(raw)
    except PeerError:
        return
    assert envelope.raw == raw


def test_repr_of_an_envelope_leaves_the_raw_bytes_out() -> None:
    """Printing an envelope does not print its content twice."""
    envelope = decode(sealed(ObjectType.LEAVE))
    assert "raw" not in repr(envelope)


# --- sealing ---


def test_a_cosigner_appends_to_what_it_was_given() -> None:
    """Signing one after the other gives the same envelope as signing at once."""
    one = seal(ObjectType.HEAD, MESH_ID, PAYLOAD, ADMINS[:1])
    two = append_signature(one, MESH_ID, ADMINS[1])
    assert two == seal(ObjectType.HEAD, MESH_ID, PAYLOAD, ADMINS[:2])


def test_signing_twice_is_our_mistake() -> None:
    """A key cannot be appended again, nor be given twice at once."""
    with pytest.raises(LocalError, match="signatures by distinct keys"):
        append_signature(sealed(ObjectType.HEAD), MESH_ID, ADMINS[0])
    with pytest.raises(LocalError, match="signatures by distinct keys"):
        seal(ObjectType.HEAD, MESH_ID, PAYLOAD, [ADMINS[0], ADMINS[0]])


@pytest.mark.parametrize("count", [0, SIGNATURES_MAX + 1])
def test_sealing_keeps_the_number_of_signatures(count: int) -> None:
    """No signer, and more than 32, are refused when sealing too."""
    seeds = [samples.seed(str(number)) for number in range(count)]
    with pytest.raises(LocalError, match="a root needs 1 to 32 signatures"):
        seal(ObjectType.ROOT, MESH_ID, PAYLOAD, seeds)


def test_sealing_keeps_the_cap() -> None:
    """What nobody would read is not sealed."""
    with pytest.raises(LocalError, match=re.escape("member envelope of 4228 bytes, at most 4096")):
        seal(ObjectType.MEMBER, MESH_ID, bytes(4_096), [ADMINS[0]])


def test_appending_needs_an_envelope() -> None:
    """Appending a signature to something else is refused like decoding it."""
    with pytest.raises(ObjectError, match="not an envelope"):
        append_signature(b"", MESH_ID, ADMINS[0])
