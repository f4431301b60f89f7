"""T26 on real tunnels: a clock that was ahead once locks a peer out, and renewing it helps."""

import hmac
import struct
import time
from hashlib import blake2s

import pytest

from crypto.agreement import aead_seal, x25519, x25519_public
from node.engine.desired import TunnelPeer
from tests.kernel.tunnel import Machine, tunnel

pytestmark = pytest.mark.system

YEAR_SECONDS = 365 * 86_400
PULSE_SECONDS = 25
EPHEMERAL = bytes(range(32))


def _hash(*parts: bytes) -> bytes:
    return blake2s(b"".join(parts)).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, blake2s).digest()


def _kdf(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    secret = _mac(key, data)
    one = _mac(secret, b"\x01")
    return one, _mac(secret, one + b"\x02")


def initiation(private: bytes, responder: bytes, wall: float) -> bytes:
    """Return a handshake initiation made at a wall time (WireGuard paper section 5.4.2)."""
    chain = _hash(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    state = _hash(_hash(chain, b"WireGuard v1 zx2c4 Jason@zx2c4.com"), responder)
    ephemeral = x25519_public(EPHEMERAL)
    chain = _kdf(chain, ephemeral)[0]
    state = _hash(state, ephemeral)
    chain, key = _kdf(chain, x25519(EPHEMERAL, responder))
    static = aead_seal(key, 0, x25519_public(private), state)
    state = _hash(state, static)
    chain, key = _kdf(chain, x25519(private, responder))
    stamp = struct.pack(">QI", 2**62 + 10 + int(wall), 0)
    timestamp = aead_seal(key, 0, stamp, state)
    message = struct.pack("<II", 1, 77) + ephemeral + static + timestamp
    seal = blake2s(message, digest_size=16, key=_hash(b"mac1----", responder)).digest()
    return message + seal + bytes(16)


def _peer(machine: Machine, *, pulse: int = 0) -> TunnelPeer:
    known = machine.peer((machine.underlay, machine.port))
    return TunnelPeer(known.device_id, known.public_key, known.allowed_ips, known.endpoint, pulse)


def _tell(machine: Machine, *peers: TunnelPeer) -> None:
    wanted = {peer.public_key: peer for peer in peers}
    machine.namespace.wait(lambda: machine.wireguard.apply(wanted))


def _shaken(machine: Machine, other: Machine, *, seconds: float) -> bool:
    """Wait for a handshake; say whether one was completed."""
    key = x25519_public(other.private_key)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if machine.namespace.wait(machine.wireguard.read)[key].last_handshake:
            return True
        time.sleep(0.1)
    return False


def test_t26_a_peer_whose_clock_was_ahead_comes_in_after_a_renewal() -> None:
    """T26: refused while the mark of the wrong clock stands, taken once the peer is renewed."""
    with tunnel() as (a, b):
        ahead = time.time() + YEAR_SECONDS  # noqa: TID251 - the clock that was wrong
        message = initiation(a.private_key, x25519_public(b.private_key), ahead)
        channel = a.namespace.udp(a.underlay)
        channel.sendto(message, (b.underlay, b.port))
        assert channel.recv(256)[:4] == b"\x02\0\0\0"
        _tell(a, _peer(b, pulse=PULSE_SECONDS))
        assert not _shaken(a, b, seconds=7)
        _tell(b)
        _tell(b, _peer(a))
        assert _shaken(a, b, seconds=7)
