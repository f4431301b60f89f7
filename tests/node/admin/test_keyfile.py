"""Key files: the public half is readable, the secret half needs the passphrase."""

from pathlib import Path

import pytest

from crypto import sealing, signing
from crypto.errors import LocalError, PassphraseError
from node.admin import files, keyfile

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing costs next to nothing here."""
    monkeypatch.setattr(keyfile, "COST", sealing.LIGHT)


@pytest.fixture
def key() -> keyfile.OpenKey:
    """A new key."""
    return keyfile.generate()


def saved(folder: Path, key: keyfile.OpenKey) -> Path:
    """Write a key file and return its path."""
    path = folder / "holder.key"
    files.write(path, keyfile.encode(key, PASSPHRASE), mode=files.SECRET_MODE)
    return path


def test_round_trip(tmp_path: Path, key: keyfile.OpenKey) -> None:
    """The passphrase gives back the key that was saved."""
    loaded = keyfile.load(saved(tmp_path, key))
    assert loaded.public == signing.public_key(key.seed)
    assert keyfile.unlock(loaded, PASSPHRASE) == key


def test_secret_stands_nowhere(tmp_path: Path, key: keyfile.OpenKey) -> None:
    """Neither the file nor the key's text form holds the seed."""
    text = saved(tmp_path, key).read_bytes()
    assert key.seed not in text
    assert key.seed.hex().encode() not in text
    assert key.seed.hex() not in repr(key)
    assert repr(key.seed) not in repr(key)


def test_wrong_passphrase_says_so(tmp_path: Path, key: keyfile.OpenKey) -> None:
    """A wrong passphrase names the file and is told from damage."""
    path = saved(tmp_path, key)
    with pytest.raises(PassphraseError, match=r"holder\.key: wrong passphrase"):
        keyfile.unlock(keyfile.load(path), "wrong horse battery")


def test_damaged_secret_says_so(tmp_path: Path, key: keyfile.OpenKey) -> None:
    """A sealed part with a changed letter is called damaged, not a wrong passphrase."""
    path = saved(tmp_path, key)
    text = path.read_text()
    at = text.index('sealed = "') + 60
    other = "A" if text[at] != "A" else "B"
    path.write_text(text[:at] + other + text[at + 1 :])
    with pytest.raises(PassphraseError, match="damaged"):
        keyfile.unlock(keyfile.load(path), PASSPHRASE)


def test_exchanged_public_half_is_noticed(tmp_path: Path, key: keyfile.OpenKey) -> None:
    """A file whose public half was replaced does not open, so it cannot sign for another."""
    path = saved(tmp_path, key)
    other = keyfile.generate()
    text = path.read_text().replace(key.public.hex(), other.public.hex())
    path.write_text(text)
    with pytest.raises(LocalError, match="do not belong together"):
        keyfile.unlock(keyfile.load(path), PASSPHRASE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"not toml at all [",
        b'format = "hedgerow-key-2"\npublic = "x"\nsealed = ""\n',
        b'format = "hedgerow-key-1"\nsealed = ""\n',
        b'format = "hedgerow-key-1"\npublic = "ed25519:12"\nsealed = ""\n',
        b'format = "hedgerow-key-1"\npublic = 7\nsealed = ""\n',
        b'format = "hedgerow-key-1"\npublic = "ed25519:%s"\nsealed = "!"\n' % (b"a" * 64),
    ],
)
def test_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever is not a key file is called so, and never ends in another error."""
    path = tmp_path / "some.key"
    path.write_bytes(content)
    with pytest.raises(LocalError, match="is not a key file, or it is damaged"):
        keyfile.load(path)


def test_short_passphrase_is_refused(key: keyfile.OpenKey) -> None:
    """A passphrase of seven characters is refused, one of eight is taken."""
    with pytest.raises(LocalError, match="shorter than 8 characters"):
        keyfile.encode(key, "1234567")
    assert keyfile.encode(key, "12345678")
