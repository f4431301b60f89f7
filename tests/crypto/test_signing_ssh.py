"""SSHSIG signatures in envelopes: as good as the raw ones, and no way to count twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from crypto import signing, sshsig
from crypto.clock import Interval
from crypto.codec import Value, dumps
from crypto.errors import LocalError, ObjectError, PeerError, SignatureError, ThresholdError
from crypto.objects import Revoke, RevokeKind, Role
from crypto.signing import (
    SSHSIG_TYPES,
    Envelope,
    ObjectType,
    append,
    append_signature,
    assemble,
    body_header,
    decode,
    is_valid_admin_key,
    key_id,
    object_id,
    public_key,
    seal,
    sign,
    signers,
    ssh_namespace,
    to_be_signed,
    to_be_signed_by_ssh,
)
from crypto.trust import Trust
from tests import sshkeys
from tests.crypto.samples import (
    ADMINS,
    HEAD,
    ISSUED,
    MESH_ID,
    OBJECTS,
    OTHER_MESH_ID,
    ROOT,
    seed,
)
from tests.sshkeys import SoftKey

TYPES = sorted(SSHSIG_TYPES)
PLAIN = SoftKey(seed("ssh"))
TOKEN = SoftKey(seed("token"), "ssh:")
KINDS = [PLAIN, TOKEN]
PAYLOAD = HEAD.to_payload()
SSH_HEADER = dumps({1: -65_537})
NOW = Interval.around(ISSUED + 60, 0.0)


def by(key: SoftKey, object_type: ObjectType = ObjectType.HEAD) -> bytes:
    """Return the sample of this type, signed by this key alone, with SSHSIG."""
    payload = OBJECTS[object_type].to_payload()
    return assemble(object_type, payload, [key.pair(object_type, MESH_ID, payload)])


def who(raw: bytes, *keys: bytes, mesh_id: bytes = MESH_ID) -> frozenset[bytes]:
    """Return who signed an envelope, of these keys or those of the soft ones."""
    return signers(decode(raw), mesh_id, keys or [key.public for key in KINDS])


# --- the form ---


@pytest.mark.parametrize("object_type", TYPES)
@pytest.mark.parametrize("key", KINDS)
def test_an_sshsig_signs_whatever_admins_sign(key: SoftKey, object_type: ObjectType) -> None:
    """Each type that a role signs takes SSHSIG, of plain keys and of security keys."""
    assert who(by(key, object_type)) == {key.public}


@pytest.mark.parametrize("key", KINDS)
def test_an_entry_is_the_documented_array(key: SoftKey) -> None:
    """On the wire such a signature is what the module describes, over what it describes."""
    body = dumps({16: "hedgerow/head"})
    message = dumps(["Signature", body, SSH_HEADER, MESH_ID, PAYLOAD])
    blob = key.sshsig("hedgerow-head", message)
    entry: Value = [SSH_HEADER, {4: key_id(key.public)}, blob]
    assert by(key) == dumps([body, {}, PAYLOAD, [entry]])
    assert message == to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    assert decode(by(key)).signatures == ((key_id(key.public), blob),)


def test_a_plain_key_has_one_id_in_both_forms() -> None:
    """A key in ssh-agent is filed under the id of its 32 bytes."""
    raw = seal(ObjectType.HEAD, MESH_ID, PAYLOAD, [PLAIN.seed])
    ((kid, _),) = decode(raw).signatures
    assert decode(by(PLAIN)).signatures[0][0] == kid == key_id(public_key(PLAIN.seed))


def test_forms_mix_in_one_envelope() -> None:
    """One holder signs with a key file, one with ssh-agent, one with a security key."""
    raw = seal(ObjectType.HEAD, MESH_ID, PAYLOAD, ADMINS[:1])
    for key in KINDS:
        raw = append(raw, *key.pair(ObjectType.HEAD, MESH_ID, PAYLOAD))
    raw = append_signature(raw, MESH_ID, ADMINS[1])
    keys = [public_key(ADMINS[0]), PLAIN.public, TOKEN.public, public_key(ADMINS[1])]
    assert who(raw, *keys) == frozenset(keys)


def test_an_envelope_by_openssh_verifies(tmp_path: Path) -> None:
    """What the installed ssh-keygen signs with a key file is good in an envelope."""
    sshkeys.require()
    public = sshkeys.make(tmp_path / "key")
    key = sshsig.parse_public_line(public.read_text())
    message = to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    made = sshkeys.keygen(
        "-q", "-Y", "sign", "-n", ssh_namespace(ObjectType.HEAD), "-f", public, data=message
    )
    raw = assemble(ObjectType.HEAD, PAYLOAD, [(key, sshsig.unarmour(made.stdout))])
    assert who(raw, key) == {key}


@pytest.mark.parametrize("object_type", sorted(set(ObjectType) - SSHSIG_TYPES))
def test_what_nodes_say_takes_no_sshsig(object_type: ObjectType) -> None:
    """A type that no admin signs is refused with such a signature, when made and when read."""
    with pytest.raises(LocalError, match=f"a {object_type} is not signed with ssh-keygen"):
        to_be_signed_by_ssh(object_type, MESH_ID, PAYLOAD)
    message = dumps(["Signature", body_header(object_type), SSH_HEADER, MESH_ID, b""])
    blob = PLAIN.sshsig(ssh_namespace(object_type), message)
    entry: Value = [SSH_HEADER, {4: key_id(PLAIN.public)}, blob]
    with pytest.raises(ObjectError, match="signature 0 is not in the EdDSA profile"):
        decode(dumps([body_header(object_type), {}, b"", [entry]]))


BLOB = PLAIN.pair(ObjectType.HEAD, MESH_ID, PAYLOAD)[1]
KID = key_id(PLAIN.public)


@pytest.mark.parametrize(
    "entry",
    [
        [dumps({1: -8}), {4: KID}, BLOB],
        [dumps({1: -65_538}), {4: KID}, BLOB],
        [dumps({1: -65_537, 2: []}), {4: KID}, BLOB],
        [SSH_HEADER, {4: KID}, sign(PLAIN.seed, PAYLOAD)],
        [SSH_HEADER, {4: KID}, b""],
        [SSH_HEADER, {4: KID}, BLOB + b"\x00"],
        [SSH_HEADER, {4: KID}, sshkeys.armoured(BLOB)],
        [SSH_HEADER, {4: KID, 5: b""}, BLOB],
        [SSH_HEADER, {4: KID[:-1]}, BLOB],
        [SSH_HEADER, {}, BLOB],
        [SSH_HEADER, {4: KID}, BLOB, b""],
    ],
)
def test_an_entry_has_one_form(entry: Value) -> None:
    """Header and signature have to be of one form, and nothing may be added to either."""
    with pytest.raises(ObjectError, match="signature"):
        decode(dumps([body_header(ObjectType.HEAD), {}, PAYLOAD, [entry]]))


# --- attacks ---


@pytest.mark.parametrize("key", KINDS)
def test_t02_a_flipped_bit_anywhere_is_rejected(key: SoftKey) -> None:
    """A bit flipped in any byte of the envelope is refused by decoding or by verification."""
    raw = by(key)
    for index in range(len(raw)):
        for bit in (index % 8, 0):
            flipped = bytearray(raw)
            flipped[index] ^= 1 << bit
            with pytest.raises(PeerError):
                who(bytes(flipped))


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("claimed", TYPES)
@pytest.mark.parametrize("signed", TYPES)
def test_t03_a_signature_is_for_one_type(
    key: SoftKey, signed: ObjectType, claimed: ObjectType
) -> None:
    """A signature of one type under the same payload of another is not valid."""
    raw = assemble(claimed, PAYLOAD, [key.pair(signed, MESH_ID, PAYLOAD)])
    if signed is claimed:
        assert who(raw) == {key.public}
    else:
        with pytest.raises(SignatureError, match="by another key, or for another purpose"):
            who(raw)


@pytest.mark.parametrize("namespace", ["", "git", "file", "hedgerow-root", "hedgerow-head "])
@pytest.mark.parametrize("key", KINDS)
def test_t03_another_namespace_is_refused(key: SoftKey, namespace: str) -> None:
    """What the key signed for something else does not count, were it the same bytes."""
    blob = key.sshsig(namespace, to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD))
    with pytest.raises(SignatureError, match="for another purpose"):
        who(assemble(ObjectType.HEAD, PAYLOAD, [(key.public, blob)]))


@pytest.mark.parametrize("key", KINDS)
def test_t03_the_message_of_one_form_is_none_of_the_other(key: SoftKey) -> None:
    """An SSHSIG over what a raw signature covers, or the other way round, is not valid."""
    blob = key.sshsig("hedgerow-head", to_be_signed(ObjectType.HEAD, MESH_ID, PAYLOAD))
    raw = sign(key.seed, to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD))
    for signature in (blob, raw):
        with pytest.raises(SignatureError, match="is not valid"):
            who(assemble(ObjectType.HEAD, PAYLOAD, [(key.public, signature)]))


@pytest.mark.parametrize("key", KINDS)
def test_t04_an_object_of_another_mesh_is_rejected(key: SoftKey) -> None:
    """The same key's signature for one mesh is not valid in another."""
    with pytest.raises(SignatureError, match="is not valid"):
        who(by(key), mesh_id=OTHER_MESH_ID)


def test_t13_raw_and_sshsig_by_one_key_are_rejected() -> None:
    """One key that signs in both forms counts not twice: the object is refused."""
    once = seal(ObjectType.HEAD, MESH_ID, PAYLOAD, ADMINS[:1])
    pair = SoftKey(ADMINS[0]).pair(ObjectType.HEAD, MESH_ID, PAYLOAD)
    with pytest.raises(LocalError, match="signatures by distinct keys"):
        append(once, *pair)
    entries: list[Value] = [
        [dumps({1: -8}), {4: key_id(pair[0])}, decode(once).signatures[0][1]],
        [SSH_HEADER, {4: key_id(pair[0])}, pair[1]],
    ]
    doubled = dumps([body_header(ObjectType.HEAD), {}, PAYLOAD, entries])
    with pytest.raises(SignatureError, match="carries two signatures by"):
        who(doubled, *map(public_key, ADMINS))


def test_t13_one_point_in_two_kinds_of_key_is_rejected() -> None:
    """Whoever holds a security key's secret in the open does not count twice by it."""
    open_key, token = SoftKey(seed("copied")), SoftKey(seed("copied"), "ssh:")
    raw = assemble(
        ObjectType.HEAD,
        PAYLOAD,
        [key.pair(ObjectType.HEAD, MESH_ID, PAYLOAD) for key in (open_key, token)],
    )
    with pytest.raises(SignatureError, match="carries two signatures by"):
        who(raw, open_key.public, token.public)
    with pytest.raises(ObjectError, match="role: keys has an entry twice"):
        Role(2, (open_key.public, token.public))
    with pytest.raises(ObjectError, match="role: keys has an entry twice"):
        Role(2, (token.public, SoftKey(seed("copied"), "ssh:other").public))


def test_a_security_key_is_no_raw_key() -> None:
    """Neither form of the plain key passes for the security key with the same point, nor back."""
    open_key, token = SoftKey(seed("copied")), SoftKey(seed("copied"), "ssh:")
    message = to_be_signed(ObjectType.HEAD, MESH_ID, PAYLOAD)
    for claimed, signature in (
        (token, sign(token.seed, message)),
        (token, open_key.pair(ObjectType.HEAD, MESH_ID, PAYLOAD)[1]),
        (open_key, token.pair(ObjectType.HEAD, MESH_ID, PAYLOAD)[1]),
        (token, SoftKey(token.seed, "ssh:other").pair(ObjectType.HEAD, MESH_ID, PAYLOAD)[1]),
    ):
        raw = assemble(ObjectType.HEAD, PAYLOAD, [(claimed.public, signature)])
        with pytest.raises(SignatureError, match="is not valid"):
            who(raw, claimed.public)


@pytest.mark.parametrize("flags", [0x00, 0x04, 0x80, 0xFE])
def test_a_signature_that_nobody_touched_the_key_for_is_refused(flags: int) -> None:
    """Without the user-present flag a valid signature of a security key does not count."""
    raw = by(replace(TOKEN, flags=flags))
    with pytest.raises(SignatureError, match="nobody touched the security key") as caught:
        who(raw)
    assert "no-touch-required" in caught.value.remedy


def test_a_flag_cannot_be_added() -> None:
    """Setting the flag in a signature made without it leaves no signature."""
    made = bytearray(by(TOKEN.untouched()))
    assert made[-5] == 0
    made[-5] = sshsig.USER_PRESENT
    with pytest.raises(SignatureError, match="is not valid"):
        who(bytes(made))


def test_a_valid_key_is_one_that_the_verifier_takes() -> None:
    """A security key with a point of small order, or bytes that are no key, hold no role."""
    weak = sshsig.security_key(b"\x01" + bytes(31), "ssh:")
    assert is_valid_admin_key(TOKEN.public)
    for key in (weak, b"", bytes(32), TOKEN.public[:-1], PLAIN.wire):
        assert not is_valid_admin_key(key)
        with pytest.raises(ObjectError, match="no valid Ed25519 public key"):
            Role(1, (key,))


def test_t24_another_form_leaves_the_id() -> None:
    """The same payload signed raw, with either hash, or again, is the same object."""
    message = to_be_signed_by_ssh(ObjectType.HEAD, MESH_ID, PAYLOAD)
    blobs = [PLAIN.sshsig("hedgerow-head", message, hash_name=h) for h in ("sha256", "sha512")]
    again = [replace(TOKEN, counter=counter) for counter in (1, 2)]
    raws = [
        seal(ObjectType.HEAD, MESH_ID, PAYLOAD, [PLAIN.seed]),
        *(assemble(ObjectType.HEAD, PAYLOAD, [(PLAIN.public, blob)]) for blob in blobs),
        *map(by, again),
    ]
    assert all(map(who, raws))
    assert len(set(raws)) == 5
    assert {decode(raw).id for raw in raws} == {object_id(PAYLOAD)}


# --- a mesh of such keys ---


@pytest.fixture
def mesh() -> tuple[Trust, bytes]:
    """A mesh whose holders are a key file, a key in ssh-agent and a security key; any two sign."""
    keys = (public_key(ADMINS[0]), PLAIN.public, TOKEN.public)
    two, one = Role(2, keys), Role(1, keys)
    roles = {"root": two, "policy": two, "registrar": one, "revoker": one}
    payload = replace(ROOT, roles=roles).to_payload()
    mesh_id = object_id(payload)
    pairs = [key.pair(ObjectType.ROOT, mesh_id, payload) for key in KINDS]
    return Trust(assemble(ObjectType.ROOT, payload, pairs)), mesh_id


def head(mesh_id: bytes, keys: Sequence[SoftKey], seeds: Sequence[bytes] = ()) -> bytes:
    """Return a head signed by these."""
    message = to_be_signed(ObjectType.HEAD, mesh_id, PAYLOAD)
    raw = [(public_key(each), sign(each, message)) for each in seeds]
    pairs = [key.pair(ObjectType.HEAD, mesh_id, PAYLOAD) for key in keys]
    return assemble(ObjectType.HEAD, PAYLOAD, [*raw, *pairs])


def test_a_mesh_may_be_founded_and_led_by_such_keys(mesh: tuple[Trust, bytes]) -> None:
    """A root with security keys comes back as it was, and any two holders sign a head."""
    trust, mesh_id = mesh
    assert TOKEN.public in trust.root.roles["policy"].keys
    assert trust.admit(head(mesh_id, [TOKEN], ADMINS[:1]), NOW).fresh
    assert not trust.admit(head(mesh_id, KINDS), NOW).fresh


@pytest.mark.parametrize("key", KINDS)
def test_t13_one_holder_is_not_two(mesh: tuple[Trust, bytes], key: SoftKey) -> None:
    """One signature of two, and one of two that nobody touched the key for, change nothing."""
    trust, mesh_id = mesh
    with pytest.raises(ThresholdError, match="signed by 1 of the 2 policy keys"):
        trust.admit(head(mesh_id, [key]), NOW)
    with pytest.raises(SignatureError, match="nobody touched the security key"):
        trust.admit(head(mesh_id, [TOKEN.untouched()], ADMINS[:1]), NOW)
    assert trust.candidate is None


def test_a_registrar_with_a_security_key_can_be_revoked(mesh: tuple[Trust, bytes]) -> None:
    """A revocation names such a registrar by its key, and is signed by another like it."""
    trust, mesh_id = mesh
    revoke = Revoke(RevokeKind.REGISTRAR, TOKEN.public, ISSUED + 30)
    assert Revoke.from_payload(revoke.to_payload()) == revoke
    payload = revoke.to_payload()
    pair = PLAIN.pair(ObjectType.REVOKE, mesh_id, payload)
    assert trust.admit(assemble(ObjectType.REVOKE, payload, [pair]), NOW).fresh
    assert trust.is_revoked(RevokeKind.REGISTRAR, TOKEN.public)
    assert not trust.is_revoked(RevokeKind.REGISTRAR, PLAIN.public)


@pytest.mark.parametrize("kind", [RevokeKind.DEVICE, RevokeKind.TICKET])
def test_only_a_registrar_may_be_a_security_key(kind: RevokeKind) -> None:
    """Devices and tickets are named by 32 bytes, and no other length passes for a registrar."""
    with pytest.raises(ObjectError, match="revoke: subject must have 32 bytes"):
        Revoke(kind, TOKEN.public, ISSUED)
    with pytest.raises(ObjectError, match="revoke: subject must have 32 bytes, not 73"):
        Revoke(RevokeKind.REGISTRAR, TOKEN.public[:-1], ISSUED)


def test_envelopes_keep_what_came() -> None:
    """The blob is kept and forwarded byte for byte, as OpenSSH's own tools could check it."""
    found: Envelope = decode(by(TOKEN))
    assert assemble(ObjectType.HEAD, found.payload, [(TOKEN.public, found.signatures[0][1])]) == (
        found.raw
    )
    assert sshsig.parse(found.signatures[0][1]).key == TOKEN.wire
    assert (
        signing.append(by(PLAIN), *TOKEN.pair(ObjectType.HEAD, MESH_ID, PAYLOAD)).count(b"SSHSIG")
        == 2
    )
