"""The records of a compiled policy, and who asks and who answers.

Records check themselves on construction, so one that exists is valid.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from crypto.objects.fields import TIME_MAX
from policy.facts import Supposed, Via
from policy.limits import AGE_SECONDS_MAX
from policy.ports import PortRange, is_normal
from policy.selectors import DESTINATION_KINDS, SOURCE_KINDS, Selector, SelectorKind, is_name


class Reason(StrEnum):
    """Why a decision is as it is; the text stands in the audit and in `[[test]]`."""

    ALLOWED = "allowed"
    NO_RULE = "no-rule"
    BLOCK = "block"
    MFA_STALE = "mfa-stale"
    POSTURE = "posture"
    WINDOW = "window"
    PLACE = "place"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NO_TOKEN = "no-token"  # noqa: S105 - a word of the audit, not a secret
    RELAY = "relay"
    UNKNOWN = "unknown"
    NOT_YET = "not-yet"


class Audit(StrEnum):
    """Which attempts are recorded; a denied one can not be left out for one rule alone."""

    ALL = "all"
    DENIED = "denied"
    NONE = "none"


class OnExpiry(StrEnum):
    """What stays when the bundle has expired and no newer one has come."""

    RESTRICT = "restrict"
    """Grants that no condition can end, and rules marked `survives_expiry`."""
    KEEP = "keep"
    """Everything."""
    DENY = "deny"
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds unless something says otherwise.

    Attributes:
        audit: Which attempts are recorded.
        session_max: Longest session after a login, in seconds.
        lease: Longest life of a conditional grant in a kernel whose daemon is dead, in seconds.
        on_expiry: What stays when the bundle has expired.
    """

    audit: Audit = Audit.ALL
    session_max: int = 12 * 3600
    lease: int = 15 * 60
    on_expiry: OnExpiry = OnExpiry.RESTRICT

    def __post_init__(self) -> None:
        """Refuse lengths of time that can not be meant.

        Raises:
            ValueError: A length is not positive.
        """
        if self.session_max <= 0 or self.lease <= 0:
            raise ValueError("session_max and lease must be longer than nothing")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may reach what, on which ports, and when.

    Attributes:
        id: The name the audit shows.
        sources: Any one of these must match the source.
        destinations: Any one of these must match the destination.
        ports: Normalised.
        not_before: First second in force.
        not_after: First second no longer in force.
        survives_expiry: Stays when an expired bundle is restricted.
        mfa_max_age: Longest age of a proof by several factors, in seconds.
        posture: The source device must hold all of these.
        when: One of these windows must be open.
        where: The source device must be in one of these places.
        via: How its packets must come; None is any way.
    """

    id: str
    sources: tuple[Selector, ...]
    destinations: tuple[Selector, ...]
    ports: tuple[PortRange, ...]
    not_before: int | None = None
    not_after: int | None = None
    survives_expiry: bool = False
    mfa_max_age: int | None = None
    posture: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    via: Via | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that says nothing or two things.

        Raises:
            ValueError: An id, selector, port or time can not be meant.
        """
        _check_id("rule", self.id)
        _check_selectors(f"rule {self.id}", self.sources, SOURCE_KINDS)
        _check_selectors(f"rule {self.id}", self.destinations, DESTINATION_KINDS)
        if not is_normal(self.ports):
            raise ValueError(f"rule {self.id}: its ports must be some, sorted and joined")
        _check_times(f"rule {self.id}", self.not_before, self.not_after)
        for names in (self.posture, self.when, self.where):
            if names:
                _check_named(f"rule {self.id}", names)
        if self.mfa_max_age is not None and not 0 < self.mfa_max_age <= AGE_SECONDS_MAX:
            raise ValueError(f"rule {self.id}: its age of a login is no length of time")
        if self.via is Via.UNKNOWN:
            raise ValueError(f"rule {self.id}: an unknown path can not be asked for")


@dataclass(frozen=True, slots=True)
class Block:
    """Who is cut off, in both directions, whatever the rules say."""

    id: str
    who: tuple[Selector, ...]

    def __post_init__(self) -> None:
        """Refuse a block of nobody.

        Raises:
            ValueError: The id or a selector can not be meant.
        """
        _check_id("block", self.id)
        _check_selectors(f"block {self.id}", self.who, SOURCE_KINDS)


@dataclass(frozen=True, slots=True)
class Test:
    """What a policy must decide, or it is neither signed nor installed.

    Attributes:
        source: A user, group, device, tag or site.
        destination: A resource, device, tag, site or part of one.
        ports: Flows it speaks of, normalised.
        allow: The decision expected.
        at: Instant it speaks of; None is every instant.
        rule: Rule expected to grant.
        reason: Reason expected.
        supposed: What it supposes about the source.
    """

    __test__: ClassVar[bool] = False  # pytest would take the class for one of its own

    source: Selector
    destination: Selector
    ports: tuple[PortRange, ...]
    allow: bool
    at: int | None = None
    rule: str | None = None
    reason: Reason | None = None
    supposed: Supposed = field(default_factory=Supposed)

    def __post_init__(self) -> None:
        """Refuse a test that can not be run.

        Raises:
            ValueError: A selector, port or time can not be meant.
        """
        _check_selectors("test", (self.source,), SOURCE_KINDS)
        _check_selectors("test", (self.destination,), DESTINATION_KINDS)
        if not is_normal(self.ports):
            raise ValueError("test: its ports must be some, sorted and joined")
        _check_times("test", self.at, None)
        if self.rule is not None:
            _check_id("rule", self.rule)


@dataclass(frozen=True, slots=True)
class Subject:
    """One end of a flow, as the verified state knows it.

    Attributes:
        device_id: The device's Ed25519 public key.
        name: Its name.
        name_trusted: The name was given by the mesh's admins, not chosen by the device.
        owner: Name of the user the device belongs to.
        tags: Its tags, those of the directory included.
        not_after: Unix second at which the device stops being valid.
    """

    device_id: bytes
    name: str
    name_trusted: bool
    owner: str | None = None
    tags: frozenset[str] = field(default_factory=frozenset)
    not_after: float | None = None


def _check_id(what: str, text: str) -> None:
    """Refuse an id that could not be written in a document."""
    if not is_name(text):
        raise ValueError(f"{what}: {text!r} can not be an id")


def _check_selectors(
    what: str, selectors: tuple[Selector, ...], kinds: frozenset[SelectorKind]
) -> None:
    """Refuse none, doubles, disorder and kinds that can not stand here."""
    single = len(selectors) == 1
    if not single and (not selectors or list(selectors) != sorted(set(selectors))):
        raise ValueError(f"{what}: its selectors must be some, sorted and different")
    for selector in selectors:
        if selector.kind not in kinds or not is_name(selector.name, selector.kind):
            raise ValueError(f"{what}: {selector} can not stand here")


def _check_named(what: str, names: tuple[str, ...]) -> None:
    """Refuse names in disorder, doubles, and what can not be a name."""
    if list(names) != sorted(set(names)) or not all(map(is_name, names)):
        raise ValueError(f"{what}: {names} are not names, sorted and different")


def _check_times(what: str, start: int | None, end: int | None) -> None:
    """Refuse times outside the calendar, and an end before the start."""
    for instant in (start, end):
        if instant is not None and not 0 <= instant <= TIME_MAX:
            raise ValueError(f"{what}: {instant} is not a time between 1970 and 9999")
    if start is not None and end is not None and end <= start:
        raise ValueError(f"{what}: it ends before it begins")


def time_text(instant: float) -> str:
    """Write a Unix time as a document does: `2026-12-01T00:00:00Z`."""
    whole = datetime.fromtimestamp(int(instant), tz=UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")
