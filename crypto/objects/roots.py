"""What the admins sign offline: the root names the keys, the head names everything else.

The ideas are those of TUF (specification 1.0.34 sections 2.1 and 5.3): roles with thresholds, a
root that only its predecessor and itself together can bring in, versions that never fall.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final

from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import fields
from crypto.objects.fields import Reader
from crypto.signing import ENVELOPE_BYTES_MAX, HEAD_PAYLOAD_BYTES_MAX, ObjectType

ROLE_NAMES: Final = ("root", "policy", "registrar", "revoker")
KEYS_PER_ROLE_MAX: Final = 32
LIMITS_MAX: Final = 64
PARTS_MAX: Final = 8
PART_BYTES_MAX: Final = 8 * 1_024 * 1_024
DEFAULT_POOL4: Final = IPv4Network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class Role:
    """Who may sign one kind of object, and how many of them it takes.

    A key is the 32 bytes of Ed25519, or a security key as `crypto.sshsig` writes it.

    Raises:
        ObjectError: If the threshold is not 1 to the number of keys, there are more than 32 keys,
            a key is repeated (in whatever form), or one is no valid Ed25519 key.
    """

    threshold: int
    keys: tuple[bytes, ...]

    def __post_init__(self) -> None:
        fields.check_admin_keys("role", "keys", self.keys, maximum=KEYS_PER_ROLE_MAX)
        fields.check(
            "role",
            holds=1 <= self.threshold <= len(self.keys),
            rule=f"threshold {self.threshold} of {len(self.keys)} keys is not 1 to all of them",
        )

    def to_fields(self) -> dict[int, Value]:
        """Return the map that says this role inside a root."""
        return {1: self.threshold, 2: self.keys}

    @classmethod
    def from_fields(cls, name: str, value: Value) -> "Role":
        """Return the role in this map.

        Raises:
            ObjectError: If it is malformed.
        """
        reader = Reader(f"root: role {name[:64]!r}", value)
        threshold = reader.take(1, "threshold", int)
        keys = reader.take_items(2, "keys", bytes)
        reader.finish()
        return cls(threshold, keys)


@dataclass(frozen=True, slots=True)
class Root:
    """Who may do what in a mesh; signed by the threshold of its own and its predecessor's root.

    Attributes:
        version: Counts from 1 without gaps; also the epoch of the heads under it.
        mesh_name: A label for people; the mesh id is the hash of version 1.
        issued: When it was made.
        expires: From when it may bring in nothing but its successor.
        roles: The four roles of `ROLE_NAMES`.
        pool4: Where the mesh's IPv4 addresses come from.
        previous: Object id of the version before; None for version 1.
        limits: Named bounds of the mesh.

    Raises:
        ObjectError: If the rules above are broken.
    """

    version: int
    mesh_name: str
    issued: int
    expires: int
    roles: Mapping[str, Role]
    pool4: IPv4Network = DEFAULT_POOL4
    previous: bytes | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields.check_number("root", "version", self.version, lo=1)
        fields.check_name("root", "mesh name", self.mesh_name, fields.LABEL)
        fields.check_times("root", issued=self.issued, expires=self.expires)
        fields.check("root", holds=self.issued < self.expires, rule="it expires before it begins")
        fields.check_hashes("root", previous=self.previous)
        fields.check(
            "root",
            holds=(self.version == 1) == (self.previous is None),
            rule="version 1 alone has no predecessor",
        )
        self._check_roles()
        self._check_pool4()
        fields.check_names("root", "limits", self.limits, maximum=LIMITS_MAX)
        for name, limit in self.limits.items():
            fields.check_number("root", f"limit {name}", limit)

    def _check_roles(self) -> None:
        if set(self.roles) != set(ROLE_NAMES):
            raise ObjectError(f"root: it needs exactly the roles {', '.join(ROLE_NAMES)}")

    def _check_pool4(self) -> None:
        fields.check_number("root", "pool4 prefix length", self.pool4.prefixlen, lo=8, hi=30)
        fields.check_unicast4("root", "pool4", self.pool4.network_address)

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {
                1: self.version,
                2: self.mesh_name,
                3: self.issued,
                4: self.expires,
                5: {name: role.to_fields() for name, role in self.roles.items()},
                6: fields.network4_fields(self.pool4),
                7: self.previous,
                8: dict(self.limits),
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Root":
        """Return the root that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid root.
        """
        reader = Reader.of_payload("root", payload, max_bytes=ENVELOPE_BYTES_MAX[ObjectType.ROOT])
        root = cls(
            version=reader.take(1, "version", int),
            mesh_name=reader.take(2, "mesh name", str),
            issued=reader.take(3, "issued", int),
            expires=reader.take(4, "expires", int),
            roles={
                name: Role.from_fields(name, value)
                for name, value in reader.take_by_name(5, "roles").items()
            },
            pool4=reader.take_network4(6, "pool4"),
            previous=reader.take_optional(7, "previous", bytes),
            limits={
                name: _limit(name, value)
                for name, value in reader.take_by_name(8, "limits").items()
            },
        )
        reader.finish()
        return root


def _limit(name: str, value: Value) -> int:
    if type(value) is not int:
        raise ObjectError(f"root: limit {name[:64]!r} must be int, not {type(value).__name__}")
    return value


@dataclass(frozen=True, slots=True)
class PartRef:
    """Which bytes a part of a bundle has, said before anyone fetches them.

    Attributes:
        version: Counts the part's changes; never falls within an epoch.
        hash: SHA-256 of the part.
        length: How many bytes to fetch, at most 8 MiB.

    Raises:
        ObjectError: If one of them is out of range.
    """

    version: int
    hash: bytes
    length: int

    def __post_init__(self) -> None:
        fields.check_number("part", "version", self.version)
        fields.check_hashes("part", hash=self.hash)
        fields.check_number("part", "length", self.length, lo=1, hi=PART_BYTES_MAX)

    def to_fields(self) -> dict[int, Value]:
        """Return the map that says this reference inside a head."""
        return {1: self.version, 2: self.hash, 3: self.length}

    @classmethod
    def from_fields(cls, name: str, value: Value) -> "PartRef":
        """Return the reference in this map.

        Raises:
            ObjectError: If it is malformed.
        """
        reader = Reader(f"head: part {name[:64]!r}", value)
        part = cls(
            version=reader.take(1, "version", int),
            hash=reader.take(2, "hash", bytes),
            length=reader.take(3, "length", int),
        )
        reader.finish()
        return part


@dataclass(frozen=True, slots=True)
class Head:
    """The newest state of a mesh in one signed kilobyte; everything else hangs on its hashes.

    Attributes:
        epoch: Version of the root under which it is signed.
        version: Counts within the epoch, from 1.
        issued: When it was made.
        stale_after: From when its age is an alarm.
        expires: From when only what survives expiry stays allowed.
        previous: Object id of the head before, None for the first of a mesh.
        parts: The bundle's parts by name: policy, directory and later ones.
        min_client_version: Programs below it must not use this head.

    Raises:
        ObjectError: If the rules above are broken or the payload is longer than 1 KiB.
    """

    epoch: int
    version: int
    issued: int
    stale_after: int
    expires: int
    previous: bytes | None
    parts: Mapping[str, PartRef]
    min_client_version: int = 0

    def __post_init__(self) -> None:
        fields.check_number("head", "epoch", self.epoch, lo=1)
        fields.check_number("head", "version", self.version, lo=1)
        fields.check_times(
            "head", issued=self.issued, stale_after=self.stale_after, expires=self.expires
        )
        fields.check(
            "head",
            holds=self.issued < self.stale_after <= self.expires,
            rule="issued < stale_after <= expires does not hold",
        )
        fields.check_hashes("head", previous=self.previous)
        fields.check_names("head", "parts", self.parts, maximum=PARTS_MAX)
        fields.check_number("head", "min_client_version", self.min_client_version)
        length = len(self.to_payload())
        fields.check(
            "head",
            holds=length <= HEAD_PAYLOAD_BYTES_MAX,
            rule=f"{length} bytes, more than the {HEAD_PAYLOAD_BYTES_MAX} that fit one QR code",
        )

    @property
    def order(self) -> tuple[int, int]:
        """What decides which of two heads is newer: a new root outranks every version."""
        return self.epoch, self.version

    def to_payload(self) -> bytes:
        """Return the bytes to sign."""
        return fields.encode(
            {
                1: self.epoch,
                2: self.version,
                3: self.issued,
                4: self.stale_after,
                5: self.expires,
                6: self.previous,
                7: {name: part.to_fields() for name, part in self.parts.items()},
                8: self.min_client_version,
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Head":
        """Return the head that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid head.
        """
        reader = Reader.of_payload("head", payload, max_bytes=HEAD_PAYLOAD_BYTES_MAX)
        head = cls(
            epoch=reader.take(1, "epoch", int),
            version=reader.take(2, "version", int),
            issued=reader.take(3, "issued", int),
            stale_after=reader.take(4, "stale_after", int),
            expires=reader.take(5, "expires", int),
            previous=reader.take_optional(6, "previous", bytes),
            parts={
                name: PartRef.from_fields(name, value)
                for name, value in reader.take_by_name(7, "parts").items()
            },
            min_client_version=reader.take(8, "min_client_version", int),
        )
        reader.finish()
        return head
