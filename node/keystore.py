"""The device's three private keys, in a file that only its owner may read."""

import stat
from pathlib import Path

from crypto import codec
from crypto.errors import CodecError, LocalError
from crypto.identity import DeviceKeys
from node.admin import files

FILE = "device.key"
_MAGIC = "hedgerow device keys"
_VERSION = 1
_KEY_BYTES = 32
_REMEDY = "restore the file from a backup, or move the folder away and join again"


def save(folder: Path, keys: DeviceKeys) -> None:
    """Write the keys; a crash leaves no file or the whole one. Never replaces a file.

    Raises:
        LocalError: the file exists, or the folder cannot be written to.
    """
    secrets = (keys.sign_seed, keys.wireguard_private, keys.gossip_private)
    data = codec.dumps({0: _MAGIC, 1: _VERSION, 2: list(secrets)})
    files.write(folder / FILE, data, mode=files.SECRET_MODE)


def load(folder: Path) -> DeviceKeys | None:
    """Read the keys, or return None where there are none yet.

    Raises:
        LocalError: others may read the file, or it does not hold keys.
    """
    path = folder / FILE
    if not path.exists():
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise LocalError(
            f"{path} may be read by others (mode {mode:04o})",
            remedy=f"run `chmod 600 {path}`, and join again if anyone may have read it",
        )
    return _decode(path, files.read(path))


def forget(folder: Path) -> None:
    """Remove the keys from a folder, once they are kept in another."""
    with files.explained("remove", folder / FILE):
        (folder / FILE).unlink(missing_ok=True)


def _decode(path: Path, data: bytes) -> DeviceKeys:
    try:
        value = codec.loads(data)
    except CodecError as error:
        raise LocalError(f"{path} is damaged: {error}", remedy=_REMEDY) from error
    match value:
        case {0: str(magic), 1: int(version), 2: [bytes(sign), bytes(wireguard), bytes(gossip)]}:
            if magic == _MAGIC and version == _VERSION:
                keys = (sign, wireguard, gossip)
                if all(len(key) == _KEY_BYTES for key in keys):
                    return DeviceKeys(*keys)
    raise LocalError(f"{path} does not hold the keys of a device", remedy=_REMEDY)
