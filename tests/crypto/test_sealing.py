"""Sealed secrets: only the passphrase opens one, and what fails says why."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import Value, dumps, loads
from crypto.errors import LocalError, PassphraseError
from crypto.sealing import (
    BLOB_BYTES_MAX,
    LIGHT,
    MAGIC,
    MEMORY_BYTES_MAX,
    MODERATE,
    OPERATIONS_MAX,
    SECRET_BYTES_MAX,
    Cost,
    _checksum,
    open_secret,
    seal_secret,
)

SECRET = bytes(range(32))
BLOB = seal_secret(SECRET, "correct horse", Random(1).randbytes, cost=LIGHT)


def parts(blob: bytes) -> list[bytes]:
    """Return header, ciphertext and checksum of a blob."""
    value = loads(blob)
    assert isinstance(value, list)
    return value


def resealed(header: Value, ciphertext: bytes = bytes(48)) -> bytes:
    """Return a blob with this header and a checksum that fits."""
    encoded = dumps(header)
    return dumps([encoded, ciphertext, _checksum(encoded, ciphertext)])


def test_the_passphrase_opens_it() -> None:
    """What was sealed comes back with the same passphrase."""
    assert open_secret(BLOB, "correct horse") == SECRET


@given(st.binary(max_size=100), st.text(min_size=1, max_size=20), st.integers(0))
def test_any_secret_opens_with_any_passphrase(secret: bytes, passphrase: str, seed: int) -> None:
    """Every secret and every non-empty passphrase work, whatever the entropy."""
    blob = seal_secret(secret, passphrase, Random(seed).randbytes, cost=LIGHT)
    assert open_secret(blob, passphrase) == secret


@pytest.mark.parametrize("passphrase", ["", "wrong", "correct horse ", "Correct horse"])
def test_a_wrong_passphrase_says_so(passphrase: str) -> None:
    """Any other passphrase is called wrong, not the file damaged."""
    with pytest.raises(PassphraseError, match=r"^wrong passphrase$") as caught:
        open_secret(BLOB, passphrase)
    assert caught.value.remedy == "try again"


def test_a_composed_letter_is_the_same_however_typed() -> None:
    """An accent typed as one character or as two opens the same secret."""
    blob = seal_secret(SECRET, "caf\u00e9", Random(1).randbytes, cost=LIGHT)
    assert open_secret(blob, "cafe\u0301") == SECRET


def test_a_passphrase_that_is_no_text_works() -> None:
    """Bytes that a terminal could not decode come as lone surrogates and work as well."""
    blob = seal_secret(SECRET, "\udcff\ud800", Random(1).randbytes, cost=LIGHT)
    assert open_secret(blob, "\udcff\ud800") == SECRET


def test_damage_anywhere_is_called_damage() -> None:
    """A flipped bit in any byte is told apart from a wrong passphrase."""
    for index in range(len(BLOB)):
        damaged = bytearray(BLOB)
        damaged[index] ^= 1 << index % 8
        with pytest.raises(PassphraseError, match="the sealed secret is damaged, or is none"):
            open_secret(bytes(damaged), "correct horse")


@given(st.binary(max_size=200))
def test_what_is_no_sealed_secret_is_called_that(blob: bytes) -> None:
    """Any other bytes are refused in the same words, with a remedy."""
    with pytest.raises(PassphraseError, match="is damaged, or is none") as caught:
        open_secret(blob, "correct horse")
    assert "backup" in caught.value.remedy


SALT, NONCE = bytes(16), bytes(24)


@pytest.mark.parametrize(
    "header",
    [
        0,
        [],
        ["hedgerow-secret-2", 1, 8_192, SALT, NONCE],
        [MAGIC, 1, 8_192, SALT[1:], NONCE],
        [MAGIC, 1, 8_192, SALT, NONCE[1:]],
        [MAGIC, "1", 8_192, SALT, NONCE],
        [MAGIC, 1, 8_192, SALT, NONCE, 0],
    ],
)
def test_a_header_of_another_form_is_refused(header: Value) -> None:
    """A header with other fields is refused although its checksum fits."""
    with pytest.raises(PassphraseError, match="is damaged, or is none"):
        open_secret(resealed(header), "correct horse")


def test_a_header_that_is_no_cbor_is_refused() -> None:
    """A header outside the codec's profile is refused although its checksum fits."""
    blob = dumps([b"\xff", b"", _checksum(b"\xff", b"")])
    with pytest.raises(PassphraseError, match="is damaged, or is none"):
        open_secret(blob, "correct horse")


@pytest.mark.parametrize(
    ("operations", "memory_bytes"),
    [(0, 8_192), (OPERATIONS_MAX + 1, 8_192), (1, 8_191), (1, MEMORY_BYTES_MAX + 1), (1, 2**63)],
)
def test_a_hostile_cost_is_refused_before_it_is_paid(operations: int, memory_bytes: int) -> None:
    """A file cannot make a machine spend more memory or time than the caps."""
    blob = resealed([MAGIC, operations, memory_bytes, SALT, NONCE])
    with pytest.raises(PassphraseError, match="demands no usable Argon2id cost"):
        open_secret(blob, "correct horse")
    with pytest.raises(LocalError, match=f"no usable Argon2id cost: {operations}, {memory_bytes}"):
        Cost(operations, memory_bytes)


def test_a_changed_cost_does_not_open() -> None:
    """The cost is authenticated: with another one in the header nothing opens."""
    header, ciphertext, _ = parts(BLOB)
    fields = loads(header)
    assert isinstance(fields, list)
    fields[1] = 2
    with pytest.raises(PassphraseError, match="wrong passphrase"):
        open_secret(resealed(fields, ciphertext), "correct horse")


def test_a_ciphertext_shorter_than_its_tag_is_damage() -> None:
    """A ciphertext without room for its tag is refused before anything is computed."""
    header, _, _ = parts(BLOB)
    with pytest.raises(PassphraseError, match="is damaged, or is none"):
        open_secret(resealed(loads(header), bytes(15)), "correct horse")


def test_the_default_cost_is_moderate_and_works() -> None:
    """Without a cost, libsodium's moderate one is taken and stands in the blob."""
    blob = seal_secret(SECRET, "correct horse", Random(1).randbytes)
    header = loads(parts(blob)[0])
    assert isinstance(header, list)
    assert header[1:3] == [MODERATE.operations, MODERATE.memory_bytes] == [3, 256 * 2**20]
    assert open_secret(blob, "correct horse") == SECRET


def test_the_longest_secret_fits_and_no_longer_one() -> None:
    """A secret of 4 KiB is sealed and opened, one byte more refused."""
    longest = bytes(SECRET_BYTES_MAX)
    blob = seal_secret(longest, "correct horse", Random(1).randbytes, cost=LIGHT)
    assert len(blob) <= BLOB_BYTES_MAX
    assert open_secret(blob, "correct horse") == longest
    with pytest.raises(LocalError, match="a secret has at most 4096 bytes, not 4097"):
        seal_secret(longest + b"\x00", "correct horse", Random(1).randbytes, cost=LIGHT)


def test_an_empty_passphrase_is_refused() -> None:
    """Nothing is sealed under an empty passphrase."""
    with pytest.raises(LocalError, match="an empty passphrase protects nothing") as caught:
        seal_secret(SECRET, "", Random(1).randbytes, cost=LIGHT)
    assert caught.value.remedy == "choose a passphrase"


def test_each_sealing_has_its_own_salt_and_nonce() -> None:
    """Sealed twice from one stream of entropy, a secret gives two unrelated blobs."""
    entropy = Random(1).randbytes
    one = seal_secret(SECRET, "correct horse", entropy, cost=LIGHT)
    other = seal_secret(SECRET, "correct horse", entropy, cost=LIGHT)
    assert one == BLOB
    assert parts(one)[1] != parts(other)[1]
