"""The directory: who and what a mesh consists of, one part of the signed bundle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import fields
from crypto.objects.fields import Reader
from crypto.objects.roots import PART_BYTES_MAX

ENTRIES_MAX: Final = 100_000
GROUP_MEMBERS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class User:
    """A person.

    Attributes:
        identity: Whom a login has to prove, "issuer:subject"; None if nobody logs in as them.
        not_after: From when the user is gone; None for no end.

    Raises:
        ObjectError: If the identity is empty, long or unprintable, or the time out of range.
    """

    identity: str | None = None
    not_after: int | None = None

    def __post_init__(self) -> None:
        if self.identity is not None:
            fields.check_text("user", "identity", self.identity, minimum=1)
        fields.check_times("user", not_after=self.not_after)

    def to_fields(self) -> dict[int, Value]:
        """Return the map that says this user inside the directory."""
        return fields.present({1: self.identity, 2: self.not_after})

    @classmethod
    def from_fields(cls, name: str, value: Value) -> "User":
        """Return the user in this map.

        Raises:
            ObjectError: If it is malformed.
        """
        reader = Reader(f"directory: user {name[:64]!r}", value)
        user = cls(
            identity=reader.take_optional(1, "identity", str),
            not_after=reader.take_optional(2, "not_after", int),
        )
        reader.finish()
        return user


@dataclass(frozen=True, slots=True)
class DirectoryDevice:
    """What the admins say about a device by its name.

    Attributes:
        device_id: Which device it is; None until one is enrolled under the name.
        tags: The tags it has.
        owner: The user it belongs to.

    Raises:
        ObjectError: If the id is no valid key or a name is malformed.
    """

    device_id: bytes | None = None
    tags: tuple[str, ...] = ()
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.device_id is not None:
            fields.check_signing_key("directory device", "device id", self.device_id)
        fields.check_names("directory device", "tags", self.tags)
        if self.owner is not None:
            fields.check_name("directory device", "owner", self.owner, fields.USER_NAME)

    def to_fields(self) -> dict[int, Value]:
        """Return the map that says this device inside the directory."""
        return fields.present({1: self.device_id, 2: self.tags, 3: self.owner})

    @classmethod
    def from_fields(cls, name: str, value: Value) -> "DirectoryDevice":
        """Return the device in this map.

        Raises:
            ObjectError: If it is malformed.
        """
        reader = Reader(f"directory: device {name[:64]!r}", value)
        device = cls(
            device_id=reader.take_optional(1, "device id", bytes),
            tags=reader.take_items(2, "tags", str),
            owner=reader.take_optional(3, "owner", str),
        )
        reader.finish()
        return device


@dataclass(frozen=True, slots=True)
class Directory:
    """Users, groups, tags and devices by name, and the tickets that are settled.

    Attributes:
        users: The users.
        groups: The user names in each group.
        tags: The owners of each tag, as "user:NAME", "group:NAME" or a bare name.
        devices: What is said about devices.
        closed_tickets: Object ids of tickets that enrol nobody any more.

    Raises:
        ObjectError: If a name is malformed or repeated, or two names share one device.
    """

    users: Mapping[str, User] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    devices: Mapping[str, DirectoryDevice] = field(default_factory=dict)
    closed_tickets: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_entries("users", self.users, fields.USER_NAME)
        _check_entries("groups", self.groups, fields.NAME)
        _check_entries("tags", self.tags, fields.NAME)
        _check_entries("devices", self.devices, fields.LABEL)
        for name, users in self.groups.items():
            _check_list(f"group {name}", users, fields.USER_NAME)
        for name, owners in self.tags.items():
            _check_list(f"tag {name}", owners, fields.OWNER)
        known = [d.device_id for d in self.devices.values() if d.device_id is not None]
        fields.check_distinct("directory", "device ids", known, maximum=ENTRIES_MAX)
        fields.check_distinct(
            "directory", "closed tickets", self.closed_tickets, maximum=ENTRIES_MAX
        )
        for ticket in self.closed_tickets:
            fields.check_hashes("directory", closed_ticket=ticket)

    def to_payload(self) -> bytes:
        """Return the bytes of the part."""
        return fields.encode(
            {
                1: {name: user.to_fields() for name, user in self.users.items()},
                2: dict(self.groups),
                3: dict(self.tags),
                4: {name: device.to_fields() for name, device in self.devices.items()},
                5: self.closed_tickets,
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> "Directory":
        """Return the directory that these bytes say.

        Raises:
            CodecError: If they are not strict CBOR.
            ObjectError: If they are no valid directory.
        """
        reader = Reader.of_payload("directory", payload, max_bytes=PART_BYTES_MAX)
        directory = cls(
            users={
                name: User.from_fields(name, value)
                for name, value in reader.take_by_name(1, "users").items()
            },
            groups=_take_lists(reader, 2, "groups"),
            tags=_take_lists(reader, 3, "tags"),
            devices={
                name: DirectoryDevice.from_fields(name, value)
                for name, value in reader.take_by_name(4, "devices").items()
            },
            closed_tickets=reader.take_items(5, "closed tickets", bytes),
        )
        reader.finish()
        return directory


def _take_lists(reader: Reader, key: int, name: str) -> dict[str, tuple[str, ...]]:
    return {
        entry: _texts(f"{name} {entry[:64]!r}", value)
        for entry, value in reader.take_by_name(key, name).items()
    }


def _texts(name: str, value: Value) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(type(item) is str for item in value):
        raise ObjectError(f"directory: {name} must be a list of names")
    return tuple(value)


def _check_entries(name: str, entries: Mapping[str, object], pattern: re.Pattern[str]) -> None:
    fields.check_names("directory", name, entries, pattern=pattern, maximum=ENTRIES_MAX)


def _check_list(what: str, names: tuple[str, ...], pattern: re.Pattern[str]) -> None:
    fields.check_names("directory", what, names, pattern=pattern, maximum=GROUP_MEMBERS_MAX)
