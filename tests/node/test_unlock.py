"""The daemon's part of T26: what it sees of its peers, and what it does about it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from crypto.errors import LocalError
from crypto.identity import DeviceKeys
from crypto.objects import Epoch
from gossip.events import MemberState, MemberView
from node.alarms import Alarms
from node.clock import Clock
from node.engine.desired import Desired, TunnelPeer
from node.kernel.wireguard import PeerStatus
from node.mesh import Mesh as NodeMesh
from node.reconcile import Reconciler
from node.restore import load
from node.state import Store
from node.unlock import Unlocker, sights
from tests.forge import Mesh, device_keys
from tests.node.rig import joined

NOW = 1_000.0
ALARM = "tunnel-stuck"
PEER_KEYS: DeviceKeys = device_keys("n0")
KEY = PEER_KEYS.wireguard_public
PEER = TunnelPeer(PEER_KEYS.device_id, KEY, (), ("192.0.2.1", 1), 0)


class Tunnel:
    """A tunnel whose peer is asked in vain."""

    backend = "recorded"

    def __init__(self) -> None:
        self.tx = 0
        self.fails = False

    async def read(self) -> Mapping[bytes, PeerStatus]:
        """Return the peer, with more sent each time."""
        if self.fails:
            raise LocalError("no answer")
        self.tx += 148
        return {KEY: PeerStatus(("192.0.2.1", 1), 5.0, 0, self.tx)}


class Rig:
    """An unlocker over a recorded tunnel and a recorded gossip."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        forge = Mesh()
        places, _ = joined(folder, forge)
        clock = Clock(wall=lambda: forge.now + 100.0, boot=lambda: 0.0)
        store = Store(places.database)
        self.alarms = Alarms()
        self.mesh = NodeMesh(
            load(store, clock.interval()),
            store,
            clock,
            self.alarms,
            wireguard_port=1,
            control_port=2,
        )
        self.mesh.trust.admit(forge.device("n0").raw, clock.interval())
        self.tunnel = Tunnel()
        self.reconciler = Reconciler(None, self.tunnel, self.alarms)  # type: ignore[arg-type]
        self.reconciler.applied = Desired(None, {KEY: PEER}, ())  # type: ignore[arg-type]
        self.renewed: list[frozenset[bytes]] = []

        async def renew(keys: frozenset[bytes], now: float) -> None:
            self.renewed.append(keys)

        monkeypatch.setattr(self.reconciler, "renew", renew)
        self.unlocker = Unlocker(self.mesh, self.reconciler, self.members)
        self.now = NOW

    def members(self) -> Mapping[bytes, MemberView]:
        """Return the peer as gossip sees it."""
        return {PEER_KEYS.device_id: seen(("192.0.2.1", 1))}

    async def look(self) -> bool:
        """Look once more."""
        self.now += 90.0
        return await self.unlocker.look(self.now)


def seen(path: tuple[str, int] | None) -> MemberView:
    """Return a member with a record of its first life."""
    record = Mesh().member(Mesh().device("n0"), epoch=Epoch(7, 1)).body
    return MemberView(PEER_KEYS.device_id, MemberState.ALIVE, 0.0, path, None, record)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig."""
    return Rig(tmp_path / "n", monkeypatch)


async def test_a_peer_asked_in_vain_is_renewed_and_named(rig: Rig) -> None:
    """Once, with an alarm, and with a new life for the other end to see."""
    lives = [await rig.look() for _ in range(6)]
    assert rig.renewed == [{KEY}]
    assert lives.count(True) == 1
    assert "n0" in dict(rig.alarms)[ALARM]


async def test_the_alarm_ends_with_the_trouble(rig: Rig) -> None:
    """A tunnel nobody sends on any more is no trouble."""
    while ALARM not in dict(rig.alarms):
        await rig.look()
    rig.tunnel.tx -= 148
    await rig.look()
    assert ALARM not in dict(rig.alarms)


async def test_without_peers_or_an_answer_nothing_is_done(rig: Rig) -> None:
    """The look itself is never a fault."""
    rig.tunnel.fails = True
    assert not await rig.look()
    rig.reconciler.applied = None
    assert not await rig.look()
    assert rig.renewed == []


def test_what_is_seen_of_a_peer() -> None:
    """Path and life are gossip's, bytes and handshakes WireGuard's."""
    status = {KEY: PeerStatus(None, 12.5, 1, 2)}
    (found,) = sights({KEY: PEER}, status, {PEER.device_id: seen(("192.0.2.1", 1))}).values()
    assert (found.reachable, found.boot_ms, found.handshake, found.tx) == (True, 7, 12.5, 2)
    (found,) = sights({KEY: PEER}, status, {PEER.device_id: seen(None)}).values()
    assert not found.reachable
    (found,) = sights({KEY: PEER}, status, {}).values()
    assert (found.reachable, found.boot_ms) == (False, None)
    assert sights({KEY: PEER}, {}, {}) == {}
