"""SSHSIG: what `ssh-keygen -Y sign` makes with a key in a file, in ssh-agent or on a security key.

The format is OpenSSH's (PROTOCOL.sshsig version 1, and PROTOCOL.u2f for security keys), read with
nothing left open: Ed25519 keys only, one encoding, nothing reserved, nothing behind the end. What
Ed25519 has to have signed is computed here; whether it has is for `crypto.signing.verify` to say,
the one verifier.

**Keys.** An admin's key is the 32 bytes of an Ed25519 key, whoever holds it and in whatever form
it signs; or, for a security key, its SSH wire form: type, Ed25519 key, application. Such a key
never signs anything without its application, so the application belongs to who it is, and its
length alone tells it from the other kind. `ed25519_key` gives the 32 bytes of both, by which a
threshold counts.

A security key's counter is read and not compared: objects arrive in any order. That somebody
touched the key is in its flags, and whoever verifies has to ask for it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any, Final

from crypto.errors import ObjectError

SSHSIG_BYTES_MAX: Final = 512
_ARMOUR_BYTES_MAX: Final = 2 * SSHSIG_BYTES_MAX
_LINE_CHARACTERS_MAX: Final = 4_096
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64

_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_PLAIN: Final = b"ssh-ed25519"
_SECURITY: Final = b"sk-ssh-ed25519@openssh.com"
_HASHES: Final[Mapping[bytes, Callable[[bytes], Any]]] = {b"sha256": sha256, b"sha512": sha512}

# What ssh-keygen makes begins with "ssh:"; a web page's keys begin with its name, and must never
# pass for an admin's. Printable and bounded, so that it can be shown, and be an argument.
_APPLICATION: Final = re.compile(rb"ssh:[\x21-\x7e]{0,60}")
_ARMOUR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\r?\n"
    rb"((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    rb"-----END SSH SIGNATURE-----(?:\r?\n)?"
)

USER_PRESENT: Final = 0x01  # PROTOCOL.u2f, "SSH U2F Signatures": somebody touched the key


class _Reader:
    """Takes the fields of SSH wire data (RFC 4251 section 5) off its front.

    Args:
        what: What is read, for messages.
        data: All of it.
    """

    def __init__(self, what: str, data: bytes) -> None:
        self._what = what
        self._rest = data

    def take(self, count: int) -> bytes:
        """Return the next bytes, exactly as many."""
        if len(self._rest) < count:
            raise ObjectError(f"{self._what}: it is cut off")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def number(self) -> int:
        """Return a uint32."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Return a string."""
        return self.take(self.number())

    def finish(self) -> None:
        """Raise if anything is left."""
        if self._rest:
            raise ObjectError(f"{self._what}: {len(self._rest)} bytes follow its end")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def wire_key(key: bytes) -> bytes:
    """Return how SSH writes an admin's key."""
    return _string(_PLAIN) + _string(key) if len(key) == _KEY_BYTES else key


def security_key(ed25519: bytes, application: str) -> bytes:
    """Return the admin's key that is a security key's Ed25519 key for an application.

    Raises:
        ObjectError: If the key has not 32 bytes, or ssh-keygen would not make such an application.
    """
    name = application.encode(errors="replace")
    return key_of_wire(_string(_SECURITY) + _string(ed25519) + _string(name))


def key_of_wire(blob: bytes) -> bytes:
    """Return the admin's key that SSH writes like this.

    Raises:
        ObjectError: If it is malformed or of an algorithm other than Ed25519.
    """
    reader = _Reader("ssh key", blob)
    algorithm = reader.string()
    if algorithm not in {_PLAIN, _SECURITY}:
        name = algorithm[:64].decode("ascii", errors="backslashreplace")
        raise ObjectError(
            f"ssh key: {name!r} is not an algorithm that signs here",
            remedy="use a key that `ssh-keygen -t ed25519` or `-t ed25519-sk` made",
        )
    ed25519 = reader.string()
    if len(ed25519) != _KEY_BYTES:
        raise ObjectError(f"ssh key: {_KEY_BYTES} bytes were expected, not {len(ed25519)}")
    if algorithm == _PLAIN:
        reader.finish()
        return ed25519
    if _APPLICATION.fullmatch(reader.string()) is None:
        raise ObjectError(
            "ssh key: its application does not begin with 'ssh:' or is not short and plain"
        )
    reader.finish()
    return blob


def ed25519_key(key: bytes) -> bytes:
    """Return the 32 bytes by which signatures of an admin's key are verified, and counted.

    Raises:
        ObjectError: If it is neither 32 bytes nor a security key.
    """
    if len(key) == _KEY_BYTES:
        return key
    if key_of_wire(key) != key:
        raise ObjectError("ssh key: an Ed25519 key alone is written as its 32 bytes")
    return _ed25519_in(key)


def application(key: bytes) -> str | None:
    """Return the application of a security key; None for a plain Ed25519 key.

    Raises:
        ObjectError: If it is neither.
    """
    if len(key) == _KEY_BYTES:
        return None
    ed25519_key(key)
    return _application_in(key).decode("ascii")


def _ed25519_in(security: bytes) -> bytes:
    start = len(_string(_SECURITY)) + 4
    return security[start : start + _KEY_BYTES]


def _application_in(security: bytes) -> bytes:
    return security[len(_string(_SECURITY)) + 4 + _KEY_BYTES + 4 :]


def parse_public_line(text: str) -> bytes:
    """Return the admin's key in a line as `ssh-add -L` prints it and .pub files hold it.

    Raises:
        ObjectError: If it is no such line, or of another algorithm.
    """
    words = text[:_LINE_CHARACTERS_MAX].split()
    if len(text) > _LINE_CHARACTERS_MAX or len(words) < 2 or "\n" in text.strip():
        raise ObjectError("ssh key: one line with an algorithm and a key was expected")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (ValueError, binascii.Error):
        raise ObjectError("ssh key: its second word is not base64") from None
    key = key_of_wire(blob)
    if words[0].encode() != (_PLAIN if len(key) == _KEY_BYTES else _SECURITY):
        raise ObjectError("ssh key: its first word is not the algorithm of its second")
    return key


def unarmour(data: bytes) -> bytes:
    """Return the signature in armour, or `data` if it has none; it is yet to be parsed.

    Raises:
        ObjectError: If it is neither, or the armour holds more than a signature.
    """
    if data.startswith(_MAGIC):
        return data
    found = _ARMOUR.fullmatch(data) if len(data) <= _ARMOUR_BYTES_MAX else None
    if found is None:
        raise ObjectError(
            "ssh signature: neither the armour nor the beginning of one",
            remedy="take the file that `ssh-keygen -Y sign` wrote, all of it",
        )
    letters = b"".join(found[1].split())
    try:
        blob = base64.b64decode(letters, validate=True)
    except binascii.Error:
        blob = b""
    if base64.b64encode(blob) != letters:
        raise ObjectError("ssh signature: its armour is damaged")
    return blob


@dataclass(frozen=True, slots=True)
class Sshsig:
    """A signature as it was read: well-formed, not verified.

    Attributes:
        key: The admin's key that is said to have made it.
        namespace: What it was made for.
        hash_name: How the message was hashed.
        signature: The 64 bytes of Ed25519.
        flags: What a security key says of the moment; None for other keys.
        counter: How often a security key had signed; None for other keys.
    """

    key: bytes
    namespace: bytes
    hash_name: bytes
    signature: bytes
    flags: int | None = None
    counter: int | None = None

    @property
    def user_present(self) -> bool:
        """Whether somebody touched the key; of keys without a button nothing is asked."""
        return self.flags is None or bool(self.flags & USER_PRESENT)

    def covered(self, message: bytes) -> bytes:
        """Return the bytes that Ed25519 has to have signed if this is a signature of `message`."""
        digest: bytes = _HASHES[self.hash_name](message).digest()
        parts = (self.namespace, b"", self.hash_name, digest)
        data = _MAGIC + b"".join(map(_string, parts))
        if self.flags is None or self.counter is None:
            return data
        said = self.flags.to_bytes(1, "big") + self.counter.to_bytes(4, "big")
        return sha256(_application_in(self.key)).digest() + said + sha256(data).digest()


def parse(blob: bytes) -> Sshsig:
    """Return the signature in `blob`, which is without armour.

    Raises:
        ObjectError: If it is not exactly one in the form that this module describes.
    """
    if len(blob) > SSHSIG_BYTES_MAX:
        raise ObjectError(f"ssh signature: {len(blob)} bytes, at most {SSHSIG_BYTES_MAX} allowed")
    reader = _Reader("ssh signature", blob)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != _VERSION:
        raise ObjectError("ssh signature: it does not begin as one of version 1")
    key = key_of_wire(reader.string())
    namespace = reader.string()
    if reader.string():
        raise ObjectError("ssh signature: the reserved field is not empty")
    hash_name = reader.string()
    if hash_name not in _HASHES:
        raise ObjectError("ssh signature: its hash is neither sha256 nor sha512")
    inner = _Reader("ssh signature", reader.string())
    reader.finish()
    return _parse_inner(inner, key, namespace, hash_name)


def _parse_inner(inner: _Reader, key: bytes, namespace: bytes, hash_name: bytes) -> Sshsig:
    plain = len(key) == _KEY_BYTES
    if inner.string() != (_PLAIN if plain else _SECURITY):
        raise ObjectError("ssh signature: its algorithm is not that of its key")
    signature = inner.string()
    if len(signature) != _SIGNATURE_BYTES:
        raise ObjectError(f"ssh signature: {_SIGNATURE_BYTES} bytes, not {len(signature)}")
    flags = counter = None
    if not plain:
        flags, counter = inner.take(1)[0], inner.number()
    inner.finish()
    return Sshsig(key, namespace, hash_name, signature, flags, counter)
