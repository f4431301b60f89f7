"""How devices come into a mesh and leave it: tickets, devices, sponsors and revocations."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from crypto.errors import ObjectError
from crypto.identity import overlay6
from crypto.objects import fields
from crypto.objects.fields import Reader
from crypto.signing import is_valid_admin_key

USES_MAX: Final = 65_535
EPHEMERAL_MINUTES_MAX: Final = 366 * 24 * 60


@dataclass(frozen=True, slots=True)
class Ticket:
    """A key that may enrol devices within these constraints; signed by a registrar.

    The private half travels in the invite.

    Attributes:
        public_key: The key that signs devices under this ticket; also the ticket's name.
        name: The exact name the device gets; None leaves it to the device, unproven.
        tags: Which tags its devices get.
        owner: Which user they belong to.
        addresses: Where their IPv4 addresses come from; one address for one use.
        uses: How many devices it enrols.
        issued: When it was made.
        not_after: From when it enrols nobody any more.
        ephemeral_minutes: After how long unseen its devices are forgotten; None keeps them.

    Raises:
        ObjectError: If the rules above are broken, a name is fixed for more than one use, or
            there are fewer addresses than uses.
    """

    public_key: bytes
    name: str | None
    tags: tuple[str, ...]
    owner: str | None
    addresses: IPv4Network
    uses: int
    issued: int
    not_after: int
    ephemeral_minutes: int | None = None

    def __post_init__(self) -> None:
        fields.check_signing_key("ticket", "public key", self.public_key)
        _check_who("ticket", self.name, self.tags, self.owner)
        fields.check_times("ticket", issued=self.issued, not_after=self.not_after)
        fields.check("ticket", holds=self.issued < self.not_after, rule="it ends before it begins")
        fields.check_number("ticket", "uses", self.uses, lo=1, hi=USES_MAX)
        fields.check(
            "ticket",
            holds=self.uses == 1 or self.name is None,
            rule=f"one name cannot serve {self.uses} devices",
        )
        fields.check(
            "ticket",
            holds=self.uses <= self.addresses.num_addresses,
            rule=f"{self.addresses} has fewer addresses than {self.uses} uses need",
        )
        fields.check_unicast4("ticket", "addresses", self.addresses.network_address)
        if self.ephemeral_minutes is not None:
            fields.check_number(
                "ticket",
                "ephemeral minutes",
                self.ephemeral_minutes,
                lo=1,
                hi=EPHEMERAL_MINUTES_MAX,
            )

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {
                1: self.public_key,
                2: self.name,
                3: self.tags,
                4: self.owner,
                5: fields.network4_fields(self.addresses),
                6: self.uses,
                7: self.issued,
                8: self.not_after,
                9: self.ephemeral_minutes,
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Ticket":
        """Return the ticket that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid ticket.
        """
        reader = Reader.of_payload("ticket", payload)
        ticket = cls(
            public_key=reader.take(1, "public key", bytes),
            name=reader.take_optional(2, "name", str),
            tags=reader.take_items(3, "tags", str),
            owner=reader.take_optional(4, "owner", str),
            addresses=reader.take_network4(5, "addresses"),
            uses=reader.take(6, "uses", int),
            issued=reader.take(7, "issued", int),
            not_after=reader.take(8, "not_after", int),
            ephemeral_minutes=reader.take_optional(9, "ephemeral minutes", int),
        )
        reader.finish()
        return ticket


@dataclass(frozen=True, slots=True)
class Device:
    """One machine of the mesh: its keys, names and addresses; signed by a registrar or a ticket.

    Attributes:
        device_id: Its Ed25519 public key.
        wireguard_public: Its X25519 key in the tunnel.
        gossip_public: Its X25519 key for the first gossip session.
        name: A host name.
        owner: The user it belongs to.
        tags: Its tags.
        address4: Its IPv4 address in the mesh.
        address6: Its IPv6 address in the mesh, which follows from mesh id and device id.
        issued: When this was signed.
        not_before: From when it holds.
        not_after: Until when; None until revoked.
        ticket: Object id of the ticket it was enrolled under; None if a registrar signs.

    Raises:
        ObjectError: If the rules above are broken.
    """

    device_id: bytes
    wireguard_public: bytes
    gossip_public: bytes
    name: str
    owner: str | None
    tags: tuple[str, ...]
    address4: IPv4Address
    address6: IPv6Address
    issued: int
    not_before: int
    not_after: int | None = None
    ticket: bytes | None = None

    def __post_init__(self) -> None:
        fields.check_signing_key("device", "device id", self.device_id)
        fields.check_exchange_key("device", "WireGuard key", self.wireguard_public)
        fields.check_exchange_key("device", "gossip key", self.gossip_public)
        _check_who("device", self.name, self.tags, self.owner)
        fields.check_unicast4("device", "address4", self.address4)
        fields.check(
            "device",
            holds=self.address6.is_private and self.address6.packed[0] == 0xFD,
            rule=f"address6 {self.address6} is no local address (fd00::/8)",
        )
        fields.check_times(
            "device", issued=self.issued, not_before=self.not_before, not_after=self.not_after
        )
        fields.check(
            "device",
            holds=self.not_after is None or self.not_after > self.not_before,
            rule="it ends before it begins",
        )
        fields.check_hashes("device", ticket=self.ticket)

    def check_addresses(self, mesh_id: bytes, pool4: IPv4Network) -> None:
        """Raise unless both addresses are ones this device may have in this mesh.

        Raises:
            ObjectError: If address6 is not the one of its key, or address4 is outside the pool or
                is the pool's network or broadcast address.
        """
        expected = overlay6(mesh_id, self.device_id)
        if self.address6 != expected:
            raise ObjectError(f"device {self.name}: address6 {self.address6} is not {expected}")
        unusable = (pool4.network_address, pool4.broadcast_address)
        if self.address4 not in pool4 or self.address4 in unusable:
            raise ObjectError(
                f"device {self.name}: address4 {self.address4} is no host of {pool4}"
            )

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {
                1: self.device_id,
                2: self.wireguard_public,
                3: self.gossip_public,
                4: self.name,
                5: self.owner,
                6: self.tags,
                7: self.address4.packed,
                8: self.address6.packed,
                9: self.issued,
                10: self.not_before,
                11: self.not_after,
                12: self.ticket,
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Device":
        """Return the device that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid device.
        """
        reader = Reader.of_payload("device", payload)
        device = cls(
            device_id=reader.take(1, "device id", bytes),
            wireguard_public=reader.take(2, "WireGuard key", bytes),
            gossip_public=reader.take(3, "gossip key", bytes),
            name=reader.take(4, "name", str),
            owner=reader.take_optional(5, "owner", str),
            tags=reader.take_items(6, "tags", str),
            address4=IPv4Address(_packed(reader, 7, "address4", 4)),
            address6=IPv6Address(_packed(reader, 8, "address6", 16)),
            issued=reader.take(9, "issued", int),
            not_before=reader.take(10, "not_before", int),
            not_after=reader.take_optional(11, "not_after", int),
            ticket=reader.take_optional(12, "ticket", bytes),
        )
        reader.finish()
        return device


@dataclass(frozen=True, slots=True)
class Sponsor:
    """A member's word that it let this device in at this time; signed by the sponsor's device key.

    Attributes:
        device: Object id of the device.
        ticket: Object id of its ticket.
        at: The sponsor's clock when it did.
        sponsor: Device id of who says so.

    Raises:
        ObjectError: If an id has the wrong length or the time is out of range.
    """

    device: bytes
    ticket: bytes
    at: int
    sponsor: bytes

    def __post_init__(self) -> None:
        fields.check_hashes(
            "sponsor", device=self.device, ticket=self.ticket, sponsor=self.sponsor
        )
        fields.check_times("sponsor", at=self.at)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode({1: self.device, 2: self.ticket, 3: self.at, 4: self.sponsor})

    @classmethod
    def from_payload(cls, payload: bytes) -> "Sponsor":
        """Return the sponsorship that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid sponsorship.
        """
        reader = Reader.of_payload("sponsor", payload)
        sponsor = cls(
            device=reader.take(1, "device", bytes),
            ticket=reader.take(2, "ticket", bytes),
            at=reader.take(3, "at", int),
            sponsor=reader.take(4, "sponsor", bytes),
        )
        reader.finish()
        return sponsor


class RevokeKind(StrEnum):
    """What a revocation takes away."""

    DEVICE = "device"
    TICKET = "ticket"
    USER = "user"
    REGISTRAR = "registrar"
    GRANT = "grant"


_NAMED_KINDS: Final = frozenset({RevokeKind.USER, RevokeKind.GRANT})


@dataclass(frozen=True, slots=True)
class Revoke:
    """Takes something away for good; signed by any one revoker, or by the subject device itself.

    There is no undoing one, so the order of arrival never matters.

    Attributes:
        kind: What the subject is.
        subject: 32 bytes for a device or a ticket, a key that may hold a role for a registrar;
            a name for a user or a grant.
        issued: When it was made.
        reason: For people; may be empty.

    Raises:
        ObjectError: If the kind is unknown or the subject does not fit it.
    """

    kind: RevokeKind
    subject: bytes | str
    issued: int
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _kind(self.kind))
        if isinstance(self.subject, str):
            fields.check_name("revoke", "subject", self.subject, fields.USER_NAME)
        elif self.kind is not RevokeKind.REGISTRAR or not is_valid_admin_key(self.subject):
            fields.check_hashes("revoke", subject=self.subject)
        fields.check(
            "revoke",
            holds=isinstance(self.subject, str) == (self.kind in _NAMED_KINDS),
            rule=f"the subject is no {self.kind}",
        )
        fields.check_times("revoke", issued=self.issued)
        fields.check_text("revoke", "reason", self.reason)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode({1: self.kind.value, 2: self.subject, 3: self.issued, 4: self.reason})

    @classmethod
    def from_payload(cls, payload: bytes) -> "Revoke":
        """Return the revocation that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid revocation.
        """
        reader = Reader.of_payload("revoke", payload)
        kind = _kind(reader.take(1, "kind", str))
        subject_type: type[str | bytes] = str if kind in _NAMED_KINDS else bytes
        revoke = cls(
            kind=kind,
            subject=reader.take(2, "subject", subject_type),
            issued=reader.take(3, "issued", int),
            reason=reader.take(4, "reason", str),
        )
        reader.finish()
        return revoke


def _kind(name: str) -> RevokeKind:
    try:
        return RevokeKind(name)
    except ValueError:
        raise ObjectError(f"revoke: kind {name[:64]!r} is unknown") from None


def _check_who(what: str, name: str | None, tags: tuple[str, ...], owner: str | None) -> None:
    if name is not None:
        fields.check_name(what, "name", name, fields.LABEL)
    fields.check_names(what, "tags", tags)
    if owner is not None:
        fields.check_name(what, "owner", owner, fields.USER_NAME)


def _packed(reader: Reader, key: int, name: str, length: int) -> bytes:
    packed = reader.take(key, name, bytes)
    if len(packed) != length:
        raise ObjectError(f"{reader.what}: {name} must have {length} bytes, not {len(packed)}")
    return packed
