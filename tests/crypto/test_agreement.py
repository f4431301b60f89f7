"""Key agreement and packet encryption, against published vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from crypto import agreement
from crypto.agreement import (
    COUNTER_MAX,
    aead_open,
    aead_seal,
    hkdf,
    is_usable_public,
    x25519,
    x25519_public,
)
from crypto.errors import LocalError, ObjectError

KEY = bytes(range(32))
P = 2**255 - 19


def cases(vectors: Path, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield group and case of a Wycheproof file."""
    for group in json.loads((vectors / "wycheproof" / f"{name}_test.json").read_text())[
        "testGroups"
    ]:
        for case in group["tests"]:
            yield group, case


def test_wycheproof_x25519(vectors: Path) -> None:
    """All 518 cases give the shared secret, or are refused where it would be zero."""
    outcomes = [_agrees(case) for _, case in cases(vectors, "x25519")]
    assert outcomes == [True] * 518


def _agrees(case: dict[str, Any]) -> bool:
    private, public, shared = (
        bytes.fromhex(case[name]) for name in ("private", "public", "shared")
    )
    if shared == bytes(32):
        assert not is_usable_public(public)
        with pytest.raises(ObjectError, match="of small order or wrong length"):
            x25519(private, public)
        return True
    return x25519(private, public) == shared


@pytest.mark.parametrize("u", [0, 1, P - 1, P, P + 1])
@pytest.mark.parametrize("top_bit", [0, 2**255])
def test_points_of_small_order_are_refused_in_every_form(u: int, top_bit: int) -> None:
    """Bit 255, which X25519 ignores, does not hide a point of small order."""
    public = (u + top_bit).to_bytes(32, "little")
    assert not is_usable_public(public)
    with pytest.raises(ObjectError, match="small order"):
        x25519(KEY, public)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    """A peer's key that has not 32 bytes is the peer's fault."""
    with pytest.raises(ObjectError, match="wrong length"):
        x25519(KEY, bytes(length))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_both_sides_agree(one: bytes, other: bytes) -> None:
    """Two private keys and the public halves of each give one secret."""
    assert x25519(one, x25519_public(other)) == x25519(other, x25519_public(one))


@pytest.mark.parametrize(
    "use",
    [
        x25519_public,
        lambda key: x25519(key, x25519_public(KEY)),
        lambda key: aead_seal(key, 0, b"", b""),
        lambda key: aead_open(key, 0, bytes(16), b""),
    ],
)
def test_our_own_key_of_another_length_is_our_mistake(use: Callable[[bytes], object]) -> None:
    """A private or symmetric key that has not 32 bytes is refused and counted."""
    with pytest.raises(LocalError, match="a key of 32 bytes is needed, not of 31"):
        use(bytes(31))


def test_wycheproof_hkdf(vectors: Path) -> None:
    """All 86 cases give the key material, or are refused where too much is asked for."""
    count = 0
    for _, case in cases(vectors, "hkdf_sha256"):
        ikm, salt, info = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info"))
        if case["result"] == "valid":
            assert hkdf(ikm, salt, info, case["size"]).hex() == case["okm"]
        else:
            with pytest.raises(LocalError, match="HKDF gives 1 to 8160 bytes"):
                hkdf(ikm, salt, info, case["size"])
        count += 1
    assert count == 86


@pytest.mark.parametrize("length", [-1, 0, 8_161])
def test_hkdf_gives_no_more_than_it_can(length: int) -> None:
    """No bytes, or more than 255 hashes of them, are our mistake to ask for."""
    with pytest.raises(LocalError, match=f"not {length}"):
        hkdf(KEY, b"", b"", length)


def test_hkdf_gives_as_much_as_it_can() -> None:
    """The longest output is given, and begins like a shorter one."""
    longest = hkdf(KEY, b"salt", b"info", 8_160)
    assert len(longest) == 8_160
    assert longest.startswith(hkdf(KEY, b"salt", b"info", 100))


def test_wycheproof_chacha20_poly1305(vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases with our nonce length open and seal as that suite says."""
    count = 0
    for group, case in cases(vectors, "chacha20_poly1305"):
        if group["ivSize"] == 96:
            nonce = bytes.fromhex(case["iv"])
            monkeypatch.setattr(agreement, "_nonce", lambda _, nonce=nonce: nonce)
            _check_aead(case)
            count += 1
    assert count > 250


def _check_aead(case: dict[str, Any]) -> None:
    key, aad, message = (bytes.fromhex(case[name]) for name in ("key", "aad", "msg"))
    ciphertext = bytes.fromhex(case["ct"] + case["tag"])
    valid = case["result"] == "valid"
    assert aead_open(key, 0, ciphertext, aad) == (message if valid else None), case["tcId"]
    assert (aead_seal(key, 0, message, aad) == ciphertext) == valid, case["tcId"]


def test_the_nonce_is_wireguards() -> None:
    """The nonce is 32 zero bits and the counter in little-endian order."""
    cipher = ChaCha20Poly1305(KEY)
    expected = cipher.encrypt(bytes(4) + bytes([2, 1, 0, 0, 0, 0, 0, 0]), b"text", b"aad")
    assert aead_seal(KEY, 0x0102, b"text", b"aad") == expected


@given(st.integers(0, COUNTER_MAX), st.binary(max_size=100), st.binary(max_size=20))
def test_what_is_sealed_opens_only_with_the_same_inputs(
    counter: int, plaintext: bytes, aad: bytes
) -> None:
    """Another key, counter, associated data or ciphertext gives None instead of a text."""
    sealed = aead_seal(KEY, counter, plaintext, aad)
    assert aead_open(KEY, counter, sealed, aad) == plaintext
    assert aead_open(bytes(32), counter, sealed, aad) is None
    assert aead_open(KEY, counter ^ 1, sealed, aad) is None
    assert aead_open(KEY, counter, sealed, aad + b"x") is None
    assert aead_open(KEY, counter, sealed[:-1], aad) is None


@pytest.mark.parametrize("length", [0, 1, 15])
def test_less_than_a_tag_is_not_authentic(length: int) -> None:
    """A ciphertext too short for its tag is None, not an error."""
    assert aead_open(KEY, 0, bytes(length), b"") is None


@pytest.mark.parametrize("counter", [-1, COUNTER_MAX + 1])
def test_a_counter_outside_64_bits_is_our_mistake(counter: int) -> None:
    """A counter never wraps: the key has to change before."""
    with pytest.raises(LocalError, match="a packet counter has 64 bits"):
        aead_seal(KEY, counter, b"", b"")
    with pytest.raises(LocalError, match="a packet counter has 64 bits"):
        aead_open(KEY, counter, bytes(16), b"")
