"""Public keys as text: ours, those of ssh, and what is neither."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from crypto.errors import LocalError
from node.admin import keytext
from tests.sshkeys import SoftKey, string

SEED = b"\x07" * 32
PLAIN, TOKEN = SoftKey(SEED), SoftKey(SEED, "ssh:hedgerow")
POINT = PLAIN.public.hex()
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE= old@host"
ECDSA = b"sk-ecdsa-sha2-nistp256@openssh.com"
ECDSA_TOKEN = f"{ECDSA.decode()} {base64.b64encode(string(ECDSA)).decode()} x"


def test_a_plain_key_round_trip() -> None:
    """A public key is read with and without its prefix, and nothing else passes for one."""
    public = os.urandom(32)
    text = keytext.format_key(public)
    assert keytext.parse_key(text) == keytext.parse_key(f" {public.hex()}\n") == public
    for wrong in ("", "ed25519:", text[:-1], text + "0", "rsa:" + public.hex()):
        with pytest.raises(LocalError, match="is not a public key"):
            keytext.parse_key(wrong)


def test_a_security_key_round_trip() -> None:
    """A security key is written with its application, and shares its digits with nothing else."""
    text = keytext.format_key(TOKEN.public)
    assert text == f"sk-ed25519:{POINT}:ssh:hedgerow"
    assert keytext.parse_key(text) == keytext.parse_key(f" {text}\n") == TOKEN.public
    assert keytext.short_key(TOKEN.public) == keytext.short_key(PLAIN.public) == POINT[:16]


@pytest.mark.parametrize("key", [PLAIN, TOKEN])
def test_the_line_of_ssh_is_the_same_key(tmp_path: Path, key: SoftKey) -> None:
    """The line that ssh prints, as text or in a .pub file, is the key that we print."""
    path = tmp_path / "key.pub"
    path.write_text(key.line)
    ours = keytext.format_key(key.public)
    for text in (key.line, key.line.strip(), str(path), ours):
        assert keytext.find_key(text) == key.public


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"sk-ed25519:{POINT}", "its application does not begin with 'ssh:'"),
        (f"sk-ed25519:{POINT}:example.com", "its application does not begin with 'ssh:'"),
        (f"sk-ed25519:{POINT[:-1]}:ssh:", "is not a public key"),
        (f"sk-ed25519:{POINT}0:ssh:", "is not a public key"),
        (RSA, "'ssh-rsa' is not an algorithm that signs here"),
        (ECDSA_TOKEN, "'sk-ecdsa-sha2-nistp256@openssh.com' is not an algorithm"),
        ("ssh-ed25519 AAAA", "is not a public key that signs here"),
        (f"{PLAIN.line}{TOKEN.line}", "one line with an algorithm and a key"),
    ],
)
def test_other_text_is_refused(text: str, message: str) -> None:
    """What cannot sign here is refused with the reason and a remedy."""
    with pytest.raises(LocalError, match=message) as caught:
        keytext.parse_key(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "one line with an algorithm and a key"),
        (RSA.encode(), "'ssh-rsa' is not an algorithm"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "key.pub does not hold one public key"),
        ((PLAIN.line + TOKEN.line).encode(), "one line with an algorithm and a key"),
        (b"\xff\xfe", "one line with an algorithm and a key"),
        (POINT.encode(), "one line with an algorithm and a key"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A .pub file holds one line of an Ed25519 key; whatever else is in it is named."""
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    with pytest.raises(LocalError, match=message) as caught:
        keytext.find_key(str(path))
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A .pub file that cannot be read is an error about the file, not about a key."""
    with pytest.raises(LocalError, match=r"cannot read .*nowhere\.pub: no such file"):
        keytext.find_key(str(tmp_path / "nowhere.pub"))
