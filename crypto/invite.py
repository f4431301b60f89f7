"""What people carry by hand to bring a device in: invites, requests and approvals.

Each is one line of text (`crypto.armor`), short enough for a chat message or a QR code. Reading
one checks that it does not contradict itself; who signed what is in it is for `crypto.trust`.

An invite holds the private key of a ticket: who reads it can enrol a device. No `repr` shows it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from crypto import armor, signing
from crypto.armor import Kind
from crypto.codec import Value, dumps
from crypto.errors import InviteError, PeerError
from crypto.identity import DeviceKeys
from crypto.objects import Device, Ticket, fields, payload_of
from crypto.objects.fields import Reader
from crypto.signing import ObjectType

BOOTSTRAP_MAX: Final = 16
ROOTS_MAX: Final = 1_024
OBJECTS_MAX: Final = 1_024
HOST_CHARACTERS_MAX: Final = 253  # RFC 1035 section 2.3.4
_REQUEST_CONTEXT: Final = "hedgerow/request"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A member through which a new device may join. Trusted with nothing but carrying bytes.

    Attributes:
        host: An address or a domain name.
        port: Its UDP port.
        device_id: Its Ed25519 key.
        gossip_public: Its X25519 key for the first session.

    Raises:
        ObjectError: If a field is malformed.
    """

    host: str
    port: int
    device_id: bytes
    gossip_public: bytes

    def __post_init__(self) -> None:
        fields.check_text("bootstrap", "host", self.host, minimum=1)
        fields.check(
            "bootstrap",
            holds=len(self.host) <= HOST_CHARACTERS_MAX and " " not in self.host,
            rule="host is no address or domain name",
        )
        fields.check_number("bootstrap", "port", self.port, lo=1, hi=65_535)
        fields.check_signing_key("bootstrap", "device id", self.device_id)
        fields.check_exchange_key("bootstrap", "gossip key", self.gossip_public)

    def to_fields(self) -> dict[int, Value]:
        """Return the map that says this inside an invite."""
        return {1: self.host, 2: self.port, 3: self.device_id, 4: self.gossip_public}

    @classmethod
    def from_fields(cls, value: Value) -> "Bootstrap":
        """Return the bootstrap member in this map.

        Raises:
            ObjectError: If it is malformed.
        """
        reader = Reader("bootstrap", value)
        bootstrap = cls(
            host=reader.take(1, "host", str),
            port=reader.take(2, "port", int),
            device_id=reader.take(3, "device id", bytes),
            gossip_public=reader.take(4, "gossip key", bytes),
        )
        reader.finish()
        return bootstrap


@dataclass(frozen=True, slots=True)
class Invite:
    """All a new device needs to enrol itself; holds a secret.

    Attributes:
        mesh_id: The mesh it invites to.
        mesh_name: Its name, for people.
        ticket_raw: Envelope of the ticket.
        ticket_seed: Private seed of the ticket's key.
        bootstrap: Members to join through.
        roots: Envelopes of roots from version 1 on, in order; at least version 1.

    Raises:
        InviteError: If the seed is not the ticket's, or the first root is not the mesh's.
    """

    mesh_id: bytes
    mesh_name: str
    ticket_raw: bytes = field(repr=False)
    ticket_seed: bytes = field(repr=False)
    bootstrap: tuple[Bootstrap, ...]
    roots: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        _check("invite", self._check_fields)

    def _check_fields(self) -> None:
        fields.check_name("invite", "mesh name", self.mesh_name, fields.LABEL)
        _check_carried("invite", self.mesh_id, self.bootstrap, self.roots)
        fields.check_hashes("invite", ticket_seed=self.ticket_seed)
        fields.check(
            "invite",
            holds=self.ticket.public_key == signing.public_key(self.ticket_seed),
            rule="its private key is not the ticket's",
        )

    @property
    def ticket(self) -> Ticket:
        """The ticket, not verified."""
        return Ticket.from_payload(payload_of(self.ticket_raw, ObjectType.TICKET))

    def encode(self) -> str:
        """Return the invite as one line of text.

        Raises:
            LocalError: If it is too long to be read again.
        """
        return _encode(
            Kind.INVITE,
            {
                1: self.mesh_id,
                2: self.mesh_name,
                3: self.ticket_raw,
                4: self.ticket_seed,
                5: [member.to_fields() for member in self.bootstrap],
                6: self.roots,
            },
        )

    @classmethod
    def decode(cls, text: str) -> "Invite":
        """Return the invite in `text`; white space anywhere in it does not count.

        Raises:
            InviteError: If it is no invite, another kind, truncated, damaged or contradictory.
        """
        return _decode(Kind.INVITE, text, cls._read)

    @classmethod
    def _read(cls, reader: Reader) -> "Invite":
        return cls(
            mesh_id=reader.take(1, "mesh id", bytes),
            mesh_name=reader.take(2, "mesh name", str),
            ticket_raw=reader.take(3, "ticket", bytes),
            ticket_seed=reader.take(4, "ticket key", bytes),
            bootstrap=_take_bootstrap(reader, 5),
            roots=reader.take_items(6, "roots", bytes),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A device's wish to be let in, for an admin to approve; holds no secret.

    The device signs it, so that nobody can have an admin bind a foreign device id to other keys.

    Attributes:
        device_id: The device's Ed25519 key.
        wireguard_public: Its X25519 key in the tunnel.
        gossip_public: Its X25519 key for gossip.
        name: The name it would like.
        signature: By the device key, over the fields above.

    Raises:
        InviteError: If a field is malformed or the signature is not the device's.
    """

    device_id: bytes
    wireguard_public: bytes
    gossip_public: bytes
    name: str
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check("request", self._check_fields)

    def _check_fields(self) -> None:
        fields.check_signing_key("request", "device id", self.device_id)
        fields.check_exchange_key("request", "WireGuard key", self.wireguard_public)
        fields.check_exchange_key("request", "gossip key", self.gossip_public)
        fields.check_name("request", "name", self.name, fields.LABEL)
        message = _request_message(
            self.device_id, self.wireguard_public, self.gossip_public, self.name
        )
        fields.check(
            "request",
            holds=signing.verify(self.device_id, message, self.signature),
            rule="it is not signed by the device it names",
        )

    @classmethod
    def create(cls, keys: DeviceKeys, name: str) -> "Request":
        """Make the request of the device with these keys.

        Raises:
            InviteError: If `name` is no valid device name.
        """
        public = (keys.device_id, keys.wireguard_public, keys.gossip_public)
        return cls(*public, name, signing.sign(keys.sign_seed, _request_message(*public, name)))

    def encode(self) -> str:
        """Return the request as one line of text."""
        return _encode(
            Kind.REQUEST,
            {
                1: self.device_id,
                2: self.wireguard_public,
                3: self.gossip_public,
                4: self.name,
                5: self.signature,
            },
        )

    @classmethod
    def decode(cls, text: str) -> "Request":
        """Return the request in `text`; white space anywhere in it does not count.

        Raises:
            InviteError: If it is no request, another kind, truncated, damaged or not signed.
        """
        return _decode(Kind.REQUEST, text, cls._read)

    @classmethod
    def _read(cls, reader: Reader) -> "Request":
        return cls(
            device_id=reader.take(1, "device id", bytes),
            wireguard_public=reader.take(2, "WireGuard key", bytes),
            gossip_public=reader.take(3, "gossip key", bytes),
            name=reader.take(4, "name", str),
            signature=reader.take(5, "signature", bytes),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """An admin's answer to a request: the signed device and what it needs to begin.

    Attributes:
        mesh_id: The mesh it is let into.
        roots: Envelopes of roots from version 1 on, in order; at least version 1.
        device_raw: Envelope of the device, signed by a registrar.
        bootstrap: Members to join through; none for the first device of a mesh.
        objects: Further envelopes worth having at once: the head, tickets, devices.
        parts: Parts of the head's bundle, in any order.

    Raises:
        InviteError: If the device is none or the first root is not the mesh's.
    """

    mesh_id: bytes
    roots: tuple[bytes, ...] = field(repr=False)
    device_raw: bytes = field(repr=False)
    bootstrap: tuple[Bootstrap, ...] = ()
    objects: tuple[bytes, ...] = field(default=(), repr=False)
    parts: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check("approval", self._check_fields)

    def _check_fields(self) -> None:
        _check_carried("approval", self.mesh_id, self.bootstrap, self.roots)
        fields.check_distinct("approval", "objects", self.objects, maximum=OBJECTS_MAX)
        fields.check_distinct("approval", "parts", self.parts, maximum=OBJECTS_MAX)
        Device.from_payload(payload_of(self.device_raw, ObjectType.DEVICE))

    @property
    def device(self) -> Device:
        """The approved device, not verified."""
        return Device.from_payload(payload_of(self.device_raw, ObjectType.DEVICE))

    def encode(self) -> str:
        """Return the approval as one line of text.

        Raises:
            LocalError: If it is too long to be read again.
        """
        return _encode(
            Kind.APPROVAL,
            {
                1: self.mesh_id,
                2: self.roots,
                3: self.device_raw,
                4: [member.to_fields() for member in self.bootstrap],
                5: self.objects,
                6: self.parts,
            },
        )

    @classmethod
    def decode(cls, text: str) -> "Approval":
        """Return the approval in `text`; white space anywhere in it does not count.

        Raises:
            InviteError: If it is no approval, another kind, truncated, damaged or contradictory.
        """
        return _decode(Kind.APPROVAL, text, cls._read)

    @classmethod
    def _read(cls, reader: Reader) -> "Approval":
        return cls(
            mesh_id=reader.take(1, "mesh id", bytes),
            roots=reader.take_items(2, "roots", bytes),
            device_raw=reader.take(3, "device", bytes),
            bootstrap=_take_bootstrap(reader, 4),
            objects=reader.take_items(5, "objects", bytes),
            parts=reader.take_items(6, "parts", bytes),
        )


def _encode(kind: Kind, entries: dict[int, Value]) -> str:
    return armor.encode(kind, fields.encode(entries))


def _decode(kind: Kind, text: str, read: Callable[[Reader], _T]) -> _T:
    payload = armor.decode(kind, text)
    what = kind.name.lower()
    try:
        reader = Reader.of_payload(what, payload, max_bytes=armor.PAYLOAD_BYTES_MAX)
        result = read(reader)
        reader.finish()
    except InviteError:
        raise
    except PeerError as error:
        raise _unusable(what, error) from None
    return result


def _check(what: str, rules: Callable[[], None]) -> None:
    try:
        rules()
    except PeerError as error:
        raise _unusable(what, error) from None


def _unusable(what: str, error: PeerError) -> InviteError:
    return InviteError(
        f"the {what} cannot be used: {error.message}",
        remedy=error.remedy or "ask whoever made it for a new one",
    )


def _check_carried(
    what: str, mesh_id: bytes, bootstrap: tuple[Bootstrap, ...], roots: tuple[bytes, ...]
) -> None:
    fields.check_hashes(what, mesh_id=mesh_id)
    fields.check_distinct(what, "bootstrap members", bootstrap, maximum=BOOTSTRAP_MAX)
    fields.check_distinct(what, "roots", roots, maximum=ROOTS_MAX)
    fields.check(what, holds=bool(roots), rule="it carries no root")
    first = signing.object_id(payload_of(roots[0], ObjectType.ROOT))
    fields.check(what, holds=first == mesh_id, rule="its first root is not the mesh's")


def _take_bootstrap(reader: Reader, key: int) -> tuple[Bootstrap, ...]:
    return tuple(Bootstrap.from_fields(item) for item in reader.take(key, "bootstrap", list))


def _request_message(
    device_id: bytes, wireguard_public: bytes, gossip_public: bytes, name: str
) -> bytes:
    """Return what a request's signature covers: an array no envelope's signature can cover."""
    return dumps([_REQUEST_CONTEXT, device_id, wireguard_public, gossip_public, name])
