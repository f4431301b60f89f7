"""What the engine looks at: verified state, and what is known about paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

from crypto.identity import mesh_prefix6
from crypto.objects import Device, Directory, DirectoryDevice
from policy.model import Facts, Policy, Subject

Freshness: TypeAlias = Literal["none", "fresh", "stale", "expired"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The policy in force: a head that was adopted, decoded.

    Attributes:
        policy: the rules.
        directory: the users, groups, tags and devices that they speak of.
        expires: when the head expires, Unix seconds.
    """

    policy: Policy
    directory: Directory
    expires: float


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node's verified state at one moment. Time itself comes beside it.

    Attributes:
        mesh_id: the mesh.
        pool4: the mesh's IPv4 range.
        me: this device.
        wireguard_port: the UDP port that the outside sees.
        control_port: the port of the control socket behind it; see `FirewallPlan`.
        devices: the devices in force, this one among them if it is.
        vouched: the devices whose names an admin gave.
        bundle: the policy in force, or None before there is any.
        freshness: the age of the bundle.
        paths: confirmed underlay addresses of devices.
        natted: devices known to sit behind an address translator, this one included.
        facts: what is known of devices beyond the directory.
    """

    mesh_id: bytes
    pool4: IPv4Network
    me: Device
    wireguard_port: int
    control_port: int | None
    devices: Mapping[bytes, Device]
    vouched: frozenset[bytes] = frozenset()
    bundle: Bundle | None = None
    freshness: Freshness = "none"
    paths: Mapping[bytes, tuple[str, int]] = field(default_factory=dict)
    natted: frozenset[bytes] = frozenset()
    facts: Facts = field(default_factory=Facts)

    @property
    def pool6(self) -> IPv6Network:
        """The mesh's IPv6 range."""
        return mesh_prefix6(self.mesh_id)

    def subjects(self) -> dict[bytes, Subject]:
        """Return the devices in force as the policy sees them: their words and the directory's.

        What the directory says under a name holds for the device pinned to it or, as long as
        none is, for the device to which an admin gave that name.
        """
        entries = self.bundle.directory.devices if self.bundle else {}
        pinned = {entry.device_id: entry for entry in entries.values() if entry.device_id}
        return {
            device_id: self._subject(device, pinned.get(device_id), entries.get(device.name))
            for device_id, device in self.devices.items()
        }

    def _subject(
        self, device: Device, pinned: DirectoryDevice | None, named: DirectoryDevice | None
    ) -> Subject:
        vouched = device.device_id in self.vouched
        tags, owner = set(device.tags), device.owner
        if named is not None and (named.device_id is not None or not vouched):
            named = None
        for entry in (named, pinned):
            if entry is not None:
                tags |= set(entry.tags)
                owner = entry.owner or owner
        return Subject(
            device_id=device.device_id,
            name=device.name,
            name_trusted=vouched,
            owner=owner,
            tags=frozenset(tags),
            not_after=device.not_after,
        )


def interface_name(device_id: bytes) -> str:
    """Return the name of a device's tunnel interface.

    It is unique on the host and not only in its namespace: wireguard-go's socket is named by it.
    """
    return f"hg{sha256(device_id).hexdigest()[:8]}"
