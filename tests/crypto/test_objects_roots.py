"""Roots and heads: whatever the admins sign by mistake is refused before anyone uses it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Any

import pytest

from crypto.codec import dumps, loads
from crypto.errors import ObjectError
from crypto.objects import PART_BYTES_MAX, Head, PartRef, Role, Root
from crypto.objects.fields import TIME_MAX
from crypto.signing import HEAD_PAYLOAD_BYTES_MAX, public_key
from tests.crypto.samples import ADMINS, DAY, HEAD, ISSUED, ROOT, seed

KEYS = tuple(map(public_key, ADMINS))
HASH = sha256(b"hash").digest()

SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
# Not canonical: y = p + 1, which is y = 1 written otherwise.
NOT_CANONICAL = b"\xee" + b"\xff" * 30 + b"\x7f"
# A main-subgroup point plus one of order 8: of mixed order (from the speccheck vectors).
MIXED_ORDER = bytes.fromhex("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d")


@pytest.mark.parametrize("threshold", [-1, 0, 4, 2**63])
def test_t20_a_threshold_no_keys_can_meet_is_refused(threshold: int) -> None:
    """A threshold of none, or of more keys than there are, is refused."""
    with pytest.raises(ObjectError, match=f"role: threshold {threshold} of 3 keys"):
        Role(threshold, KEYS)


def test_t20_a_role_without_keys_is_refused() -> None:
    """No keys cannot meet any threshold."""
    with pytest.raises(ObjectError, match="role: threshold 1 of 0 keys"):
        Role(1, ())


def test_t20_a_repeated_key_is_refused() -> None:
    """One key twice would let one holder meet a threshold of two."""
    with pytest.raises(ObjectError, match="role: keys has an entry twice"):
        Role(2, (KEYS[0], KEYS[1], KEYS[0]))


@pytest.mark.parametrize("key", [*SMALL_ORDER, NOT_CANONICAL, MIXED_ORDER])
def test_t20_a_key_of_small_or_mixed_order_is_refused(key: bytes) -> None:
    """A key on whose signatures verifiers could disagree is never named by a root."""
    with pytest.raises(ObjectError, match=f"role: key {key.hex()[:16]} is no valid Ed25519"):
        Role(1, (KEYS[0], key))


@pytest.mark.parametrize("length", [0, 31, 33, 65])
def test_t20_a_key_of_another_algorithm_is_refused(length: int) -> None:
    """A P-256 key, or any other length, is no key here."""
    with pytest.raises(ObjectError, match="no valid Ed25519 public key"):
        Role(1, (b"\x04" * length,))


def test_t20_a_role_has_at_most_32_keys() -> None:
    """Thirty-two keys are fine, one more is refused."""
    keys = tuple(public_key(seed(str(number))) for number in range(33))
    assert Role(32, keys[:32]).threshold == 32
    with pytest.raises(ObjectError, match="role: 33 keys, at most 32 allowed"):
        Role(32, keys)


@pytest.mark.parametrize(
    "changed",
    [{1: 0}, {1: 4}, {2: [KEYS[0], KEYS[0]]}, {2: [bytes(32)]}, {2: []}, {3: 0}, {1: "2"}],
)
def test_t20_a_root_with_such_a_role_is_refused_when_read(changed: dict[int, Any]) -> None:
    """A signed root does not get a bad role in either: reading it checks as making it does."""
    fields: Any = loads(ROOT.to_payload())
    fields[5]["policy"].update(changed)
    with pytest.raises(ObjectError, match="role"):
        Root.from_payload(dumps(fields))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 0}, "version must be 1 to"),
        ({"version": 2**63}, "version must be 1 to"),
        ({"version": 2}, "version 1 alone has no predecessor"),
        ({"previous": HASH}, "version 1 alone has no predecessor"),
        ({"version": 2, "previous": HASH[1:]}, "previous must have 32 bytes, not 31"),
        ({"mesh_name": ""}, "mesh name '' is no valid name"),
        ({"mesh_name": "Acme"}, "mesh name 'Acme' is no valid name"),
        ({"mesh_name": "acme_1"}, "mesh name 'acme_1' is no valid name"),
        ({"mesh_name": "-acme"}, "mesh name '-acme' is no valid name"),
        ({"mesh_name": "acme-"}, "mesh name 'acme-' is no valid name"),
        ({"mesh_name": "a" * 64}, "mesh name 'a+' is no valid name"),
        ({"issued": -1}, "issued must be 0 to"),
        ({"expires": TIME_MAX + 1}, "expires must be 0 to"),
        ({"expires": ISSUED}, "it expires before it begins"),
        ({"roles": {}}, "it needs exactly the roles root, policy, registrar, revoker"),
        ({"roles": {**ROOT.roles, "auditor": Role(1, KEYS)}}, "it needs exactly the roles"),
        ({"pool4": IPv4Network("100.0.0.0/7")}, "pool4 prefix length must be 8 to 30, not 7"),
        ({"pool4": IPv4Network("100.64.0.0/31")}, "pool4 prefix length must be 8 to 30, not 31"),
        ({"pool4": IPv4Network("224.0.0.0/8")}, "pool4 224.0.0.0 is no address of a single"),
        ({"pool4": IPv4Network("127.0.0.0/8")}, "pool4 127.0.0.0 is no address of a single"),
        ({"pool4": IPv4Network("240.0.0.0/8")}, "pool4 240.0.0.0 is no address of a single"),
        ({"pool4": IPv4Network("0.0.0.0/8")}, "pool4 0.0.0.0 is no address of a single"),
        ({"limits": {"Bad": 1}}, "limits 'Bad' is no valid name"),
        ({"limits": {"devices": -1}}, "limit devices must be 0 to"),
        ({"limits": {f"l{n}": 1 for n in range(65)}}, "65 limits, at most 64 allowed"),
    ],
)
def test_a_root_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a root is refused with its own words."""
    with pytest.raises(ObjectError, match=f"root: {message}"):
        replace(ROOT, **changes)


def test_a_later_root_names_its_predecessor() -> None:
    """Version 2 with the hash of version 1 is fine and reads back."""
    later = replace(ROOT, version=2, previous=HASH)
    assert Root.from_payload(later.to_payload()) == later


def test_a_root_has_a_default_pool_and_no_limits() -> None:
    """Left out, the pool is 100.64.0.0/10 and no bound is named."""
    root = Root(1, "acme", ISSUED, ISSUED + DAY, ROOT.roles)
    assert root.pool4 == IPv4Network("100.64.0.0/10")
    assert root.limits == {}


def test_a_limit_is_a_number() -> None:
    """A limit that is no integer is refused when read."""
    fields: Any = loads(ROOT.to_payload())
    fields[8]["devices"] = "many"
    with pytest.raises(ObjectError, match="root: limit 'devices' must be int, not str"):
        Root.from_payload(dumps(fields))


def test_names_are_the_keys_of_roles() -> None:
    """A map of roles with numbers as keys is refused."""
    fields: Any = loads(ROOT.to_payload())
    fields[5] = {1: {}}
    with pytest.raises(ObjectError, match="root: roles needs names as keys"):
        Root.from_payload(dumps(fields))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 0}, "epoch must be 1 to"),
        ({"version": 0}, "version must be 1 to"),
        ({"version": 2**63}, "version must be 1 to"),
        ({"stale_after": ISSUED}, "issued < stale_after <= expires does not hold"),
        ({"expires": ISSUED + DAY}, "issued < stale_after <= expires does not hold"),
        ({"issued": -1}, "issued must be 0 to"),
        ({"previous": b""}, "previous must have 32 bytes, not 0"),
        ({"parts": {"Policy": PartRef(1, HASH, 1)}}, "parts 'Policy' is no valid name"),
        ({"parts": {f"p{n}": PartRef(1, HASH, 1) for n in range(9)}}, "9 parts, at most 8"),
        ({"min_client_version": -1}, "min_client_version must be 0 to"),
    ],
)
def test_a_head_keeps_its_rules(changes: dict[str, Any], message: str) -> None:
    """Each broken rule of a head is refused with its own words."""
    with pytest.raises(ObjectError, match=f"head: {message}"):
        replace(HEAD, **changes)


def test_a_head_is_never_longer_than_a_code_can_hold() -> None:
    """Parts with long names would make a head of more than 1 KiB: refused when made."""
    parts = {f"{n}" + "p" * 62: PartRef(2**62, HASH, PART_BYTES_MAX) for n in range(8)}
    head = replace(HEAD, epoch=2**62, version=2**62, previous=HASH, parts=parts)
    assert len(head.to_payload()) <= HEAD_PAYLOAD_BYTES_MAX
    with pytest.raises(ObjectError, match="bytes, more than the 1024 that fit one QR code"):
        replace(head, min_client_version=2**62, expires=TIME_MAX, stale_after=TIME_MAX)


def test_t18_the_highest_version_loses_to_the_next_epoch() -> None:
    """The order of heads compares epochs first, so a stolen key's 2^63 - 1 is outranked."""
    stolen = replace(HEAD, version=2**63 - 1)
    assert replace(HEAD, epoch=2).order > stolen.order > HEAD.order
    assert Head.from_payload(stolen.to_payload()) == stolen


@pytest.mark.parametrize(
    ("version", "digest", "length", "message"),
    [
        (-1, HASH, 1, "version must be 0 to"),
        (1, HASH[1:], 1, "hash must have 32 bytes, not 31"),
        (1, HASH, 0, "length must be 1 to 8388608, not 0"),
        (1, HASH, PART_BYTES_MAX + 1, "length must be 1 to 8388608, not 8388609"),
    ],
)
def test_t46_a_part_says_a_length_anyone_would_fetch(
    version: int, digest: bytes, length: int, message: str
) -> None:
    """A part longer than 8 MiB, of no bytes, or without a hash is refused in the head."""
    with pytest.raises(ObjectError, match=f"part: {message}"):
        PartRef(version, digest, length)


@pytest.mark.parametrize("changed", [{1: "1"}, {2: 0}, {3: b""}, {4: 0}])
def test_a_part_reference_is_read_strictly(changed: dict[int, Any]) -> None:
    """A field of another type, or one too many, refuses the head and names the part."""
    fields: Any = loads(HEAD.to_payload())
    fields[7]["policy"].update(changed)
    with pytest.raises(ObjectError, match="head: part 'policy'"):
        Head.from_payload(dumps(fields))
