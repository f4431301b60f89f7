"""The objects of a mesh: what their payloads say, each checked on construction.

Every one is a frozen record with `to_payload` and `from_payload`. A record that exists is valid
by itself; whether it is signed by the right keys and may replace what is known is for
`crypto.trust` to say.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from crypto.errors import ObjectError
from crypto.objects.devices import Device, Revoke, RevokeKind, Sponsor, Ticket
from crypto.objects.directory import Directory, DirectoryDevice, User
from crypto.objects.members import Accusation, Endpoint, Epoch, Leave, Member
from crypto.objects.roots import (
    DEFAULT_POOL4,
    PART_BYTES_MAX,
    ROLE_NAMES,
    Head,
    PartRef,
    Role,
    Root,
)
from crypto.signing import Envelope, ObjectType, decode

SignedObject: TypeAlias = (
    Root | Head | Ticket | Device | Sponsor | Revoke | Member | Accusation | Leave
)
"""Whatever an envelope can carry."""

__all__ = [
    "DEFAULT_POOL4",
    "PART_BYTES_MAX",
    "ROLE_NAMES",
    "Accusation",
    "Device",
    "Directory",
    "DirectoryDevice",
    "Endpoint",
    "Epoch",
    "Head",
    "Leave",
    "Member",
    "PartRef",
    "Revoke",
    "RevokeKind",
    "Role",
    "Root",
    "SignedObject",
    "Sponsor",
    "Ticket",
    "User",
    "parse",
    "payload_of",
]

_PARSERS: Final[Mapping[ObjectType, Callable[[bytes], SignedObject]]] = {
    ObjectType.ROOT: Root.from_payload,
    ObjectType.HEAD: Head.from_payload,
    ObjectType.TICKET: Ticket.from_payload,
    ObjectType.DEVICE: Device.from_payload,
    ObjectType.SPONSOR: Sponsor.from_payload,
    ObjectType.REVOKE: Revoke.from_payload,
    ObjectType.MEMBER: Member.from_payload,
    ObjectType.ACCUSATION: Accusation.from_payload,
    ObjectType.LEAVE: Leave.from_payload,
}


def parse(envelope: Envelope) -> SignedObject:
    """Return the object an envelope carries; its signatures are not looked at.

    Raises:
        CodecError: If the payload is not strict CBOR.
        ObjectError: If it is no valid object of the envelope's type.
    """
    return _PARSERS[envelope.type](envelope.payload)


def payload_of(raw: bytes, expected: ObjectType) -> bytes:
    """Return the payload of an envelope that has to be of this type; nothing is verified.

    Raises:
        CodecError: If `raw` is not strict CBOR.
        ObjectError: If it is no envelope, or one of another type.
    """
    envelope = decode(raw)
    if envelope.type is not expected:
        raise ObjectError(f"a {expected} was expected, not a {envelope.type}")
    return envelope.payload
