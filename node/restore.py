"""Bring verified state back: from the state file, or from what an invite or approval carries.

Everything is verified again, whatever wrote it. What no longer holds is left out and reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from crypto.clock import Interval
from crypto.errors import HedgerowError, LocalError, ObjectError, PeerError
from crypto.objects import Device, Directory
from crypto.signing import decode
from crypto.trust import Trust
from node.engine.view import Bundle
from node.patience import PatientTrust
from node.state import Store
from policy.model import Policy

# Names of values in the state file.
MESH_ID = "mesh_id"
DEVICE = "device"
ADOPTED = "adopted_head"
FLOOR = "floor"
WIREGUARD_PORT = "wireguard_port"
CONTROL_PORT = "control_port"


class RestoreError(LocalError):
    """What the state file holds is no membership. State unchanged."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What the state file held.

    Attributes:
        trust: the verified state.
        device: this device.
        device_raw: its envelope, for members that do not know it yet.
        bundle: the policy in force, or None where none was adopted yet.
        refused: what did not stand up again, in words.
    """

    trust: PatientTrust
    device: Device
    device_raw: bytes
    bundle: Bundle | None
    refused: tuple[str, ...]


def load(store: Store, now: Interval) -> Restored:
    """Return what the state file holds, verified.

    Raises:
        RestoreError: it holds no membership, or one that does not stand up.
        StateError: it cannot be read.
    """
    mesh_id = store.get(MESH_ID)
    if mesh_id is None:
        raise RestoreError(
            "this machine has not joined a mesh", remedy="join one with `hedgerow join INVITE`"
        )
    objects = [raw for _, _, raw in store.objects()]
    try:
        found = PatientTrust.restore(objects, now, adopted=store.get(ADOPTED), mesh_id=mesh_id)
    except PeerError as error:
        raise RestoreError(
            f"the state file does not hold the mesh it names: {error}",
            remedy="restore the folder from a backup, or move it away and join again",
        ) from error
    trust = cast("PatientTrust", found.trust)
    for data in store.parts().values():
        trust.admit_part(data)
    refused = [str(error) for _, error in found.refused]
    bundle = None
    try:
        bundle = decode_adopted(trust)
    except HedgerowError as error:
        refused.append(f"the bundle in force: {error}")
    if bundle is not None:
        trust.set_directory(bundle.directory)
    raw = _own_raw(store)
    return Restored(trust, _device(raw), raw, bundle, tuple(refused))


def own_device(store: Store) -> Device:
    """Return this device as it was enrolled.

    Raises:
        RestoreError: the state file does not hold it.
    """
    return _device(_own_raw(store))


def _device(raw: bytes) -> Device:
    return Device.from_payload(decode(raw).payload)


def _own_raw(store: Store) -> bytes:
    object_id = store.get(DEVICE)
    for _, key, raw in store.objects():
        if key == object_id:
            return raw
    raise RestoreError(
        "the state file does not hold this device",
        remedy="restore the folder from a backup, or move it away and join again",
    )


def is_member(store: Store) -> bool:
    """Whether a join was completed with this state file."""
    return store.get(MESH_ID) is not None


def decode_adopted(trust: Trust) -> Bundle | None:
    """Return the adopted head's policy and directory, or None where there is none.

    Raises:
        HedgerowError: a part is missing, or is not what it should be.
    """
    head = trust.head
    if head is None:
        return None
    parts = {name: trust.part(ref.hash) for name, ref in head.parts.items()}
    held = {name: data for name, data in parts.items() if data is not None}
    return decode_parts(held, expires=head.expires)


def decode_parts(parts: Mapping[str, bytes], *, expires: float) -> Bundle:
    """Return the policy and directory of a bundle.

    Raises:
        PeerError: one is missing, or is not what it should be.
    """
    missing = sorted({"policy", "directory"} - parts.keys())
    if missing:
        raise ObjectError(f"bundle: it has no part {' and no part '.join(missing)}")
    return Bundle(
        policy=Policy.decode(parts["policy"]),
        directory=Directory.from_payload(parts["directory"]),
        expires=expires,
    )


def known_parts(trust: Trust) -> Iterator[tuple[bytes, bytes]]:
    """Yield hash and bytes of each part of the adopted head and of the candidate."""
    for head in (trust.head, trust.candidate):
        for ref in head.parts.values() if head is not None else ():
            data = trust.part(ref.hash)
            if data is not None:
                yield ref.hash, data


def begin(roots: Sequence[bytes], now: Interval) -> Trust:
    """Return the verified state that a chain of roots from version 1 on gives.

    Raises:
        PeerError: one of them does not stand up.
    """
    trust = Trust(roots[0])
    for raw in roots[1:]:
        trust.admit(raw, now)
    return trust


def admit_all(trust: Trust, raws: Iterable[bytes], now: Interval) -> list[tuple[bytes, PeerError]]:
    """Admit objects in whatever order they stand on each other; return those that do not hold.

    An object may come before the one it rests on: whatever fails is tried again as long as
    anything was admitted since.
    """
    waiting = list(raws)
    while True:
        failed: list[tuple[bytes, PeerError]] = []
        for raw in waiting:
            try:
                trust.admit(raw, now)
            except PeerError as error:
                failed.append((raw, error))
        if not failed or len(failed) == len(waiting):
            return failed
        waiting = [raw for raw, _ in failed]
