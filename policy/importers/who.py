"""Whom Tailscale's selectors mean, and which of them a rule of ours can mean too."""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from policy.importers.findings import NoEquivalentError
from policy.selectors import DESTINATION_KINDS, SelectorKind

_ADDRESSES: Final = (
    ipaddress.ip_network("100.64.0.0/10"),
    ipaddress.ip_network("fd7a:115c:a1e0::/48"),
)
_PREFIXES: Final[Mapping[str, str]] = {
    "ipset": "sets of addresses have no equivalent: rules here name devices, tags and users",
    "svc": "services with an address of their own have no equivalent; name the devices' tag",
    "user": "no group here is everybody of a domain; list the users in a group",
    "domain": "no group here is everybody of a domain; list the users in a group",
    "localpart": "logins on a host have no equivalent",
    "posture": "postures are not in this version",
}
_AUTOGROUPS: Final[Mapping[str, str]] = {
    "member": "no selector means everybody with an account; list the users in a group",
    "members": "no selector means everybody with an account; list the users in a group",
    "self": "no rule here compares the owners of two devices; write a rule for each user",
    "internet": "there are no exit nodes in this version",
    "tagged": "no selector means every tag; name the tags",
    "shared": "devices are not shared between meshes; enrol the guest as a user",
    "danger-all": "sources outside the mesh are never let in",
    "nonroot": "logins on a host have no equivalent",
}
_ROLE: Final = "who has this role stands in Tailscale's console, not in the file; list the users"
_EVERYBODY: Final = "no selector means everybody; name the users, groups and tags that are meant"


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A user, group or tag as Tailscale's file calls it, without the prefix."""

    kind: SelectorKind
    text: str


class Who:
    """Finds whom a selector means.

    Args:
        groups: Names the file declares.
        tags: Names the file declares.
        hosts: Names the file declares, each with its address.
    """

    def __init__(
        self, groups: Collection[str], tags: Collection[str], hosts: Mapping[str, str]
    ) -> None:
        self._groups = groups
        self._tags = tags
        self._hosts = hosts

    def source(self, text: str) -> Name:
        """Find a source.

        Raises:
            NoEquivalentError: A rule here can not name it.
        """
        prefix, colon, name = text.partition(":")
        if text == "*":
            raise NoEquivalentError(_EVERYBODY)
        if prefix == "group" and colon:
            return self._declared(SelectorKind.GROUP, name, self._groups)
        if prefix == "tag" and colon:
            return self._declared(SelectorKind.TAG, name, self._tags)
        if prefix == "autogroup" and colon:
            raise NoEquivalentError(_AUTOGROUPS.get(name, _ROLE))
        if prefix in _PREFIXES and colon:
            raise NoEquivalentError(_PREFIXES[prefix])
        if is_user(text):
            return Name(SelectorKind.USER, text)
        raise NoEquivalentError(self._address(text))

    def destination(self, text: str) -> Name:
        """Find a destination.

        Raises:
            NoEquivalentError: A rule here can not name it.
        """
        name = self.source(text)
        if name.kind not in DESTINATION_KINDS:
            raise NoEquivalentError(
                f"a rule here leads to devices, and not to whoever a {name.kind.word}'s devices "
                "are; name them, or give them a tag"
            )
        return name

    def owner(self, text: str) -> Name:
        """Find who owns a tag.

        Raises:
            NoEquivalentError: He can not own one here.
        """
        name = self.source(text)
        if name.kind is SelectorKind.TAG:
            raise NoEquivalentError("users and groups own tags here, and tags do not")
        return name

    def _declared(self, kind: SelectorKind, name: str, declared: Collection[str]) -> Name:
        if name in declared:
            return Name(kind, name)
        if kind is SelectorKind.TAG:
            raise NoEquivalentError("tagOwners does not declare this tag")
        raise NoEquivalentError(
            "the file does not say who is in it; if an identity provider does, list the users "
            "in a group"
        )

    def _address(self, text: str) -> str:
        """Say why a host or an address is not imported."""
        if text in self._hosts:
            return f"it is the host {self._hosts[text]}; {address_reason(self._hosts[text])}"
        return address_reason(text)


def is_user(text: str) -> bool:
    """Say whether a text is one user's login."""
    return "@" in text and not any(char in "*:/" or char.isspace() for char in text)


def address_reason(text: str) -> str:
    """Say why an address, or whatever else this is, is not imported."""
    try:
        network = ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return "the file does not say what it is"
    if any(network.version == each.version and network.subnet_of(each) for each in _ADDRESSES):  # type: ignore[arg-type] # both are of one version
        return "which device has this address can not be known from the file; name the device"
    return "addresses behind a gateway are not in this version; rules lead to devices"
