"""A device's address in the range of its ticket, and another one if that is taken.

A ticket for many devices gives a range, and each device chooses from it by a hash of its key
before it can know who else is there. Of two that choose one address the earlier keeps it, on every
node alike (`crypto.trust`), and the other is not in force. It then signs a newer device object of
the same enrolment with another address, which takes no further use of the ticket, and any member
may sponsor that as it did the first.

For this the ticket's key is kept beside the device's keys, as secret as they are, until the device
has been in force for an hour: by then whoever joined at the same moment elsewhere is known here.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from crypto import codec, signing
from crypto.clock import Interval
from crypto.errors import CodecError, LocalError
from crypto.identity import DeviceKeys
from crypto.objects import Device, Ticket
from crypto.signing import ObjectType
from node.admin import files

FILE = "ticket.key"

_CONTEXT = b"hedgerow-address4"
_MAGIC = "hedgerow ticket key"
_VERSION = 1
_KEY_BYTES = 32
_HASHES = 16
_NEAR_MAX = 4_096


def choose(
    addresses: IPv4Network,
    mesh_id: bytes,
    device_id: bytes,
    *,
    taken: Collection[IPv4Address] = (),
) -> IPv4Address | None:
    """Return a device's address in a ticket's range, a hash of its key; None if none is free.

    The first and the last address of a range are left out where it has more than two: they may be
    those of the whole pool, which no host can have.

    Args:
        addresses: the range.
        mesh_id: the mesh.
        device_id: the device.
        taken: addresses that others have, or that were tried.
    """
    size = addresses.num_addresses
    first, count = (1, size - 2) if size > 2 else (0, size)
    for place in _places(count, mesh_id + device_id):
        if addresses[first + place] not in taken:
            return addresses[first + place]
    return None


def _places(count: int, name: bytes) -> Iterator[int]:
    """Yield places to try: by chance first, so that two who met once part, then those near by."""
    start = 0
    for number in range(_HASHES):
        again = b"" if number == 0 else bytes([number])
        digest = hashlib.sha256(_CONTEXT + name + again).digest()
        start = int.from_bytes(digest[:8], "big") % count
        yield start
    for offset in range(1, min(count, _NEAR_MAX)):
        yield (start + offset) % count


def keep(folder: Path, seed: bytes) -> None:
    """Keep a ticket's key, in a file that only its owner may read.

    Raises:
        LocalError: the folder cannot be written to.
    """
    data = codec.dumps({0: _MAGIC, 1: _VERSION, 2: seed})
    files.write(folder / FILE, data, mode=files.SECRET_MODE, replace=True)


def load(folder: Path) -> bytes | None:
    """Return the kept key, or None where there is none.

    Raises:
        LocalError: it cannot be read, or is none.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        value = codec.loads(files.read(path))
    except CodecError as error:
        raise LocalError(f"{path} is damaged: {error}", remedy="remove it") from error
    match value:
        case {0: str(magic), 1: int(version), 2: bytes(seed)}:
            if (magic, version, len(seed)) == (_MAGIC, _VERSION, _KEY_BYTES):
                return seed
    raise LocalError(f"{path} does not hold the key of a ticket", remedy="remove it")


def forget(folder: Path) -> None:
    """Erase the kept key.

    Raises:
        LocalError: the folder cannot be written to.
    """
    with files.explained("remove", folder / FILE):
        (folder / FILE).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a device needs to sign itself again.

    Attributes:
        mesh_id: the mesh.
        ticket: the ticket it came with.
        seed: that ticket's key.
        keys: its own keys.
    """

    mesh_id: bytes
    ticket: Ticket
    seed: bytes
    keys: DeviceKeys

    def again(
        self, device: Device, taken: Collection[IPv4Address], now: Interval
    ) -> tuple[Device, bytes] | None:
        """Return the device with another address, and its envelope; None if there is no way.

        Args:
            device: its newest object so far.
            taken: addresses that others have, or that were tried.
            now: the time.
        """
        address = choose(self.ticket.addresses, self.mesh_id, device.device_id, taken=taken)
        # The newest object of an enrolment counts, whatever the clock says.
        issued = max(device.issued + 1, int(now.lo))
        if address is None or issued >= self.ticket.not_after:
            return None
        life = self.ticket.ephemeral_minutes
        again = replace(
            device,
            address4=address,
            issued=issued,
            not_after=device.not_after if life is None else issued + 60 * life,
        )
        seeds = [self.seed, self.keys.sign_seed]
        raw = signing.seal(ObjectType.DEVICE, self.mesh_id, again.to_payload(), seeds)
        return again, raw


def lost(reason: str, address: IPv4Address) -> bool:
    """Whether the reason why a device is not in force is that another has its address."""
    return f"{address} belongs to " in reason
