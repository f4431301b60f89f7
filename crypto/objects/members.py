"""What devices say about themselves and each other in gossip, each signed by who says it.

An epoch orders what one device says: (milliseconds of its boot, counter since). Only the device
itself can raise it, so nobody else can speak for it or bring an old word back.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import fields
from crypto.objects.fields import Reader

ENDPOINTS_MAX: Final = 8
_BROADCAST: Final = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """When in a device's life something was said: later ones compare greater.

    Raises:
        ObjectError: If a number is out of range.
    """

    boot_ms: int
    counter: int

    def __post_init__(self) -> None:
        fields.check_number("epoch", "boot", self.boot_ms)
        fields.check_number("epoch", "counter", self.counter)

    def to_fields(self) -> Value:
        """Return how an epoch looks inside another object."""
        return [self.boot_ms, self.counter]

    @classmethod
    def take(cls, reader: Reader, key: int) -> "Epoch":
        """Take an epoch out of an object's fields.

        Raises:
            ObjectError: If it is missing or malformed.
        """
        numbers = reader.take_items(key, "epoch", int)
        if len(numbers) != 2:
            raise ObjectError(f"{reader.what}: epoch must be two numbers, not {len(numbers)}")
        return cls(*numbers)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a device can be reached on the underlay.

    Attributes:
        ip: An address in its shortest usual text form; 4 or 16 bytes on the wire.
        port: A UDP port.

    Raises:
        ObjectError: If `ip` is no such address, is IPv4 written as IPv6, or is one that nobody
            can be alone at; or if the port is not 1 to 65535.
    """

    ip: str
    port: int

    def __post_init__(self) -> None:
        address = self._address()
        mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
        if mapped or address.is_multicast or address.is_unspecified or address == _BROADCAST:
            raise ObjectError(f"endpoint: {address} is no address of a single machine")
        fields.check_number("endpoint", "port", self.port, lo=1, hi=65_535)

    def _address(self) -> IPv4Address | IPv6Address:
        try:
            address = ip_address(self.ip)
        except ValueError:
            raise ObjectError(f"endpoint: {self.ip[:64]!r} is no IP address") from None
        # Written back from its bytes, so that a scope such as %eth0 does not slip through.
        if str(ip_address(address.packed)) != self.ip:
            raise ObjectError(f"endpoint: {self.ip[:64]!r} is not the usual form of {address}")
        return address

    @property
    def address(self) -> tuple[str, int]:
        """The endpoint as a socket address."""
        return self.ip, self.port

    def to_fields(self) -> Value:
        """Return how an endpoint looks inside another object."""
        return [ip_address(self.ip).packed, self.port]

    @classmethod
    def from_fields(cls, value: Value) -> "Endpoint":
        """Return the endpoint in this array.

        Raises:
            ObjectError: If it is malformed.
        """
        match value:
            case [bytes(packed), int(port)] if len(packed) in {4, 16} and type(port) is int:
                return cls(str(ip_address(packed)), port)
        raise ObjectError("endpoint: an address of 4 or 16 bytes and a port were expected")


@dataclass(frozen=True, slots=True)
class Member:
    """A device's record of itself: where it is and which key it speaks with now.

    Attributes:
        device_id: Who says so.
        epoch: Replaces every record of this device with a lower one.
        endpoints: Where it may be reached, at most 8.
        gossip_key: Its current X25519 key for gossip sessions.
        reachable: Whether strangers can reach it unasked; None while it does not know.
        issued: Its clock when it said so.

    Raises:
        ObjectError: If the rules above are broken.
    """

    device_id: bytes
    epoch: Epoch
    endpoints: tuple[Endpoint, ...]
    gossip_key: bytes
    reachable: bool | None
    issued: int

    def __post_init__(self) -> None:
        fields.check_hashes("member", device_id=self.device_id)
        fields.check_distinct("member", "endpoints", self.endpoints, maximum=ENDPOINTS_MAX)
        fields.check_exchange_key("member", "gossip key", self.gossip_key)
        fields.check_times("member", issued=self.issued)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {
                1: self.device_id,
                2: self.epoch.to_fields(),
                3: [endpoint.to_fields() for endpoint in self.endpoints],
                4: self.gossip_key,
                5: self.reachable,
                6: self.issued,
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Member":
        """Return the record that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid record.
        """
        reader = Reader.of_payload("member", payload)
        member = cls(
            device_id=reader.take(1, "device id", bytes),
            epoch=Epoch.take(reader, 2),
            endpoints=tuple(
                Endpoint.from_fields(item) for item in reader.take(3, "endpoints", list)
            ),
            gossip_key=reader.take(4, "gossip key", bytes),
            reachable=reader.take_optional(5, "reachable", bool),
            issued=reader.take(6, "issued", int),
        )
        reader.finish()
        return member


@dataclass(frozen=True, slots=True)
class Accusation:
    """An observer's word that it cannot reach a device in this epoch of it.

    Attributes:
        accuser: Device id of the observer, who signs.
        subject: Device id of who did not answer.
        epoch: The subject's newest epoch that the accuser knew; a higher one refutes it.
        issued: The accuser's clock when it said so.

    Raises:
        ObjectError: If an id has the wrong length, or a device accuses itself.
    """

    accuser: bytes
    subject: bytes
    epoch: Epoch
    issued: int

    def __post_init__(self) -> None:
        fields.check_hashes("accusation", accuser=self.accuser, subject=self.subject)
        fields.check(
            "accusation", holds=self.accuser != self.subject, rule="a device accuses itself"
        )
        fields.check_times("accusation", issued=self.issued)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {1: self.accuser, 2: self.subject, 3: self.epoch.to_fields(), 4: self.issued}
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Accusation":
        """Return the accusation that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid accusation.
        """
        reader = Reader.of_payload("accusation", payload)
        accusation = cls(
            accuser=reader.take(1, "accuser", bytes),
            subject=reader.take(2, "subject", bytes),
            epoch=Epoch.take(reader, 3),
            issued=reader.take(4, "issued", int),
        )
        reader.finish()
        return accusation


@dataclass(frozen=True, slots=True)
class Leave:
    """A device's word that it goes; a record with a higher epoch brings it back.

    Attributes:
        device_id: Who goes.
        epoch: Above that of its last record.
        issued: Its clock when it said so.

    Raises:
        ObjectError: If the id has the wrong length or the time is out of range.
    """

    device_id: bytes
    epoch: Epoch
    issued: int

    def __post_init__(self) -> None:
        fields.check_hashes("leave", device_id=self.device_id)
        fields.check_times("leave", issued=self.issued)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode({1: self.device_id, 2: self.epoch.to_fields(), 3: self.issued})

    @classmethod
    def from_payload(cls, payload: bytes) -> "Leave":
        """Return the farewell that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid farewell.
        """
        reader = Reader.of_payload("leave", payload)
        leave = cls(
            device_id=reader.take(1, "device id", bytes),
            epoch=Epoch.take(reader, 2),
            issued=reader.take(3, "issued", int),
        )
        reader.finish()
        return leave
