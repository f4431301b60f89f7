"""The key file: secret, whole or absent, and honest about damage."""

import os
import stat
from pathlib import Path

import pytest

from crypto import codec
from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from node import keystore
from tests.node.crash import crashes


@pytest.fixture
def keys() -> DeviceKeys:
    """Some keys."""
    return DeviceKeys.generate(os.urandom)


def test_keys_come_back(tmp_path: Path, keys: DeviceKeys) -> None:
    """What was saved is loaded."""
    keystore.save(tmp_path, keys)
    loaded = keystore.load(tmp_path)
    assert loaded is not None
    assert loaded.sign_seed == keys.sign_seed
    assert loaded.wireguard_private == keys.wireguard_private
    assert loaded.gossip_private == keys.gossip_private


def test_no_file_is_no_keys(tmp_path: Path) -> None:
    """A fresh folder is not an error."""
    assert keystore.load(tmp_path) is None


def test_only_the_owner_may_read_it(tmp_path: Path, keys: DeviceKeys) -> None:
    """The mode is 0600 whatever the umask says."""
    before = os.umask(0)
    try:
        keystore.save(tmp_path, keys)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / keystore.FILE).stat().st_mode) == 0o600


def test_a_file_that_others_may_read_is_refused(tmp_path: Path, keys: DeviceKeys) -> None:
    """The remedy is the command that mends it."""
    keystore.save(tmp_path, keys)
    (tmp_path / keystore.FILE).chmod(0o640)
    with pytest.raises(LocalError, match="may be read by others") as caught:
        keystore.load(tmp_path)
    assert "chmod 600" in caught.value.remedy


def test_keys_are_never_replaced(tmp_path: Path, keys: DeviceKeys) -> None:
    """A second save fails and leaves the first."""
    keystore.save(tmp_path, keys)
    with pytest.raises(LocalError):
        keystore.save(tmp_path, DeviceKeys.generate(os.urandom))
    loaded = keystore.load(tmp_path)
    assert loaded is not None
    assert loaded.device_id == keys.device_id


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xff",
        codec.dumps({0: "something else", 1: 1, 2: [bytes(32)] * 3}),
        codec.dumps({0: "hedgerow device keys", 1: 2, 2: [bytes(32)] * 3}),
        codec.dumps({0: "hedgerow device keys", 1: 1, 2: [bytes(32), bytes(31), bytes(32)]}),
        codec.dumps([1, 2, 3]),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    """Anything but keys is a LocalError that says what to do."""
    path = tmp_path / keystore.FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(LocalError, match=r"device\.key") as caught:
        keystore.load(tmp_path)
    assert "join again" in caught.value.remedy


def test_t25_a_crash_at_any_line_leaves_no_keys_or_all(tmp_path: Path, keys: DeviceKeys) -> None:
    """T25: kill -9 at every line of the save; the next start finds nothing or the keys."""
    outcomes = set()
    for _ in crashes(lambda: keystore.save(tmp_path, keys), "node.keystore", "node.admin.files"):
        loaded = keystore.load(tmp_path)
        outcomes.add(loaded is not None)
        assert loaded is None or loaded.device_id == keys.device_id
        (tmp_path / keystore.FILE).unlink(missing_ok=True)
    assert outcomes == {False, True}
