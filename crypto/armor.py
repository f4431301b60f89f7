"""Bytes as one line of text that people may copy, wrap and paste, and that says when it broke.

The line is a prefix that names kind and version, then base64url without padding (RFC 4648
section 5) of: the payload's length in four bytes, the payload, and the first four bytes of the
SHA-256 of both. So a reader can tell apart what goes wrong between two people: another text,
another kind, a part cut off, a letter changed.
"""

import base64
import re
from enum import Enum
from hashlib import sha256
from typing import Final

from crypto.errors import InviteError, LocalError

PAYLOAD_BYTES_MAX: Final = 2**20
_LENGTH_BYTES: Final = 4
_CHECKSUM_BYTES: Final = 4
_PREFIX_CHARACTERS: Final = 4
_FOREIGN_CHARACTER: Final = re.compile(r"[^A-Za-z0-9_-]")


class Kind(Enum):
    """What a line is: its prefix, its article, and where it belongs."""

    INVITE = ("hgr1", "an", "a new device joins with it: hedgerow up --invite")
    REQUEST = ("hgq1", "a", "an admin approves it")
    APPROVAL = ("hga1", "an", "the device that asked takes it")

    def __init__(self, prefix: str, article: str, use: str) -> None:
        self.prefix = prefix
        self.noun = self.name.lower()
        self.title = f"{article} {self.noun}"
        self.use = use


def encode(kind: Kind, payload: bytes) -> str:
    """Return `payload` as one line of this kind.

    Raises:
        LocalError: If it is longer than 1 MiB.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise LocalError(
            f"the {kind.noun} of {len(payload)} bytes is too long, at most {PAYLOAD_BYTES_MAX} fit"
        )
    body = len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
    return kind.prefix + _to_text(body + _checksum(body))


def decode(kind: Kind, text: str) -> bytes:
    """Return the payload of a line of this kind; white space anywhere in it does not count.

    Raises:
        InviteError: If the text is none of ours, of another kind or version, cut off, or damaged.
    """
    line = "".join(text.split())
    _check_prefix(kind, line)
    letters = line[_PREFIX_CHARACTERS:]
    foreign = _FOREIGN_CHARACTER.search(letters)
    if foreign is not None:
        raise _damaged(kind, f"{foreign.group()!r} does not belong in it")
    return _decode_letters(kind, letters)


def _decode_letters(kind: Kind, letters: str) -> bytes:
    # One letter alone holds no byte: leave it, the length tells what is missing.
    whole = letters[:-1] if len(letters) % 4 == 1 else letters
    binary = base64.urlsafe_b64decode(whole + "=" * (-len(whole) % 4))
    length = int.from_bytes(binary[:_LENGTH_BYTES], "big")
    if len(binary) >= _LENGTH_BYTES and length > PAYLOAD_BYTES_MAX:
        raise _damaged(kind, "its length cannot be")
    end = _LENGTH_BYTES + length
    expected = -(-(end + _CHECKSUM_BYTES) * 4 // 3)
    if len(binary) < _LENGTH_BYTES or len(letters) < expected:
        raise InviteError(
            f"the {kind.noun} is cut off: its end is missing",
            remedy="copy the whole line again",
        )
    if len(letters) > expected:
        raise _damaged(kind, f"{len(letters) - expected} letters follow its end")
    if _to_text(binary) != letters or _checksum(binary[:end]) != binary[end:]:
        raise _damaged(kind, "its checksum does not fit")
    return binary[_LENGTH_BYTES:end]


def _check_prefix(kind: Kind, line: str) -> None:
    prefix = line[:_PREFIX_CHARACTERS]
    if prefix == kind.prefix:
        return
    for other in Kind:
        if prefix == other.prefix:
            raise InviteError(
                f"this is {other.title}, not {kind.title}",
                remedy=f"{other.use}; {kind.title} begins with {kind.prefix}",
            )
        if prefix[:-1] == other.prefix[:-1] and prefix[-1:].isdigit():
            raise InviteError(
                f"this is {other.title} of a form this version does not know: {prefix}",
                remedy="update Hedgerow on this machine",
            )
    raise InviteError(
        f"this is not {kind.title}: {kind.title} begins with {kind.prefix}",
        remedy="copy the whole line again",
    )


def _damaged(kind: Kind, detail: str) -> InviteError:
    return InviteError(f"the {kind.noun} is damaged: {detail}", remedy="copy the whole line again")


def _checksum(body: bytes) -> bytes:
    return sha256(body).digest()[:_CHECKSUM_BYTES]


def _to_text(binary: bytes) -> str:
    return base64.urlsafe_b64encode(binary).rstrip(b"=").decode("ascii")
