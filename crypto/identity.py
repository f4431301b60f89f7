"""Who a device is: its keys, and the names and addresses that follow from them.

A device's id is its Ed25519 public key. Its IPv6 address in the mesh is a hash of that key, so
that whoever holds the key object can check the address without asking anyone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from crypto.agreement import x25519_public
from crypto.errors import LocalError
from crypto.signing import public_key

_SECRET_BYTES: Final = 32
_PREFIX_CONTEXT: Final = b"hedgerow-prefix6"
_ADDRESS_CONTEXT: Final = b"hedgerow-address6"


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """A device's private keys, with the public halves they give. `repr` shows only the latter.

    Attributes:
        sign_seed: Private seed of the Ed25519 device key.
        wireguard_private: X25519 private key of the tunnel, clamped as WireGuard shows it.
        gossip_private: X25519 private key of the gossip sessions.
        device_id: The Ed25519 public key, which is the device's id.
        wireguard_public: Public half of `wireguard_private`.
        gossip_public: Public half of `gossip_private`.

    Raises:
        LocalError: If a private key has another length than 32.
    """

    sign_seed: bytes = field(repr=False)
    wireguard_private: bytes = field(repr=False)
    gossip_private: bytes = field(repr=False)
    device_id: bytes = field(init=False, compare=False)
    wireguard_public: bytes = field(init=False, compare=False)
    gossip_public: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device_id", public_key(self.sign_seed))
        object.__setattr__(self, "wireguard_public", x25519_public(self.wireguard_private))
        object.__setattr__(self, "gossip_public", x25519_public(self.gossip_private))

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> "DeviceKeys":
        """Make new keys from `entropy`, which returns as many random bytes as it is asked for.

        Raises:
            LocalError: If `entropy` returns another number of bytes.
        """
        seed, wireguard, gossip = (entropy(_SECRET_BYTES) for _ in range(3))
        return cls(seed, _clamp(wireguard), gossip)


def mesh_prefix6(mesh_id: bytes) -> IPv6Network:
    """Return the mesh's own /48 (RFC 4193 section 3.1, the global id from the mesh id)."""
    global_id = sha256(_PREFIX_CONTEXT + mesh_id).digest()[:5]
    return IPv6Network((b"\xfd" + global_id + bytes(10), 48))


def overlay6(mesh_id: bytes, device_id: bytes) -> IPv6Address:
    """Return the device's address in the mesh: 48 bits of the mesh, 80 of the device's key."""
    prefix = mesh_prefix6(mesh_id).network_address.packed[:6]
    return IPv6Address(prefix + sha256(_ADDRESS_CONTEXT + mesh_id + device_id).digest()[:10])


def short_id(device_id: bytes) -> str:
    """Return the first 16 hexadecimal digits of an id, for people to read."""
    return device_id.hex()[:16]


def _clamp(private: bytes) -> bytes:
    """Return the key with the bits set that X25519 sets anyway (RFC 7748 section 5).

    WireGuard stores the clamped form and reads it back, and equal keys should look equal.
    """
    if len(private) != _SECRET_BYTES:
        raise LocalError(f"entropy returned {len(private)} bytes, not {_SECRET_BYTES}")
    return bytes([private[0] & 0xF8, *private[1:31], (private[31] & 0x7F) | 0x40])
