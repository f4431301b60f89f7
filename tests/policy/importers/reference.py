"""What a Tailscale network lets through: an evaluator of its own, for the tests of the importer.

It shares nothing with the importer. It works as Tailscale's clients do (wgengine/filter) on what
the control plane makes of a policy file, and it knows more than can be imported: everybody, users
as destinations, some autogroups, addresses. Where something narrows a rule in a way that it can
not judge (a posture, a router), it takes the narrowest: the rule lets nothing through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TCP, UDP, SCTP = 6, 17, 132
ICMP = (1, 58)
ALL = (0, 65_535)
PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": TCP,
    "udp": UDP,
    "gre": 47,
    "esp": 50,
    "ipv6-icmp": 58,
    "sctp": SCTP,
}
DEFAULT = (TCP, UDP, *ICMP)


@dataclass(frozen=True)
class Device:
    """A device: a user's, or one with tags, which has no user."""

    address: str
    user: str | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Match:
    """A line of a packet filter: protocols, and the destination ports open to some devices."""

    protos: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


def allows(
    policy: Mapping[str, Any], source: Device, destination: Device, proto: int, port: int | None
) -> bool:
    """Say whether a device's packet filter lets the first packet of a flow in."""
    if "acls" not in policy and "grants" not in policy:
        return True
    matches = list(_matches(policy, source, destination))
    if proto in ICMP:
        return bool(matches)
    mine = [match for match in matches if proto in match.protos]
    if proto in {TCP, UDP, SCTP}:
        assert port is not None
        return any(lo <= port <= hi for match in mine for lo, hi in match.spans)
    return any(ALL in match.spans for match in mine)


def passes(policy: Mapping[str, Any], test: Mapping[str, Any], key: str, target: str) -> bool:
    """Say whether one destination of a test holds; its source is a user or a tag."""
    host, _, port = target.rpartition(":")
    source = _representative(test["src"])
    destination = _representative(host)
    protos = [PROTOCOLS[test["proto"]]] if "proto" in test else [TCP, UDP]
    allowed = any(allows(policy, source, destination, each, int(port)) for each in protos)
    return allowed is (key == "accept")


def _representative(selector: str) -> Device:
    if selector.startswith("tag:"):
        return Device("100.64.0.1", tags=frozenset({selector}))
    return Device("100.64.0.1", user=selector)


def _matches(policy: Mapping[str, Any], source: Device, destination: Device) -> Sequence[Match]:
    found = []
    for acl in policy.get("acls", ()):
        if _narrowed(policy, acl) or acl["action"] != "accept":
            continue
        if not any(_selects(policy, each, source) for each in acl.get("src", acl.get("users"))):
            continue
        protos = _protos(acl.get("proto", ""))
        for target in acl.get("dst", acl.get("ports")):
            host, _, ports = target.rpartition(":")
            if _leads(policy, host, source, destination) and _spans(ports):
                found.append(Match(protos, _spans(ports)))
    for grant in policy.get("grants", ()):
        if _narrowed(policy, grant):
            continue
        if not any(_selects(policy, each, source) for each in grant["src"]):
            continue
        if not any(_leads(policy, each, source, destination) for each in grant["dst"]):
            continue
        for capability in grant.get("ip", ()):
            proto, _, ports = capability.rpartition(":")
            if _spans(ports):
                found.append(Match(_protos(proto), _spans(ports)))
    return found


def _narrowed(policy: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    posture = entry.get("srcPosture") or policy.get("defaultSrcPosture")
    return bool(posture or entry.get("via") or entry.get("someday"))


def _selects(policy: Mapping[str, Any], selector: str, device: Device) -> bool:
    kind, _, _ = selector.partition(":")
    match kind:
        case "*":
            return True
        case "tag":
            return selector in policy["tagOwners"] and selector in device.tags
        case "group":
            return device.user in policy["groups"].get(selector, ())
        case "autogroup":
            role = {"autogroup:member": device.user, "autogroup:tagged": device.tags}
            return bool(role.get(selector))
        case "user":
            return device.user is not None and device.user.endswith(
                selector.removeprefix("user:*")
            )
        case _ if "@" in selector:
            return device.user == selector
        case _:
            address = policy["hosts"].get(selector, selector)
            return ipaddress.ip_address(device.address) in ipaddress.ip_network(address)


def _leads(policy: Mapping[str, Any], selector: str, source: Device, device: Device) -> bool:
    if selector == "autogroup:self":
        return source.user is not None and source.user == device.user
    return _selects(policy, selector, device)


def _protos(text: str) -> tuple[int, ...]:
    text = text.lower()
    if not text:
        return DEFAULT
    return (int(text) if text.isdigit() else PROTOCOLS[text],)


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    if text == "*":
        return (ALL,)
    spans = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not 0 < int(first) <= int(last or first) <= ALL[1]:
            return ()
        spans.append((int(first), int(last or first)))
    return tuple(spans)
