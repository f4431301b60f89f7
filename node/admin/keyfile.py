"""One admin key in one file: the public half in the open, the secret half under a passphrase."""

import base64
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto import sealing, signing
from crypto.errors import LocalError, PassphraseError
from crypto.signing import ObjectType
from node.admin import files
from node.admin.keytext import format_key, parse_key

PASSPHRASE_CHARACTERS_MIN = 8
SEED_BYTES = 32

# How hard a guess at the passphrase is; the tests, which guess nothing, replace it.
COST = sealing.MODERATE

_TEMPLATE = """\
# An admin key of the Hedgerow mesh. Keep it offline, and a copy elsewhere: whoever has this file
# and its passphrase holds the key, and nobody can restore either.
format = "hedgerow-key-1"
public = "{public}"
sealed = "{sealed}"
"""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as it lies on disk: whose it is can be read, the secret cannot."""

    path: Path
    public: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key ready to sign with. Its text form leaves the secret out."""

    public: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"OpenKey({format_key(self.public)})"

    def sign(self, object_type: ObjectType, mesh_id: bytes, payload: bytes) -> bytes:
        """Return the raw signature of this object."""
        return signing.sign(self.seed, signing.to_be_signed(object_type, mesh_id, payload))


def generate() -> OpenKey:
    """Make a new key."""
    seed = os.urandom(SEED_BYTES)
    return OpenKey(public=signing.public_key(seed), seed=seed)


def encode(key: OpenKey, passphrase: str) -> bytes:
    """Seal a key and return the text of its file.

    Raises:
        LocalError: The passphrase is too short to protect anything.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise LocalError(
            f"the passphrase is shorter than {PASSPHRASE_CHARACTERS_MIN} characters",
            remedy="choose a longer one; four or five random words are a good one",
        )
    sealed = sealing.seal_secret(key.seed, passphrase, os.urandom, cost=COST)
    text = base64.b64encode(sealed).decode()
    return _TEMPLATE.format(public=format_key(key.public), sealed=text).encode()


def load(path: Path) -> KeyFile:
    """Read a key file, without opening it.

    Raises:
        LocalError: There is none, or it is something else.
    """
    data = files.read(path)
    try:
        content = tomllib.loads(data.decode())
        public, sealed = _halves(content)
    except (ValueError, LocalError) as error:
        raise LocalError(
            f"{path} is not a key file, or it is damaged",
            remedy="name a file that `hedgerow admin keygen` or `init` wrote, or use your copy",
        ) from error
    return KeyFile(path=path, public=public, sealed=sealed)


def _halves(content: Mapping[str, object]) -> tuple[bytes, bytes]:
    match content:
        case {"format": "hedgerow-key-1", "public": str(public), "sealed": str(sealed)}:
            return parse_key(public), base64.b64decode(sealed, validate=True)
    raise ValueError("another format")


def unlock(file: KeyFile, passphrase: str) -> OpenKey:
    """Open a key file.

    Raises:
        PassphraseError: The passphrase is wrong, or the sealed part is damaged; it says which.
        LocalError: The secret half does not belong to the public half.
    """
    try:
        seed = sealing.open_secret(file.sealed, passphrase)
    except PassphraseError as error:
        raise PassphraseError(f"{file.path}: {error.message}", remedy=error.remedy) from error
    if signing.public_key(seed) != file.public:
        raise LocalError(
            f"the two halves of {file.path} do not belong together",
            remedy="someone has edited the file; use your copy of it",
        )
    return OpenKey(public=file.public, seed=seed)
