"""Device keys and what follows from them."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.agreement import x25519, x25519_public
from crypto.errors import LocalError
from crypto.identity import DeviceKeys, mesh_prefix6, overlay6, short_id
from crypto.signing import is_valid_key, public_key
from tests.crypto.samples import ALPHA, MESH_ID, OTHER_MESH_ID

IDS = st.binary(min_size=32, max_size=32)


def test_public_halves_follow_from_the_private_ones() -> None:
    """The three public keys are those of the three private ones."""
    assert ALPHA.device_id == public_key(ALPHA.sign_seed)
    assert ALPHA.wireguard_public == x25519_public(ALPHA.wireguard_private)
    assert ALPHA.gossip_public == x25519_public(ALPHA.gossip_private)


def test_generated_keys_depend_on_entropy_alone() -> None:
    """The same entropy gives the same keys, other entropy others; all three differ."""
    one = DeviceKeys.generate(Random(1).randbytes)
    assert one == DeviceKeys.generate(Random(1).randbytes)
    assert one != DeviceKeys.generate(Random(2).randbytes)
    assert len({one.sign_seed, one.wireguard_private, one.gossip_private}) == 3
    assert is_valid_key(one.device_id)


@given(IDS, IDS)
def test_the_wireguard_key_is_clamped_and_works_the_same(entropy: bytes, other: bytes) -> None:
    """Clamping changes how the private key looks, not what it computes."""
    keys = DeviceKeys.generate(lambda _: entropy)
    private = keys.wireguard_private
    assert (private[0] & 7, private[31] >> 6) == (0, 1)
    assert private[1:31] == entropy[1:31]
    public = x25519_public(other)
    assert x25519(private, public) == x25519(entropy, public)


def test_too_little_entropy_is_our_mistake() -> None:
    """An entropy source that returns less than asked for makes no keys."""
    with pytest.raises(LocalError, match="entropy returned 8 bytes, not 32"):
        DeviceKeys.generate(lambda _: bytes(8))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_private_key_of_another_length_is_refused(position: int) -> None:
    """Each of the three private keys has to have 32 bytes."""
    secrets = [bytes(32), bytes(32), bytes(32)]
    secrets[position] = bytes(31)
    with pytest.raises(LocalError, match="32 bytes"):
        DeviceKeys(*secrets)


def test_repr_shows_no_secret() -> None:
    """Printing keys shows the public halves and none of the private ones."""
    shown = repr(ALPHA)
    assert repr(ALPHA.device_id) in shown
    for secret in (ALPHA.sign_seed, ALPHA.wireguard_private, ALPHA.gossip_private):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_the_prefix_is_a_local_48_of_the_mesh() -> None:
    """The /48 has the form of RFC 4193 section 3.1, its global id hashed from the mesh id."""
    prefix = mesh_prefix6(MESH_ID)
    assert prefix.prefixlen == 48
    assert prefix.subnet_of(IPv6Network("fd00::/8"))
    global_id = sha256(b"hedgerow-prefix6" + MESH_ID).digest()[:5]
    assert prefix.network_address.packed == b"\xfd" + global_id + bytes(10)
    assert prefix != mesh_prefix6(OTHER_MESH_ID)


@given(IDS, IDS)
def test_an_address_lies_in_its_mesh_and_follows_from_the_key(mesh_id: bytes, key: bytes) -> None:
    """A device's address is in the mesh's prefix, always the same, and another for another key."""
    address = overlay6(mesh_id, key)
    assert address in mesh_prefix6(mesh_id)
    assert address == overlay6(mesh_id, key)
    assert address != overlay6(mesh_id, bytes([key[0] ^ 1]) + key[1:])


def test_an_address_hashes_mesh_and_key() -> None:
    """The 80 low bits hash both ids, so a device's addresses in two meshes are unlinked."""
    digest = sha256(b"hedgerow-address6" + MESH_ID + ALPHA.device_id).digest()
    assert overlay6(MESH_ID, ALPHA.device_id).packed[6:] == digest[:10]


def test_a_short_id_is_16_digits() -> None:
    """People see the first 16 hexadecimal digits."""
    assert short_id(bytes(range(32))) == "0001020304050607"
