"""Secrets at rest: a private key in a file that only its passphrase opens.

Argon2id (RFC 9106) turns the passphrase into a key, XChaCha20-Poly1305 encrypts under it
(draft-irtf-cfrg-xchacha section 2). The cost parameters stand in the file and are authenticated;
they are capped, so that a hostile file cannot eat the machine.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_pwhash_alg,
    crypto_pwhash_ALG_ARGON2ID13,
    crypto_pwhash_argon2id_MEMLIMIT_MIN,
    crypto_pwhash_argon2id_MEMLIMIT_MODERATE,
    crypto_pwhash_argon2id_OPSLIMIT_MIN,
    crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
)
from nacl.exceptions import CryptoError

from crypto.codec import Value, dumps, loads
from crypto.errors import CodecError, LocalError, PassphraseError

MAGIC: Final = "hedgerow-secret-1"
SECRET_BYTES_MAX: Final = 4_096
BLOB_BYTES_MAX: Final = SECRET_BYTES_MAX + 256
OPERATIONS_MAX: Final = 16
MEMORY_BYTES_MAX: Final = 2**30
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 24
_TAG_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of a passphrase costs (RFC 9106 section 3.1: passes and memory).

    Raises:
        LocalError: If it is less than libsodium takes or more than a file may demand.
    """

    operations: int
    memory_bytes: int

    def __post_init__(self) -> None:
        operations_fit = crypto_pwhash_argon2id_OPSLIMIT_MIN <= self.operations <= OPERATIONS_MAX
        memory_fits = crypto_pwhash_argon2id_MEMLIMIT_MIN <= self.memory_bytes <= MEMORY_BYTES_MAX
        if not (operations_fit and memory_fits):
            raise LocalError(f"no usable Argon2id cost: {self.operations}, {self.memory_bytes}")


MODERATE: Final = Cost(
    crypto_pwhash_argon2id_OPSLIMIT_MODERATE, crypto_pwhash_argon2id_MEMLIMIT_MODERATE
)
"""256 MiB and 3 passes: about 0.4 s a guess."""

LIGHT: Final = Cost(crypto_pwhash_argon2id_OPSLIMIT_MIN, crypto_pwhash_argon2id_MEMLIMIT_MIN)
"""The least there is. For tests: it protects nothing."""


def seal_secret(
    plaintext: bytes, passphrase: str, entropy: Callable[[int], bytes], *, cost: Cost = MODERATE
) -> bytes:
    """Return a blob from which only the passphrase gives `plaintext` back.

    Args:
        entropy: Returns as many random bytes as it is asked for; salt and nonce come from it.

    Raises:
        LocalError: If the secret is longer than 4 KiB or the passphrase is empty.
    """
    if len(plaintext) > SECRET_BYTES_MAX:
        raise LocalError(f"a secret has at most {SECRET_BYTES_MAX} bytes, not {len(plaintext)}")
    if not passphrase:
        raise LocalError("an empty passphrase protects nothing", remedy="choose a passphrase")
    salt, nonce = entropy(_SALT_BYTES), entropy(_NONCE_BYTES)
    header = dumps([MAGIC, cost.operations, cost.memory_bytes, salt, nonce])
    key = _derive(passphrase, salt, cost)
    ciphertext = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, header, nonce, key)
    return dumps([header, ciphertext, _checksum(header, ciphertext)])


def open_secret(blob: bytes, passphrase: str) -> bytes:
    """Return what was sealed in `blob`.

    Raises:
        PassphraseError: If the passphrase is wrong, or the blob is damaged or no sealed secret;
            the message says which.
    """
    header, ciphertext = _decode(blob)
    cost, salt, nonce = _decode_header(header)
    key = _derive(passphrase, salt, cost)
    try:
        plaintext: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(
            ciphertext, header, nonce, key
        )
    except CryptoError:
        raise PassphraseError("wrong passphrase", remedy="try again") from None
    return plaintext


def _derive(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    # Keyboards differ in how they compose a letter; the key must not (RFC 8265 section 4.2.2).
    password = unicodedata.normalize("NFC", passphrase).encode(errors="surrogatepass")
    key: bytes = crypto_pwhash_alg(
        _KEY_BYTES,
        password,
        salt,
        cost.operations,
        cost.memory_bytes,
        crypto_pwhash_ALG_ARGON2ID13,
    )
    return key


def _checksum(header: bytes, ciphertext: bytes) -> bytes:
    """Return what tells a damaged blob from a wrong passphrase; it protects nothing."""
    return sha256(dumps([header, ciphertext])).digest()[:_CHECKSUM_BYTES]


def _decode(blob: bytes) -> tuple[bytes, bytes]:
    match _loads(blob, BLOB_BYTES_MAX):
        case [bytes(header), bytes(ciphertext), bytes(checksum)]:
            whole = len(ciphertext) >= _TAG_BYTES
            if whole and checksum == _checksum(header, ciphertext):
                return header, ciphertext
    raise _damaged()


def _decode_header(header: bytes) -> tuple[Cost, bytes, bytes]:
    match _loads(header, BLOB_BYTES_MAX):
        case [magic, int(operations), int(memory_bytes), bytes(salt), bytes(nonce)] if (
            magic == MAGIC and (len(salt), len(nonce)) == (_SALT_BYTES, _NONCE_BYTES)
        ):
            try:
                return Cost(operations, memory_bytes), salt, nonce
            except LocalError as error:
                raise PassphraseError(f"the sealed secret demands {error.message}") from None
    raise _damaged()


def _loads(data: bytes, max_bytes: int) -> Value:
    try:
        return loads(data, max_bytes=max_bytes)
    except CodecError:
        raise _damaged() from None


def _damaged() -> PassphraseError:
    return PassphraseError(
        "the sealed secret is damaged, or is none", remedy="restore the file from a backup"
    )
