"""What devices say in gossip: epochs, endpoints, records, accusations, farewells."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.codec import Value, dumps, loads
from crypto.errors import ObjectError
from crypto.objects import Accusation, Endpoint, Epoch, Leave, Member
from crypto.signing import ObjectType
from tests.crypto.samples import ALPHA, EPOCH, ISSUED, OBJECTS, sealed


def sample_member() -> Member:
    """Return the sample record."""
    member = OBJECTS[ObjectType.MEMBER]
    assert isinstance(member, Member)
    return member


def test_epochs_order_by_boot_then_counter() -> None:
    """A later boot outranks any counter of an earlier one."""
    assert Epoch(1, 0) < Epoch(1, 1) < Epoch(2, 0)


@pytest.mark.parametrize(
    ("boot", "counter", "name"), [(-1, 0, "boot"), (0, -1, "counter"), (0, 2**63, "counter")]
)
def test_an_epoch_has_two_bounded_numbers(boot: int, counter: int, name: str) -> None:
    """A number below zero or above 63 bits is refused."""
    with pytest.raises(ObjectError, match=f"epoch: {name} must be 0 to"):
        Epoch(boot, counter)


@pytest.mark.parametrize("value", [[], [1], [1, 2, 3]])
def test_an_epoch_is_two_numbers(value: list[int]) -> None:
    """An array of another length is no epoch."""
    fields: Any = loads(sample_member().to_payload())
    with pytest.raises(ObjectError, match=f"member: epoch must be two numbers, not {len(value)}"):
        Member.from_payload(dumps(fields | {2: value}))


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_an_endpoint_reads_back_or_is_special(ip: IPv4Address | IPv6Address, port: int) -> None:
    """Every address is an endpoint that reads back, or one no single machine has."""
    special = ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255"
    if special or getattr(ip, "ipv4_mapped", None) is not None:
        with pytest.raises(ObjectError, match="no address of a single machine"):
            Endpoint(str(ip), port)
    else:
        endpoint = Endpoint(str(ip), port)
        assert Endpoint.from_fields(loads(dumps(endpoint.to_fields()))) == endpoint
        assert endpoint.address == (str(ip), port)


@pytest.mark.parametrize(
    ("ip", "message"),
    [
        ("", "'' is no IP address"),
        ("example.com", "'example.com' is no IP address"),
        ("1.2.3", "'1.2.3' is no IP address"),
        ("1.2.3.04", "'1.2.3.04' is no IP address"),
        ("2001:DB8::1", "'2001:DB8::1' is not the usual form of 2001:db8::1"),
        ("2001:db8:0::1", "'2001:db8:0::1' is not the usual form of 2001:db8::1"),
        ("fe80::1%eth0", "'fe80::1%eth0' is not the usual form of"),
        ("::ffff:1.2.3.4", "is no address of a single machine|is not the usual form"),
        ("::ffff:102:304", "is no address of a single machine|is not the usual form"),
        ("224.0.0.1", "224.0.0.1 is no address of a single machine"),
        ("ff02::1", "ff02::1 is no address of a single machine"),
        ("0.0.0.0", "0.0.0.0 is no address of a single machine"),
        ("::", ":: is no address of a single machine"),
        ("255.255.255.255", "255.255.255.255 is no address of a single machine"),
    ],
)
def test_t52_an_endpoint_is_one_machine_in_one_form(ip: str, message: str) -> None:
    """Group addresses, mapped ones, scopes and unusual spellings are refused."""
    with pytest.raises(ObjectError, match=f"endpoint: .*{message}"):
        Endpoint(ip, 1)


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "fe80::1", "::1", "fd00::1"])
def test_local_endpoints_are_fine(ip: str) -> None:
    """Loopback, private and link-local addresses are endpoints: machines may share a network."""
    assert Endpoint(ip, 1).ip == ip


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_an_endpoint_has_a_port(port: int) -> None:
    """A port outside 1 to 65535 is refused."""
    with pytest.raises(ObjectError, match=f"endpoint: port must be 1 to 65535, not {port}"):
        Endpoint("192.0.2.1", port)


@pytest.mark.parametrize(
    "value",
    [
        0,
        [],
        [bytes(4)],
        [b"\x01\x02\x03", 1],
        ["1.2.3.4", 1],
        [b"\x01\x02\x03\x04", True],
        [b"\x01\x02\x03\x04", "1"],
        [b"\x01\x02\x03\x04", 1, 1],
    ],
)
def test_an_endpoint_is_bytes_and_a_port_on_the_wire(value: Value) -> None:
    """Any other form is refused when a record is read."""
    fields: Any = loads(sample_member().to_payload())
    with pytest.raises(ObjectError, match="endpoint: an address of 4 or 16 bytes and a port"):
        Member.from_payload(dumps(fields | {3: [value]}))


def test_a_record_on_the_wire_is_packed() -> None:
    """An endpoint takes 4 or 16 bytes, and a typical signed record no more than 300."""
    endpoint = sample_member().endpoints[1]
    assert endpoint.to_fields() == [ip_address("2001:db8::9").packed, 41_641]
    assert len(sealed(ObjectType.MEMBER)) <= 300


def test_a_record_has_at_most_8_endpoints() -> None:
    """Eight endpoints are fine, a ninth refuses the record."""
    endpoints = tuple(Endpoint("192.0.2.1", port) for port in range(1, 10))
    assert len(replace(sample_member(), endpoints=endpoints[:8]).endpoints) == 8
    with pytest.raises(ObjectError, match="member: 9 endpoints, at most 8 allowed"):
        replace(sample_member(), endpoints=endpoints)


@pytest.mark.parametrize("reachable", [True, False, None])
def test_reachable_has_three_answers(reachable: bool | None) -> None:  # noqa: FBT001 - its type
    """Yes, no and not known all read back."""
    member = replace(sample_member(), reachable=reachable)
    assert Member.from_payload(member.to_payload()) == member


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device_id": b""}, "device_id must have 32 bytes, not 0"),
        ({"gossip_key": bytes(32)}, "gossip key is no usable X25519 public key"),
        ({"endpoints": (Endpoint("192.0.2.1", 1),) * 2}, "endpoints has an entry twice"),
        ({"issued": -1}, "issued must be 0 to"),
    ],
)
def test_a_record_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a record is refused with its own words."""
    with pytest.raises(ObjectError, match=f"member: {message}"):
        replace(sample_member(), **changes)


def test_a_device_does_not_accuse_itself() -> None:
    """An accusation has two parties."""
    with pytest.raises(ObjectError, match="accusation: a device accuses itself"):
        Accusation(ALPHA.device_id, ALPHA.device_id, EPOCH, ISSUED)


@pytest.mark.parametrize(
    ("accuser", "subject", "issued", "message"),
    [
        (b"", ALPHA.device_id, ISSUED, "accuser must have 32 bytes"),
        (ALPHA.device_id, b"", ISSUED, "subject must have 32 bytes"),
        (ALPHA.device_id, bytes(32), -1, "issued must be 0 to"),
    ],
)
def test_an_accusation_keeps_its_rules(
    accuser: bytes, subject: bytes, issued: int, message: str
) -> None:
    """Each broken rule of an accusation is refused with its own words."""
    with pytest.raises(ObjectError, match=f"accusation: {message}"):
        Accusation(accuser, subject, EPOCH, issued)


@pytest.mark.parametrize(
    ("device_id", "issued", "message"),
    [(b"", ISSUED, "device_id must have 32 bytes"), (bytes(32), -1, "issued must be 0 to")],
)
def test_a_farewell_keeps_its_rules(device_id: bytes, issued: int, message: str) -> None:
    """Each broken rule of a farewell is refused with its own words."""
    with pytest.raises(ObjectError, match=f"leave: {message}"):
        Leave(device_id, EPOCH, issued)
