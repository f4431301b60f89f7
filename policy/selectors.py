"""Selectors: how a rule names who and what (`group:dba`, `resource:prod-db-1`)."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeAlias

from crypto.objects.fields import LABEL, NAME, USER_NAME

Network: TypeAlias = IPv4Network | IPv6Network


class SelectorKind(IntEnum):
    """What a selector names; the number stands in the compiled policy."""

    USER = 1
    GROUP = 2
    TAG = 3
    DEVICE = 4
    RESOURCE = 5
    SITE = 6

    @property
    def word(self) -> str:
        """What stands before the colon."""
        return self.name.lower()


SOURCE_KINDS: Final = frozenset(SelectorKind) - {SelectorKind.RESOURCE}
DESTINATION_KINDS: Final = frozenset(
    {SelectorKind.RESOURCE, SelectorKind.TAG, SelectorKind.DEVICE, SelectorKind.SITE}
)
# What has a name too, but is no end of a flow; each with where it is to be written instead.
_ELSEWHERE: Final = {
    "claim": "a claim stands in a group, under [groups]",
    "place": 'a place is a condition: where = ["NAME"]',
    "posture": 'a posture is a condition: posture = ["NAME"]',
    "window": 'a window is a condition: when = ["NAME"]',
}
_OTHER_PATTERN: Final = (NAME, "1 to 63 of a-z, 0-9, '.', '_' and '-'")
_PATTERNS: Final = {
    SelectorKind.USER: (USER_NAME, "1 to 63 of a-z, 0-9, '.', '_', '-', '@' and '+'"),
    SelectorKind.DEVICE: (LABEL, "1 to 63 of a-z, 0-9 and '-'"),
    SelectorKind.SITE: (NAME, f"{_OTHER_PATTERN[1]}, and perhaps a network as in hq/10.0.0.0/8"),
}


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """One name of one kind; that of a site may go on with a network: `hq/10.10.2.0/24`."""

    kind: SelectorKind
    name: str

    def __hash__(self) -> int:
        """Hash the name alone: a text remembers its hash, and few names are of two kinds."""
        return hash(self.name)

    def __str__(self) -> str:
        """Write it as a rule does: `group:dba`."""
        return f"{self.kind.word}:{self.name}"

    @property
    def base(self) -> str:
        """The name that is declared somewhere: a site's without its network."""
        return self.name.partition("/")[0]

    @property
    def network(self) -> Network | None:
        """The network behind a site's name, if there is one."""
        _, slash, text = self.name.partition("/")
        return ipaddress.ip_network(text) if slash else None


def is_name(text: str, kind: SelectorKind | None = None) -> bool:
    """Say whether a text can be a name of a kind, or the id of a rule, block or service."""
    pattern, _ = _pattern(kind)
    if kind is SelectorKind.SITE and "/" in text:
        text, _, network = text.partition("/")
        if not _is_network(network):
            return False
    return pattern.fullmatch(text) is not None


def name_form(kind: SelectorKind | None = None) -> str:
    """Say what a name of a kind, or an id, looks like."""
    return _pattern(kind)[1]


def parse_selector(text: str, kinds: Collection[SelectorKind]) -> Selector:
    """Read `kind:name`, of one of `kinds`.

    Raises:
        ValueError: It is no selector, or of another kind; the message says what to write.
    """
    prefix, colon, name = text.partition(":")
    choices = ", ".join(f"{kind.word}:NAME" for kind in sorted(kinds))
    if colon and prefix in _ELSEWHERE:
        raise ValueError(
            f'"{text}" can not stand here: {_ELSEWHERE[prefix]}; here write one of {choices}'
        )
    kind = {kind.word: kind for kind in SelectorKind}.get(prefix)
    if text == "any":
        raise ValueError(f'"any" is everybody, and nothing here means that; write {choices}')
    if not colon or kind is None:
        raise ValueError(f'"{text}" is not a selector; write one of {choices}')
    if kind not in kinds:
        raise ValueError(f'"{text}" can not stand here; write one of {choices}')
    if kind is SelectorKind.SITE:
        name = _site_name(name)
    if not is_name(name, kind):
        raise ValueError(
            f'"{text}" has no {kind.word} name after the colon; use {name_form(kind)}'
        )
    return Selector(kind, name)


def site_selector(site: str, network: Network) -> Selector:
    """Give the selector of a part of a site."""
    return Selector(SelectorKind.SITE, f"{site}/{network}")


def _site_name(name: str) -> str:
    """Write the network of a site's name in the one way; a bare address is a network of one."""
    site, slash, text = name.partition("/")
    if not slash:
        return name
    try:
        return f"{site}/{ipaddress.ip_network(text)}"
    except ValueError as error:
        raise ValueError(f'"site:{name}" has no network after the slash: {error}') from None


def _is_network(text: str) -> bool:
    """Say whether a text is a network, written in the one way."""
    try:
        return str(ipaddress.ip_network(text)) == text
    except ValueError:
        return False


def _pattern(kind: SelectorKind | None) -> tuple[re.Pattern[str], str]:
    """Give the form of a name, for a machine and for a person."""
    return _OTHER_PATTERN if kind is None else _PATTERNS.get(kind, _OTHER_PATTERN)
