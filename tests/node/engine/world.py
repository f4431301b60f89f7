"""A small mesh as the engine sees it, and the kernel's lookup in plain Python."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from crypto.identity import DeviceKeys, overlay6
from crypto.objects import Device, Directory, DirectoryDevice, User
from node.engine.desired import Desired, PortKey
from node.engine.view import Bundle, NodeView
from policy.model import Policy

MESH = bytes(range(32))
POOL4 = IPv4Network("100.64.0.0/10")
NOW = 1_800_000_000
NAMES = ("gateway", "alice-laptop", "db1", "ci", "stranger")
OWNERS = {"alice-laptop": "alice", "ci": "bob"}
TAGS = {"db1": ("prod",), "gateway": ("prod", "edge")}


def _keys(number: int) -> DeviceKeys:
    drawn = iter(range(256))
    return DeviceKeys.generate(lambda length: bytes([number, next(drawn)] * (length // 2)))


def device(number: int, *, not_after: int | None = None) -> Device:
    """Return one device of the mesh; the same every time."""
    keys, name = _keys(number + 1), NAMES[number]
    return Device(
        device_id=keys.device_id,
        wireguard_public=keys.wireguard_public,
        gossip_public=keys.gossip_public,
        name=name,
        owner=OWNERS.get(name),
        tags=TAGS.get(name, ()),
        address4=IPv4Address("100.64.0.1") + number,
        address6=overlay6(MESH, keys.device_id),
        issued=NOW - 1_000,
        not_before=NOW - 1_000,
        not_after=not_after,
    )


DEVICES = {each.device_id: each for each in map(device, range(len(NAMES)))}
IDS = {each.name: each.device_id for each in DEVICES.values()}
DIRECTORY = Directory(
    users={"alice": User(), "bob": User(not_after=NOW + 300)},
    groups={"staff": ("alice", "bob")},
    tags={"prod": (), "edge": (), "build": ()},
    devices={
        "db1": DirectoryDevice(device_id=IDS["db1"]),
        "ci": DirectoryDevice(tags=("build",)),
    },
)


def view(
    name: str,
    policy: Policy | None,
    *,
    devices: Mapping[bytes, Device] = DEVICES,
    vouched: Iterable[str] = NAMES[:-1],
    directory: Directory = DIRECTORY,
) -> NodeView:
    """Return what a node of the mesh sees; the stranger chose its name itself."""
    bundle = None if policy is None else Bundle(policy, directory, expires=NOW + 1_000_000)
    return NodeView(
        mesh_id=MESH,
        pool4=POOL4,
        me=DEVICES[IDS[name]],
        wireguard_port=41_641,
        control_port=50_000,
        devices=devices,
        vouched=frozenset(IDS[each] for each in vouched),
        bundle=bundle,
        freshness="none" if bundle is None else "fresh",
    )


def allows(
    desired: Desired, side: str, peer: Device, proto: int, port: int | None, now: float
) -> bool:
    """Look a flow up as the kernel does: class, then port, protocol, anything, each if live."""
    direction = desired.plan.inbound if side == "in" else desired.plan.outbound
    cls = direction.classes.get(peer.address4)
    assert cls == direction.classes.get(peer.address6)
    if cls is None:
        return False
    keys = [key for key in direction.ports if key.cls == cls and key.proto == proto]
    exact = [
        key
        for key in keys
        if port is not None and key.lo is not None and key.hi is not None
        if key.lo <= port <= key.hi
    ]
    assert len(exact) <= 1, "ranges of one class and protocol overlap"
    for key in (*exact, PortKey(cls, proto, None, None), PortKey(cls, None, None, None)):
        gid = direction.ports.get(key)
        if gid is None or (peer.address4, gid) not in direction.live:
            continue
        until = direction.live[peer.address4, gid]
        assert until == direction.live[peer.address6, gid]
        if until is None or until > now:
            return True
    return False
