"""Key agreement and packet encryption: X25519, HKDF-SHA256, ChaCha20-Poly1305."""

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from crypto.errors import LocalError, ObjectError

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
COUNTER_MAX: Final = 2**64 - 1
_HASH_BYTES: Final = 32
_HKDF_BYTES_MAX: Final = 255 * _HASH_BYTES

# The u-coordinates of small order, with their non-canonical twins p and p + 1 (RFC 7748 section
# 6.1; https://cr.yp.to/ecdh.html#validate). Bit 255 does not count (RFC 7748 section 5).
_P: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
        _P,
        _P + 1,
    }
)


def is_usable_public(public: bytes) -> bool:
    """Say whether `public` has the right length and is no point of small order."""
    if len(public) != KEY_BYTES:
        return False
    return int.from_bytes(public, "little") & (2**255 - 1) not in _SMALL_ORDER


def x25519_public(private: bytes) -> bytes:
    """Return the public key of a 32-byte private key (RFC 7748 section 6.1).

    Raises:
        LocalError: If the private key has another length.
    """
    return _private_key(private).public_key().public_bytes_raw()


def x25519(private: bytes, public: bytes) -> bytes:
    """Return the shared secret of our private and their public key (RFC 7748 section 6.1).

    Raises:
        ObjectError: If `public` is no usable key: wrong length, or of small order, which would
            make a secret that everybody knows.
        LocalError: If the private key has another length than 32.
    """
    if not is_usable_public(public):
        raise ObjectError("an X25519 public key of small order or wrong length")
    return _private_key(private).exchange(X25519PublicKey.from_public_bytes(public))


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes of key material: HKDF with SHA-256 (RFC 5869 section 2).

    Raises:
        LocalError: If `length` is not 1 to 8,160, the most HKDF can give.
    """
    if not 1 <= length <= _HKDF_BYTES_MAX:
        raise LocalError(f"HKDF gives 1 to {_HKDF_BYTES_MAX} bytes, not {length}")
    pseudorandom_key = hmac.digest(salt, ikm, "sha256")
    block = b""
    output = b""
    for index in range(1, -(-length // _HASH_BYTES) + 1):
        block = hmac.digest(pseudorandom_key, block + info + bytes([index]), "sha256")
        output += block
    return output[:length]


def aead_seal(key: bytes, counter: int, plaintext: bytes, aad: bytes) -> bytes:
    """Return ciphertext and tag; never call twice with one key and counter (RFC 8439 section 2.8).

    Raises:
        LocalError: If the key has another length than 32 or the counter is out of 64 bits.
    """
    return _cipher(key).encrypt(_nonce(counter), plaintext, aad)


def aead_open(key: bytes, counter: int, ciphertext: bytes, aad: bytes) -> bytes | None:
    """Return the plaintext, or None if the ciphertext is not authentic.

    Raises:
        LocalError: If the key has another length than 32 or the counter is out of 64 bits.
    """
    try:
        return _cipher(key).decrypt(_nonce(counter), ciphertext, aad)
    except InvalidTag:
        return None


def _private_key(private: bytes) -> X25519PrivateKey:
    _check_length(private)
    return X25519PrivateKey.from_private_bytes(private)


def _cipher(key: bytes) -> ChaCha20Poly1305:
    _check_length(key)
    return ChaCha20Poly1305(key)


def _check_length(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise LocalError(f"a key of {KEY_BYTES} bytes is needed, not of {len(key)}")


def _nonce(counter: int) -> bytes:
    """Return 32 zero bits and the counter, as WireGuard does (whitepaper section 5.4.6)."""
    if not 0 <= counter <= COUNTER_MAX:
        raise LocalError("a packet counter has 64 bits: change the key before it runs out")
    return bytes(4) + counter.to_bytes(8, "little")
