"""One valid object of every type, made from fixed seeds, so that its bytes never change."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network

from crypto.identity import DeviceKeys, overlay6
from crypto.objects import (
    Accusation,
    Device,
    Directory,
    DirectoryDevice,
    Endpoint,
    Epoch,
    Head,
    Leave,
    Member,
    PartRef,
    Revoke,
    RevokeKind,
    Role,
    Root,
    SignedObject,
    Sponsor,
    Ticket,
    User,
)
from crypto.signing import ObjectType, object_id, public_key, seal

ISSUED = 1_790_000_000
DAY = 86_400
POLICY = b"policy of the sample mesh"


def seed(label: str) -> bytes:
    """Return the private seed that goes by this label."""
    return sha256(b"sample " + label.encode()).digest()


def keys(label: str) -> DeviceKeys:
    """Return the device keys that go by this label."""
    return DeviceKeys(seed(label), seed(label + " wireguard"), seed(label + " gossip"))


ADMINS = (seed("admin 0"), seed("admin 1"), seed("admin 2"))
REGISTRAR = seed("registrar")
REVOKER = seed("revoker")
TICKET = seed("ticket")
ALPHA = keys("alpha")
BETA = keys("beta")

ROOT = Root(
    version=1,
    mesh_name="sample",
    issued=ISSUED,
    expires=ISSUED + 365 * DAY,
    roles={
        "root": Role(2, tuple(map(public_key, ADMINS))),
        "policy": Role(2, tuple(map(public_key, ADMINS))),
        "registrar": Role(1, (public_key(REGISTRAR),)),
        "revoker": Role(1, (public_key(REVOKER),)),
    },
    limits={"devices": 1_000},
)
MESH_ID = object_id(ROOT.to_payload())
OTHER_MESH_ID = sha256(b"another mesh").digest()

DIRECTORY = Directory(
    users={"alice": User("okta:00u1abcd", ISSUED + 30 * DAY), "bob": User()},
    groups={"dba": ("alice",), "empty": ()},
    tags={"prod": ("group:dba", "user:bob"), "lab": ("bob",)},
    devices={
        "alpha": DirectoryDevice(ALPHA.device_id, ("prod",), "alice"),
        "spare": DirectoryDevice(),
    },
    closed_tickets=(sha256(b"closed").digest(),),
)
HEAD = Head(
    epoch=1,
    version=1,
    issued=ISSUED,
    stale_after=ISSUED + 7 * DAY,
    expires=ISSUED + 30 * DAY,
    previous=None,
    parts={
        "policy": PartRef(1, sha256(POLICY).digest(), len(POLICY)),
        "directory": PartRef(
            1, sha256(DIRECTORY.to_payload()).digest(), len(DIRECTORY.to_payload())
        ),
    },
    min_client_version=1,
)
TICKET_OBJECT = Ticket(
    public_key=public_key(TICKET),
    name=None,
    tags=("prod",),
    owner="alice",
    addresses=IPv4Network("100.64.7.0/28"),
    uses=5,
    issued=ISSUED,
    not_after=ISSUED + DAY,
    ephemeral_minutes=60,
)
TICKET_ID = object_id(TICKET_OBJECT.to_payload())
DEVICE = Device(
    device_id=ALPHA.device_id,
    wireguard_public=ALPHA.wireguard_public,
    gossip_public=ALPHA.gossip_public,
    name="alpha",
    owner="alice",
    tags=("prod",),
    address4=IPv4Address("100.64.7.1"),
    address6=overlay6(MESH_ID, ALPHA.device_id),
    issued=ISSUED,
    not_before=ISSUED,
    not_after=ISSUED + 90 * DAY,
    ticket=TICKET_ID,
)
EPOCH = Epoch(ISSUED * 1_000, 7)

OBJECTS: dict[ObjectType, SignedObject] = {
    ObjectType.ROOT: ROOT,
    ObjectType.HEAD: HEAD,
    ObjectType.TICKET: TICKET_OBJECT,
    ObjectType.DEVICE: DEVICE,
    ObjectType.SPONSOR: Sponsor(
        object_id(DEVICE.to_payload()), TICKET_ID, ISSUED + 60, BETA.device_id
    ),
    ObjectType.REVOKE: Revoke(RevokeKind.DEVICE, BETA.device_id, ISSUED + 90, "stolen"),
    ObjectType.MEMBER: Member(
        device_id=ALPHA.device_id,
        epoch=EPOCH,
        endpoints=(Endpoint("203.0.113.9", 41_641), Endpoint("2001:db8::9", 41_641)),
        gossip_key=ALPHA.gossip_public,
        reachable=True,
        issued=ISSUED + 120,
    ),
    ObjectType.ACCUSATION: Accusation(BETA.device_id, ALPHA.device_id, EPOCH, ISSUED + 180),
    ObjectType.LEAVE: Leave(ALPHA.device_id, EPOCH, ISSUED + 240),
}

SIGNERS: dict[ObjectType, tuple[bytes, ...]] = {
    ObjectType.ROOT: ADMINS,
    ObjectType.HEAD: ADMINS,
    ObjectType.TICKET: (REGISTRAR,),
    ObjectType.DEVICE: (TICKET,),
    ObjectType.SPONSOR: (BETA.sign_seed,),
    ObjectType.REVOKE: (REVOKER,),
    ObjectType.MEMBER: (ALPHA.sign_seed,),
    ObjectType.ACCUSATION: (BETA.sign_seed,),
    ObjectType.LEAVE: (ALPHA.sign_seed,),
}


def sealed(object_type: ObjectType) -> bytes:
    """Return the sample of this type in its envelope, signed by whom it should be."""
    payload = OBJECTS[object_type].to_payload()
    return seal(object_type, MESH_ID, payload, SIGNERS[object_type])


def signer_keys(object_type: ObjectType) -> tuple[bytes, ...]:
    """Return the public keys that have signed the sample of this type."""
    return tuple(map(public_key, SIGNERS[object_type]))
