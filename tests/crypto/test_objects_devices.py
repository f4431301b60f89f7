"""Tickets, devices, sponsors and revocations: what each may say."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import pytest

from crypto.codec import dumps, loads
from crypto.errors import ObjectError
from crypto.identity import overlay6
from crypto.objects import Device, Revoke, RevokeKind, Sponsor, Ticket
from crypto.signing import ObjectType
from tests.crypto.samples import (
    ALPHA,
    BETA,
    DEVICE,
    ISSUED,
    MESH_ID,
    OBJECTS,
    OTHER_MESH_ID,
    ROOT,
    TICKET_OBJECT,
)

SPONSOR = OBJECTS[ObjectType.SPONSOR]
ID = bytes(32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"public_key": bytes(32)}, "public key is no valid Ed25519 public key"),
        ({"public_key": ALPHA.device_id[1:]}, "public key is no valid Ed25519 public key"),
        ({"name": "web-1"}, "one name cannot serve 5 devices"),
        ({"name": "Web", "uses": 1}, "name 'Web' is no valid name"),
        ({"tags": ("a", "a")}, "tags has an entry twice"),
        ({"tags": ("A",)}, "tags 'A' is no valid name"),
        ({"tags": tuple(f"t{n}" for n in range(65))}, "65 tags, at most 64 allowed"),
        ({"owner": "user:alice"}, "owner 'user:alice' is no valid name"),
        ({"uses": 0}, "uses must be 1 to 65535, not 0"),
        ({"uses": 65_536}, "uses must be 1 to 65535, not 65536"),
        ({"uses": 17}, "100.64.7.0/28 has fewer addresses than 17 uses need"),
        ({"addresses": IPv4Network("224.0.0.0/24")}, "addresses 224.0.0.0 is no address"),
        ({"addresses": IPv4Network("169.254.0.0/24")}, "addresses 169.254.0.0 is no address"),
        ({"not_after": ISSUED}, "it ends before it begins"),
        ({"issued": -1}, "issued must be 0 to"),
        ({"ephemeral_minutes": 0}, "ephemeral minutes must be 1 to 527040, not 0"),
        ({"ephemeral_minutes": 527_041}, "ephemeral minutes must be 1 to 527040, not 527041"),
    ],
)
def test_a_ticket_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a ticket is refused with its own words."""
    with pytest.raises(ObjectError, match=f"ticket: {message}"):
        replace(TICKET_OBJECT, **changes)


def test_a_ticket_for_one_device_is_exact() -> None:
    """A ticket may fix name and address of its only device, and leave out all it need not say."""
    ticket = replace(
        TICKET_OBJECT,
        name="web-1",
        tags=(),
        owner=None,
        addresses=IPv4Network("100.64.7.9/32"),
        uses=1,
        ephemeral_minutes=None,
    )
    assert Ticket.from_payload(ticket.to_payload()) == ticket


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device_id": bytes(32)}, "device id is no valid Ed25519 public key"),
        ({"wireguard_public": bytes(32)}, "WireGuard key is no usable X25519 public key"),
        ({"gossip_public": b""}, "gossip key is no usable X25519 public key"),
        ({"name": "a.b"}, "name 'a.b' is no valid name"),
        ({"owner": ""}, "owner '' is no valid name"),
        ({"tags": ("x", "y", "x")}, "tags has an entry twice"),
        ({"address4": IPv4Address("239.1.1.1")}, "address4 239.1.1.1 is no address"),
        ({"address4": IPv4Address("255.255.255.255")}, "address4 255.255.255.255 is no"),
        ({"address4": IPv4Address("0.0.0.0")}, "address4 0.0.0.0 is no address"),
        ({"address4": IPv4Address("127.0.0.1")}, "address4 127.0.0.1 is no address"),
        ({"address6": IPv6Address("2001:db8::1")}, "address6 2001:db8::1 is no local"),
        ({"address6": IPv6Address("fe80::1")}, "address6 fe80::1 is no local address"),
        ({"address6": IPv6Address("fc00::1")}, "address6 fc00::1 is no local address"),
        ({"not_before": -1}, "not_before must be 0 to"),
        ({"not_after": ISSUED}, "it ends before it begins"),
        ({"ticket": b"short"}, "ticket must have 32 bytes, not 5"),
    ],
)
def test_a_device_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a device is refused with its own words."""
    with pytest.raises(ObjectError, match=f"device: {message}"):
        replace(DEVICE, **changes)


def test_a_device_may_last_until_revoked() -> None:
    """A device without end, owner, tags and ticket is fine and reads back."""
    device = replace(DEVICE, not_after=None, owner=None, tags=(), ticket=None)
    assert Device.from_payload(device.to_payload()) == device


@pytest.mark.parametrize(
    ("key", "packed", "message"),
    [
        (7, bytes(3), "address4 must have 4 bytes, not 3"),
        (7, bytes(16), "address4 must have 4 bytes, not 16"),
        (8, bytes(4), "address6 must have 16 bytes, not 4"),
    ],
)
def test_packed_addresses_have_their_length(key: int, packed: bytes, message: str) -> None:
    """An address of another family, or of no family, is refused when read."""
    fields: Any = loads(DEVICE.to_payload())
    with pytest.raises(ObjectError, match=f"device: {message}"):
        Device.from_payload(dumps(fields | {key: packed}))


def test_own_addresses_are_accepted() -> None:
    """The address of the device's key and a host of the pool pass."""
    DEVICE.check_addresses(MESH_ID, ROOT.pool4)


@pytest.mark.parametrize(
    ("mesh_id", "device_id"),
    [(OTHER_MESH_ID, ALPHA.device_id), (MESH_ID, BETA.device_id)],
)
def test_t08_a_device_has_no_other_devices_address6(mesh_id: bytes, device_id: bytes) -> None:
    """The IPv6 address of another device, or of this one in another mesh, is refused."""
    device = replace(DEVICE, address6=overlay6(mesh_id, device_id))
    with pytest.raises(ObjectError, match=r"device alpha: address6 .* is not fd"):
        device.check_addresses(MESH_ID, ROOT.pool4)


@pytest.mark.parametrize("address", ["10.0.0.1", "100.64.7.0", "100.64.7.255", "100.64.8.1"])
def test_t08_address4_is_a_host_of_the_pool(address: str) -> None:
    """An address outside the pool, or its network or broadcast address, is refused."""
    device = replace(DEVICE, address4=IPv4Address(address))
    with pytest.raises(ObjectError, match=f"address4 {address} is no host of 100.64.7.0/24"):
        device.check_addresses(MESH_ID, IPv4Network("100.64.7.0/24"))


@pytest.mark.parametrize("field", ["device", "ticket", "sponsor"])
def test_a_sponsor_names_its_three_parties(field: str) -> None:
    """Each id in a sponsorship has 32 bytes."""
    assert isinstance(SPONSOR, Sponsor)
    with pytest.raises(ObjectError, match=f"sponsor: {field} must have 32 bytes, not 2"):
        replace(SPONSOR, **{field: b"id"})  # type: ignore[arg-type] # one field of four


def test_a_sponsor_has_a_time() -> None:
    """The sponsor's clock has to be one that can be written down."""
    assert isinstance(SPONSOR, Sponsor)
    with pytest.raises(ObjectError, match="sponsor: at must be 0 to"):
        replace(SPONSOR, at=-1)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("device", ID),
        ("ticket", ID),
        ("registrar", ID),
        ("user", "alice@example.com"),
        ("grant", "dba-postgres"),
    ],
)
def test_each_kind_of_revocation_reads_back(kind: str, subject: bytes | str) -> None:
    """A revocation of each kind, with the subject that fits it, is fine."""
    revoke = Revoke(RevokeKind(kind), subject, ISSUED)
    assert Revoke.from_payload(revoke.to_payload()) == revoke
    assert revoke.reason == ""


@pytest.mark.parametrize("kind", RevokeKind)
def test_a_subject_fits_its_kind(kind: RevokeKind) -> None:
    """A name where a key is expected, or a key where a name is, is refused both ways."""
    wrong: bytes | str = ID if kind in {RevokeKind.USER, RevokeKind.GRANT} else "alice"
    with pytest.raises(ObjectError, match=f"revoke: the subject is no {kind}"):
        Revoke(kind, wrong, ISSUED)
    with pytest.raises(ObjectError, match="revoke: subject must be"):
        Revoke.from_payload(dumps({1: str(kind), 2: wrong, 3: ISSUED, 4: ""}))


@pytest.mark.parametrize(
    ("subject", "reason", "message"),
    [
        (b"short", "", "subject must have 32 bytes, not 5"),
        (ID, "a\nb", "reason holds a control"),
        (ID, "x" * 256, "reason must have 0 to 255 characters"),
    ],
)
def test_a_revocation_keeps_its_rules(subject: bytes, reason: str, message: str) -> None:
    """Each broken rule of a revocation is refused with its own words."""
    with pytest.raises(ObjectError, match=f"revoke: {message}"):
        Revoke(RevokeKind.DEVICE, subject, ISSUED, reason)


def test_a_revoked_name_is_a_name() -> None:
    """A user who could not exist is refused as a subject."""
    with pytest.raises(ObjectError, match="revoke: subject 'Alice' is no valid name"):
        Revoke(RevokeKind.USER, "Alice", ISSUED)


def test_t22_there_is_no_kind_that_gives_something_back() -> None:
    """The only kinds are things to take away; any other word is refused."""
    assert set(RevokeKind) == {"device", "ticket", "user", "registrar", "grant"}
    with pytest.raises(ObjectError, match="revoke: kind 'unrevoke' is unknown"):
        Revoke.from_payload(dumps({1: "unrevoke", 2: ID, 3: ISSUED, 4: ""}))


def test_the_time_of_a_revocation_can_be_written_down() -> None:
    """A revocation from before 1970 is refused."""
    with pytest.raises(ObjectError, match="revoke: issued must be 0 to"):
        Revoke(RevokeKind.DEVICE, ID, -1)
