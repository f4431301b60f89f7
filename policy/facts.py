"""What is known of devices at one moment beyond the directory: login, posture, place and path.

Every fact may be missing. What is missing is Unknown, and Unknown never grants. The node collects
facts and verifies them before they get here; a fact says what is so, never whether that suffices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, TypeAlias

from policy.limits import AGE_SECONDS_MAX

Address: TypeAlias = IPv4Address | IPv6Address
FactValue: TypeAlias = bool | int | str
Country: TypeAlias = Callable[[Address], str | None]
"""Looks an address up in the signed table of countries; None: it does not say."""


class Via(StrEnum):
    """How packets of a device come to the node that enforces."""

    DIRECT = "direct"
    RELAY = "relay"
    UNKNOWN = "unknown"


class FactKind(StrEnum):
    """What a condition looks at, so that a node asks only for what a rule of its own needs."""

    LOGIN = "login"
    POSTURE = "posture"
    PLACE = "place"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Login:
    """A verified login of a person on a device (OpenID Connect Core 1.0, sections 2 and 12.2).

    Attributes:
        issuer: The name that `[issuers]` gives to who vouches for it.
        subject: Who it is, in the issuer's words.
        iat: When the newest token was issued.
        exp: From when that token is worth nothing.
        original_iat: When the first token of the session was issued.
        groups: What the token's groups claim lists; None: it has no such claim.
        auth_time: When the person proved who he is; a refresh does not change it.
        amr: How he did.
        acr: How well, in the issuer's words.
    """

    issuer: str
    subject: str
    iat: int
    exp: int
    original_iat: int
    groups: frozenset[str] | None = None
    auth_time: int | None = None
    amr: frozenset[str] = frozenset()
    acr: str | None = None

    @property
    def identity(self) -> str:
        """The person, as `[users]` writes it."""
        return f"{self.issuer}:{self.subject}"


@dataclass(frozen=True, slots=True)
class PostureReport:
    """What a device says of itself, signed by its key.

    Attributes:
        facts: Values by dotted name.
        issued: When it said so.
    """

    facts: Mapping[str, FactValue]
    issued: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device's packets come from, as the enforcing node sees it.

    Attributes:
        address: Underlay address.
        country: Two capital letters, or None if the table does not know.
    """

    address: Address
    country: str | None = None

    @classmethod
    def seen(cls, address: Address, country_of: Country) -> "Place":
        """Make the place of an observed address; an IPv4-mapped one is the IPv4 one in it."""
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        plain = mapped or address
        return cls(plain, country_of(plain))


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known of one device.

    Attributes:
        login: Who is logged in on it.
        posture: What it last said of itself.
        place: Where it is, seen from the enforcing node; of that node itself, what others see.
        path: How it is reached from the enforcing node; of that node itself, unknown.
    """

    login: Login | None = None
    posture: PostureReport | None = None
    place: Place | None = None
    path: Via = Via.UNKNOWN


def is_country(text: str) -> bool:
    """Say whether a text can be a country (ISO 3166-1 alpha-2)."""
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


NOTHING_KNOWN: Final = DeviceFacts()


@dataclass(frozen=True, slots=True)
class Supposed:
    """What a question supposes about its source; None and empty: the question does not say.

    Attributes:
        login: The user, if he has an identity, is logged in.
        mfa_age: Seconds since he proved who he is by several factors.
        postures: The device holds these.
        country: Where it is.
        cidr: A network whose first address it has.
        via: How its packets come.
    """

    login: bool = True
    mfa_age: int | None = None
    postures: tuple[str, ...] = ()
    country: str | None = None
    cidr: str | None = None
    via: Via | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: It can not be supposed.
        """
        if self.mfa_age is not None and not (self.login and 0 <= self.mfa_age <= AGE_SECONDS_MAX):
            raise ValueError("an age of a login needs a login, and is a length of time")
        if list(self.postures) != sorted(set(self.postures)):
            raise ValueError("supposed postures must be sorted and different")
        if self.country is not None and not is_country(self.country):
            raise ValueError('a country is two capital letters, as "IN"')
        if self.cidr is not None and str(ip_network(self.cidr)) != self.cidr:
            raise ValueError("a supposed network must be written in the one way")
        if self.via is Via.UNKNOWN or (self.via is Via.RELAY and self.elsewhere):
            raise ValueError("over a relay nobody sees a place")

    @property
    def elsewhere(self) -> bool:
        """Whether it says where the device is."""
        return self.country is not None or self.cidr is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at one moment.

    Attributes:
        devices: By device id; of a device that is missing nothing is known.
        revoked_users: Names of users that a revocation names.
        revoked_rules: Ids of rules whose grants a revocation ends.
    """

    devices: Mapping[bytes, DeviceFacts] = field(default_factory=dict)
    revoked_users: frozenset[str] = frozenset()
    revoked_rules: frozenset[str] = frozenset()

    def of(self, device_id: bytes) -> DeviceFacts:
        """Give what is known of a device."""
        return self.devices.get(device_id, NOTHING_KNOWN)
