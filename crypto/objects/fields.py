"""What the objects share: reading a payload map field by field, and checking single values.

A payload is a CBOR map with integer keys. A key below 0x8000 that a reader does not know is
critical and refuses the object; from 0x8000 on it is an addition that old readers may ignore,
covered by the hash all the same. A key is never given a second meaning.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final, TypeVar, cast

from crypto.agreement import is_usable_public
from crypto.codec import Value, dumps, loads
from crypto.errors import ObjectError
from crypto.signing import is_valid_admin_key, is_valid_key
from crypto.sshsig import ed25519_key

HASH_BYTES: Final = 32
FIRST_OPTIONAL_KEY: Final = 0x8000
NUMBER_MAX: Final = 2**63 - 1
TIME_MAX: Final = 253_402_300_799  # the end of the year 9999: every later tool can print it
PAYLOAD_BYTES_MAX: Final = 4_096
TAGS_MAX: Final = 64
TEXT_CHARACTERS_MAX: Final = 255

LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Names of devices and meshes: one label of a domain name (RFC 1123 section 2.1)."""

NAME: Final = re.compile(r"[a-z0-9_][a-z0-9._-]{0,62}")
"""Names of tags, groups, parts, limits and rules."""

USER_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9._@+-]{0,62}")
"""Names of users: a name that may look like a mail address."""

OWNER: Final = re.compile(r"(?:(?:user|group):)?[a-z0-9_][a-z0-9._@+-]{0,62}")
"""Who owns a tag: a user or a group, with or without saying which."""

_T = TypeVar("_T")


class Reader:
    """Takes the fields of one payload map out by key, and knows which were left.

    Args:
        what: What is read, for messages: "device", "root: role policy".
        value: The decoded map.

    Raises:
        ObjectError: If `value` is no map with integer keys.
    """

    def __init__(self, what: str, value: Value) -> None:
        if not isinstance(value, dict) or not all(type(key) is int for key in value):
            raise ObjectError(f"{what}: a map with integer keys was expected")
        self.what = what
        self._left = cast("dict[int, Value]", dict(value))

    @classmethod
    def of_payload(
        cls, what: str, payload: bytes, *, max_bytes: int = PAYLOAD_BYTES_MAX
    ) -> "Reader":
        """Decode `payload` and return its reader.

        Raises:
            CodecError: If `payload` is not strict CBOR or too long.
            ObjectError: If it is no map with integer keys.
        """
        return cls(what, loads(payload, max_bytes=max_bytes))

    def take(self, key: int, name: str, kind: type[_T]) -> _T:
        """Return a field that has to be there, of exactly this type.

        Raises:
            ObjectError: If it is missing or of another type.
        """
        value = self.take_optional(key, name, kind)
        if value is None:
            raise ObjectError(f"{self.what}: {name} is missing")
        return value

    def take_optional(self, key: int, name: str, kind: type[_T]) -> _T | None:
        """Return a field of exactly this type, or None where the map has none.

        Raises:
            ObjectError: If it is of another type; null is not how to leave a field out.
        """
        if key not in self._left:
            return None
        return self._typed(name, self._left.pop(key), kind)

    def take_items(self, key: int, name: str, kind: type[_T]) -> tuple[_T, ...]:
        """Return an array whose items are all of exactly this type.

        Raises:
            ObjectError: If it is missing or anything in it is of another type.
        """
        return tuple(
            self._typed(f"{name}[{index}]", item, kind)
            for index, item in enumerate(self.take(key, name, list))
        )

    def take_by_name(self, key: int, name: str) -> Mapping[str, Value]:
        """Return a map with text keys.

        Raises:
            ObjectError: If it is missing or has other keys.
        """
        entries = self.take(key, name, dict)
        if not all(type(entry) is str for entry in entries):
            raise ObjectError(f"{self.what}: {name} needs names as keys")
        return entries

    def take_network4(self, key: int, name: str) -> IPv4Network:
        """Return an IPv4 network, `[address, prefix length]` on the wire.

        Raises:
            ObjectError: If it is missing or no network.
        """
        match self.take(key, name, list):
            case [bytes(packed), int(prefix)] if type(prefix) is int:
                try:
                    return IPv4Network((packed, prefix))
                except ValueError:
                    pass
        raise ObjectError(f"{self.what}: {name} is no IPv4 network")

    def finish(self) -> None:
        """Refuse what nobody took, unless it is an addition that may be ignored.

        Raises:
            ObjectError: If a critical key is left.
        """
        unknown = [key for key in self._left if key < FIRST_OPTIONAL_KEY]
        if unknown:
            raise ObjectError(
                f"{self.what}: field {min(unknown)} is critical and not known to this version",
                remedy="update Hedgerow on this machine",
            )

    def _typed(self, name: str, value: object, kind: type[_T]) -> _T:
        # Exactly: a CBOR true is a Python bool, which would pass for an int.
        if type(value) is not kind:
            raise ObjectError(
                f"{self.what}: {name} must be {kind.__name__}, not {type(value).__name__}"
            )
        return value


def network4_fields(network: IPv4Network) -> Value:
    """Return how a network looks on the wire."""
    return [network.network_address.packed, network.prefixlen]


def present(fields: Mapping[int, Value]) -> dict[int, Value]:
    """Return the fields that are set: a field that is not there has no key."""
    return {key: value for key, value in fields.items() if value is not None}


def encode(fields: Mapping[int, Value]) -> bytes:
    """Return the payload with these fields, without those that are None."""
    return dumps(present(fields))


def check(what: str, *, holds: bool, rule: str) -> None:
    """Raise an error that states `rule` unless it holds.

    Raises:
        ObjectError: If it does not.
    """
    if not holds:
        raise ObjectError(f"{what}: {rule}")


def check_number(what: str, name: str, value: int, *, lo: int = 0, hi: int = NUMBER_MAX) -> None:
    """Raise unless lo <= value <= hi.

    Raises:
        ObjectError: If it is not.
    """
    if not lo <= value <= hi:
        raise ObjectError(f"{what}: {name} must be {lo} to {hi}, not {value}")


def check_times(what: str, **times: int | None) -> None:
    """Raise unless every time given is one that can be written down.

    Raises:
        ObjectError: If one is not.
    """
    for name, value in times.items():
        if value is not None:
            check_number(what, name, value, hi=TIME_MAX)


def check_hashes(what: str, **values: bytes | None) -> None:
    """Raise unless every value given is as long as an id, a hash or a key.

    Raises:
        ObjectError: If one is not.
    """
    for name, value in values.items():
        if value is not None and len(value) != HASH_BYTES:
            raise ObjectError(f"{what}: {name} must have {HASH_BYTES} bytes, not {len(value)}")


def check_signing_key(what: str, name: str, key: bytes) -> None:
    """Raise unless `key` is an Ed25519 key every node accepts signatures of.

    Raises:
        ObjectError: If it is not.
    """
    if not is_valid_key(key):
        raise ObjectError(f"{what}: {name} is no valid Ed25519 public key")


def check_admin_keys(what: str, name: str, keys: Collection[bytes], *, maximum: int) -> None:
    """Raise unless there are at most `maximum` valid keys of admins, each of another holder.

    Raises:
        ObjectError: If there are more, one is not valid, or two are one Ed25519 key: then one
            holder would count twice.
    """
    check_distinct(what, name, keys, maximum=maximum)
    for key in keys:
        if not is_valid_admin_key(key):
            raise ObjectError(f"{what}: key {key.hex()[:16]} is no valid Ed25519 public key")
    check_distinct(what, name, [ed25519_key(key) for key in keys], maximum=maximum)


def check_exchange_key(what: str, name: str, key: bytes) -> None:
    """Raise unless `key` is an X25519 key that gives secrets.

    Raises:
        ObjectError: If it is not.
    """
    if not is_usable_public(key):
        raise ObjectError(f"{what}: {name} is no usable X25519 public key")


def check_name(what: str, name: str, value: str, pattern: re.Pattern[str] = NAME) -> None:
    """Raise unless all of `value` has the form of `pattern`.

    Raises:
        ObjectError: If it has not.
    """
    if pattern.fullmatch(value) is None:
        raise ObjectError(
            f"{what}: {name} {value[:64]!r} is no valid name",
            remedy="use 1 to 63 of a-z, 0-9 and -"
            if pattern is LABEL
            else "use 1 to 63 of a-z, 0-9, '.', '_' and '-'",
        )


def check_names(
    what: str,
    name: str,
    values: Collection[str],
    *,
    pattern: re.Pattern[str] = NAME,
    maximum: int = TAGS_MAX,
) -> None:
    """Raise unless there are at most `maximum` valid names, each once.

    Raises:
        ObjectError: If there are more, or one is not valid or repeated.
    """
    check_distinct(what, name, values, maximum=maximum)
    for value in values:
        check_name(what, name, value, pattern)


def check_distinct(what: str, name: str, values: Collection[object], *, maximum: int) -> None:
    """Raise unless there are at most `maximum` values, each once.

    Raises:
        ObjectError: If there are more or one is repeated.
    """
    if len(values) > maximum:
        raise ObjectError(f"{what}: {len(values)} {name}, at most {maximum} allowed")
    if len(set(values)) != len(values):
        raise ObjectError(f"{what}: {name} has an entry twice")


def check_text(what: str, name: str, value: str, *, minimum: int = 0) -> None:
    """Raise unless `value` is printable text in normal form C, so that it shows as one thing.

    Raises:
        ObjectError: If it is too short or long, holds control characters, or is not normalised.
    """
    if not minimum <= len(value) <= TEXT_CHARACTERS_MAX:
        raise ObjectError(
            f"{what}: {name} must have {minimum} to {TEXT_CHARACTERS_MAX} characters, "
            f"not {len(value)}"
        )
    if not value.isprintable():
        raise ObjectError(f"{what}: {name} holds a control or invisible character")
    if not unicodedata.is_normalized("NFC", value):
        raise ObjectError(f"{what}: {name} is not in Unicode normal form C")


def check_unicast4(what: str, name: str, address: IPv4Address) -> None:
    """Raise unless a machine can have this address on a network.

    Raises:
        ObjectError: If it is multicast, broadcast, loopback, link-local, reserved or zero.
    """
    special: Iterable[bool] = (
        address.is_multicast,
        address.is_unspecified,
        address.is_loopback,
        address.is_link_local,
        address.is_reserved,
    )
    if any(special):
        raise ObjectError(f"{what}: {name} {address} is no address of a single machine")
