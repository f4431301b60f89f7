"""Public keys as text: how people pass them on, and the lines in which ssh writes them."""

import re
from pathlib import Path

from crypto import sshsig
from crypto.errors import LocalError, ObjectError
from node.admin import files

PREFIX = "ed25519:"
SECURITY_PREFIX = "sk-ed25519:"
PUBLIC_SUFFIX = ".pub"
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
# What the lines of keys begin with that ssh knows and we may not: to say that, and not "no key".
_SSH_LINE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s")


def format_key(public: bytes) -> str:
    """Write a public key as people pass it on; a security key with its application behind."""
    application = sshsig.application(public)
    digits = sshsig.ed25519_key(public).hex()
    return PREFIX + digits if application is None else f"{SECURITY_PREFIX}{digits}:{application}"


def short_key(public: bytes) -> str:
    """Return the first digits of a key, for people to recognise it by."""
    return sshsig.ed25519_key(public).hex()[:16]


def parse_key(text: str) -> bytes:
    """Read a public key as `format_key` writes it, with or without its prefix, or as ssh does.

    Raises:
        LocalError: It is none of these.
    """
    text = text.strip()
    try:
        if _SSH_LINE.match(text):
            return sshsig.parse_public_line(text)
        if text.startswith(SECURITY_PREFIX):
            digits, _, application = text.removeprefix(SECURITY_PREFIX).partition(":")
            if _HEX.fullmatch(digits):
                return sshsig.security_key(bytes.fromhex(digits), application)
    except ObjectError as error:
        raise LocalError(
            f"{text[:64]!r} is not a public key that signs here: {error.message}",
            remedy=error.remedy or "copy the whole line again",
        ) from error
    digits = text.removeprefix(PREFIX)
    if not _HEX.fullmatch(digits):
        raise LocalError(
            f"{text[:128]!r} is not a public key",
            remedy=f"copy the line that `hedgerow admin keygen` printed: {PREFIX} and 64 digits; "
            "or name the .pub file of an SSH key",
        )
    return bytes.fromhex(digits)


def find_key(text: str) -> bytes:
    """Read a public key that is given as text, or as the name of a .pub file.

    Raises:
        LocalError: It is neither, or the file holds no key that signs here.
    """
    if not text.endswith(PUBLIC_SUFFIX):
        return parse_key(text)
    return read_public(Path(text))


def read_public(path: Path) -> bytes:
    """Read the key in a .pub file.

    Raises:
        LocalError: It cannot be read, or holds no key that signs here.
    """
    content = files.read(path).decode(errors="replace")
    try:
        return sshsig.parse_public_line(content)
    except ObjectError as error:
        raise LocalError(
            f"{path} does not hold one public key that signs here: {error.message}",
            remedy=error.remedy or "take one line of what `ssh-add -L` prints",
        ) from error
