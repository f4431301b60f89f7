"""SSHSIG blobs and SSH keys: what ssh-keygen writes is read, and nothing else."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import sshsig
from crypto.errors import ObjectError
from crypto.signing import public_key, verify
from tests import sshkeys
from tests.crypto.samples import ADMINS
from tests.sshkeys import PLAIN, SECURITY, SoftKey, armoured, string

MESSAGE = b"what is signed"
NAMESPACE = "hedgerow-head"
SEED = ADMINS[0]
KEY = SoftKey(SEED)
TOKEN = SoftKey(SEED, "ssh:")
KINDS = [KEY, TOKEN, SoftKey(SEED, "ssh:hedgerow", flags=5, counter=2**32 - 1)]

# Made by OpenSSH 9.2: `printf "what is signed" | ssh-keygen -Y sign -n hedgerow-head -f key`.
OPENSSH_LINE = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII4uv9+aHu6pA+O9W/Le7oPwWEeGeZvmcTSdKE3bu5Bp me\n"
)
OPENSSH_SIGNATURE = b"""\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgji6/35oe7qkD471b8t7ug/BYR4
Z5m+ZxNJ0oTdu7kGkAAAANaGVkZ2Vyb3ctaGVhZAAAAAAAAAAGc2hhNTEyAAAAUwAAAAtz
c2gtZWQyNTUxOQAAAECszBInQI9ahq5KTa9397ghlkSdsR3kbnPQvrBKeayV8NwjhCBRau
ZDKVhXc0w+RUY5aoPoOXU4cmRIm7teZxMC
-----END SSH SIGNATURE-----
"""


def is_signature(blob: bytes, message: bytes) -> bool:
    """Say whether `blob` is a signature of `message` by the key it names."""
    made = sshsig.parse(blob)
    return verify(sshsig.ed25519_key(made.key), made.covered(message), made.signature)


# --- what OpenSSH makes ---


def test_a_signature_by_openssh_is_read() -> None:
    """A signature that OpenSSH made verifies, under the key of its .pub line."""
    made = sshsig.parse(sshsig.unarmour(OPENSSH_SIGNATURE))
    assert made.key == sshsig.parse_public_line(OPENSSH_LINE)
    assert (made.namespace, made.hash_name) == (b"hedgerow-head", b"sha512")
    assert (made.flags, made.counter, made.user_present) == (None, None, True)
    assert verify(made.key, made.covered(MESSAGE), made.signature)
    assert not verify(made.key, made.covered(MESSAGE + b"\n"), made.signature)


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_now_verifies(tmp_path: Path, hash_name: str) -> None:
    """The installed ssh-keygen signs with either hash, and we read exactly that."""
    sshkeys.require()
    public = sshkeys.make(tmp_path / "key")
    sign = ("-q", "-Y", "sign", "-n", NAMESPACE, "-f", public, "-O", f"hashalg={hash_name}")
    blob = sshsig.unarmour(sshkeys.keygen(*sign, data=MESSAGE).stdout)
    made = sshsig.parse(blob)
    assert made.key == sshsig.parse_public_line(public.read_text())
    assert made.hash_name == hash_name.encode()
    assert is_signature(blob, MESSAGE)


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_ssh_keygen_takes_what_the_software_keys_make(
    tmp_path: Path, key: SoftKey, hash_name: str
) -> None:
    """OpenSSH itself verifies the signatures of the tests' keys, security keys among them."""
    sshkeys.require()
    blob = key.sshsig(NAMESPACE, MESSAGE, hash_name=hash_name)
    (tmp_path / "sig").write_bytes(armoured(blob))
    check = ("-Y", "check-novalidate", "-n", NAMESPACE, "-s", tmp_path / "sig")
    assert sshkeys.keygen(*check, data=MESSAGE).returncode == 0
    assert sshkeys.keygen(*check, data=b"else").returncode != 0
    assert is_signature(blob, MESSAGE)


# --- signatures ---


@pytest.mark.parametrize("key", KINDS)
def test_a_signature_says_who_and_how(key: SoftKey) -> None:
    """Key, namespace, hash, flags and counter come out as they went in."""
    made = sshsig.parse(key.sshsig(NAMESPACE, MESSAGE, hash_name="sha256"))
    assert (made.key, made.namespace, made.hash_name) == (key.public, b"hedgerow-head", b"sha256")
    said = (None, None) if key.application is None else (key.flags, key.counter)
    assert (made.flags, made.counter) == said


def test_what_is_covered_is_the_documented_data() -> None:
    """Ed25519 signs what PROTOCOL.sshsig and PROTOCOL.u2f say, to the byte."""
    made = sshsig.parse(TOKEN.sshsig(NAMESPACE, MESSAGE, hash_name="sha256"))
    data = b"SSHSIG" + b"".join(
        map(string, (b"hedgerow-head", b"", b"sha256", sha256(MESSAGE).digest()))
    )
    plain = sshsig.parse(KEY.sshsig(NAMESPACE, MESSAGE, hash_name="sha256"))
    assert plain.covered(MESSAGE) == data
    assert made.covered(MESSAGE) == (
        sha256(b"ssh:").digest() + b"\x01" + b"\x00\x00\x00\x07" + sha256(data).digest()
    )


@pytest.mark.parametrize("flags", range(16))
def test_whether_a_security_key_was_touched_is_said(flags: int) -> None:
    """The lowest bit of the flags, and no other, says that somebody was there."""
    blob = SoftKey(SEED, "ssh:", flags).sshsig(NAMESPACE, MESSAGE)
    assert sshsig.parse(blob).user_present == (flags % 2 == 1)


@pytest.mark.parametrize("key", KINDS)
def test_a_change_of_any_byte_is_noticed(key: SoftKey) -> None:
    """Any bit flipped anywhere leaves no signature of the message by that key and purpose."""
    blob = key.sshsig(NAMESPACE, MESSAGE)
    good = sshsig.parse(blob)
    for bit in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            made = sshsig.parse(bytes(changed))
        except ObjectError:
            continue
        same = (made.key, made.namespace) == (good.key, good.namespace)
        assert not (same and is_signature(bytes(changed), MESSAGE)), f"bit {bit}"


@pytest.mark.parametrize("key", KINDS)
def test_only_the_whole_blob_is_one(key: SoftKey) -> None:
    """Cut off anywhere, or with something behind it, it is refused."""
    blob = key.sshsig(NAMESPACE, MESSAGE)
    for length in range(len(blob)):
        with pytest.raises(ObjectError, match=r"ssh (signature|key): it is cut off"):
            sshsig.parse(blob[:length])
    with pytest.raises(ObjectError, match="ssh signature: 1 bytes follow its end"):
        sshsig.parse(blob + b"\x00")


def parts(key: SoftKey) -> dict[str, bytes]:
    """Return the fields of a signature by name."""
    found = {
        "magic": b"SSHSIG",
        "version": (1).to_bytes(4, "big"),
        "key": string(key.wire),
        "namespace": string(b"hedgerow-head"),
        "reserved": string(b""),
        "hash": string(b"sha512"),
    }
    start = len(b"".join(found.values()))
    return found | {"signature": key.sshsig(NAMESPACE, MESSAGE)[start:]}


RSA = string(b"ssh-rsa") + string(b"\x01\x00\x01") + string(b"\x00" + b"\xc1" * 128)
INNER = string(PLAIN) + string(bytes(64))


@pytest.mark.parametrize(
    ("key", "changed", "message"),
    [
        (KEY, {"magic": b"SSHSIg"}, "does not begin as one of version 1"),
        (KEY, {"version": (0).to_bytes(4, "big")}, "does not begin as one of version 1"),
        (KEY, {"version": (2).to_bytes(4, "big")}, "does not begin as one of version 1"),
        (KEY, {"key": string(b"")}, "ssh key: it is cut off"),
        (KEY, {"key": string(RSA)}, "'ssh-rsa' is not an algorithm that signs here"),
        (KEY, {"key": string(KEY.wire + b"\x00")}, "ssh key: 1 bytes follow its end"),
        (KEY, {"key": string(TOKEN.wire)}, "its algorithm is not that of its key"),
        (TOKEN, {"key": string(KEY.wire)}, "its algorithm is not that of its key"),
        (KEY, {"reserved": string(b"\x00")}, "the reserved field is not empty"),
        (KEY, {"hash": string(b"sha1")}, "its hash is neither sha256 nor sha512"),
        (KEY, {"hash": string(b"")}, "its hash is neither sha256 nor sha512"),
        (KEY, {"hash": string(b"sha512\x00")}, "its hash is neither sha256 nor sha512"),
        (KEY, {"signature": string(INNER + b"\x00")}, "1 bytes follow its end"),
        (KEY, {"signature": string(INNER + b"\x01" + bytes(4))}, "5 bytes follow its end"),
        (KEY, {"signature": string(string(PLAIN) + string(bytes(63)))}, "64 bytes, not 63"),
        (KEY, {"signature": string(string(PLAIN) + string(bytes(65)))}, "64 bytes, not 65"),
        (KEY, {"signature": string(string(b"ssh-rsa") + string(bytes(64)))}, "algorithm is not"),
        (TOKEN, {"signature": string(string(SECURITY) + string(bytes(64)))}, "it is cut off"),
        (KEY, {"namespace": string(bytes(400))}, "bytes, at most 512 allowed"),
        (KEY, {"namespace": b"\xff\xff\xff\xff"}, "it is cut off"),
    ],
)
def test_each_field_has_one_form(key: SoftKey, changed: dict[str, bytes], message: str) -> None:
    """A field that is not as the format has it is refused, and named."""
    with pytest.raises(ObjectError, match=message):
        sshsig.parse(b"".join((parts(key) | changed).values()))


@pytest.mark.parametrize("key", KINDS)
def test_the_fields_together_are_a_signature(key: SoftKey) -> None:
    """Unchanged, the same fields make a signature, so each refusal above is for its change."""
    assert is_signature(b"".join(parts(key).values()), MESSAGE)


@given(st.binary(max_size=120))
def test_garbage_is_refused_and_nothing_worse(garbage: bytes) -> None:
    """Whatever follows a right beginning is refused with an error of ours."""
    for start in (b"", b"SSHSIG\x00\x00\x00\x01", b"SSHSIG\x00\x00\x00\x01" + string(KEY.wire)):
        with pytest.raises(ObjectError):
            sshsig.parse(start + garbage)


# --- armour ---


@pytest.mark.parametrize("key", KINDS)
def test_armour_comes_off(key: SoftKey) -> None:
    """With armour, with Windows' line ends in it, or without any: the same signature."""
    blob = key.sshsig(NAMESPACE, MESSAGE)
    text = armoured(blob)
    for form in (blob, text, text.rstrip(b"\n"), text.replace(b"\n", b"\r\n")):
        assert sshsig.unarmour(form) == blob


GOOD = armoured(KEY.sshsig(NAMESPACE, MESSAGE))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither the armour nor"),
        (GOOD[1:], "neither the armour nor"),
        (b"\n" + GOOD, "neither the armour nor"),
        (GOOD + b"\n", "neither the armour nor"),
        (GOOD + GOOD, "neither the armour nor"),
        (GOOD.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"), "neither the armour nor"),
        (GOOD.replace(b"U1NIU0lH", b"U1NIU0l "), "neither the armour nor"),
        (GOOD.replace(b"U1NIU0lH", b"U1NIU0l!"), "neither the armour nor"),
        (GOOD.replace(b"-----END", b"\n-----END"), "neither the armour nor"),
        (GOOD.replace(b"U1NIU0lH", b"U1NI=0lH"), "its armour is damaged"),
        (GOOD.replace(b"U1NIU0lH", b"U1NIU0l"), "its armour is damaged"),
        (b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 2_000, "neither the armour nor"),
    ],
)
def test_damaged_armour_is_refused(data: bytes, message: str) -> None:
    """Anything before, behind or between is refused, and so is base64 that is not canonical."""
    with pytest.raises(ObjectError, match=message):
        sshsig.unarmour(data)


def test_armour_has_one_base64_for_a_signature() -> None:
    """Unused bits at the end of the base64 have to be zero."""
    text = armoured(b"SSHSIG12")
    assert sshsig.unarmour(text) == b"SSHSIG12"
    with pytest.raises(ObjectError, match="its armour is damaged"):
        sshsig.unarmour(text.replace(b"MTI=", b"MTJ="))


# --- keys ---


@pytest.mark.parametrize("key", KINDS)
def test_a_public_line_is_read(key: SoftKey) -> None:
    """The line of a .pub file gives the key as roles name it, whatever its comment."""
    expected = key.public
    for line in (key.line, key.line.split(" somebody")[0], f"  {key.line}"):
        assert sshsig.parse_public_line(line) == expected
    assert sshsig.wire_key(expected) == key.wire
    assert sshsig.ed25519_key(expected) == public_key(SEED)
    assert sshsig.application(expected) == key.application


def test_a_plain_key_is_its_32_bytes_and_a_security_key_is_not() -> None:
    """A key in ssh-agent is the same key as in a key file; a security key never is."""
    assert KEY.public == public_key(SEED)
    assert TOKEN.public == TOKEN.wire
    assert len({KEY.public, TOKEN.public, SoftKey(SEED, "ssh:hedgerow").public}) == 3


def line(algorithm: bytes, blob: bytes) -> str:
    """Return a public line."""
    return f"{algorithm.decode()} {base64.b64encode(blob).decode()} comment"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one line with an algorithm and a key"),
        ("ssh-ed25519", "one line with an algorithm and a key"),
        (KEY.line + TOKEN.line, "one line with an algorithm and a key"),
        (KEY.line + "x" * 4_096, "one line with an algorithm and a key"),
        ("ssh-ed25519 AAAA!", "its second word is not base64"),
        ("ssh-ed25519 ÄÄÄÄ", "its second word is not base64"),
        ("restrict " + KEY.line, "its second word is not base64"),
        ("ssh-ed25519 AAAA", "it is cut off"),
        (line(b"ssh-rsa", RSA), "'ssh-rsa' is not an algorithm that signs here"),
        (line(PLAIN, TOKEN.wire), "its first word is not the algorithm of its second"),
        (line(SECURITY, KEY.wire), "its first word is not the algorithm of its second"),
        (line(PLAIN, KEY.wire + b"\x00"), "1 bytes follow its end"),
        (line(SECURITY, TOKEN.wire + b"\x00"), "1 bytes follow its end"),
        (line(PLAIN, string(PLAIN) + string(bytes(31))), "32 bytes were expected, not 31"),
    ],
)
def test_other_lines_are_refused(text: str, message: str) -> None:
    """Other algorithms, several lines, options in front and damage are refused, and named."""
    with pytest.raises(ObjectError, match=message):
        sshsig.parse_public_line(text)


@pytest.mark.parametrize(
    "application", ["", "ssh", "example.com", "https://x", "ssh:a b", "ssh:\n", "ssh:" + "a" * 61]
)
def test_keys_of_web_pages_are_no_keys_here(application: str) -> None:
    """Only applications that ssh-keygen makes, short and printable, are those of an admin."""
    with pytest.raises(ObjectError, match="its application does not begin with 'ssh:' or"):
        sshsig.security_key(public_key(SEED), application)


def test_the_longest_application_signs() -> None:
    """The longest application there may be leaves room for the longest namespace."""
    key = SoftKey(SEED, "ssh:" + "a" * 60)
    assert is_signature(key.sshsig("hedgerow-device", MESSAGE), MESSAGE)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), KEY.wire, TOKEN.wire + b"\x00"])
def test_other_bytes_are_no_key(key: bytes) -> None:
    """A key has one form as bytes: a plain one is never written as SSH does."""
    for read in (sshsig.ed25519_key, sshsig.application):
        with pytest.raises(ObjectError, match="ssh key: "):
            read(key)
