"""Renew tunnels that cannot come up although both machines are there (`node.engine.lockout`)."""

from collections.abc import Callable, Mapping

from crypto.errors import LocalError
from gossip.events import MemberView
from node import log
from node.engine.desired import TunnelPeer
from node.engine.lockout import Advice, Lockout, Sight
from node.kernel.wireguard import PeerStatus
from node.mesh import Mesh
from node.reconcile import Reconciler

NAMES_MAX = 3


class Unlocker:
    """Looks at the tunnel's peers now and then.

    Args:
        mesh: the node's verified state, for paths and names.
        reconciler: the drivers.
        members: asks gossip for its members.
    """

    def __init__(
        self,
        mesh: Mesh,
        reconciler: Reconciler,
        members: Callable[[], Mapping[bytes, MemberView]],
    ) -> None:
        self._mesh = mesh
        self._reconciler = reconciler
        self._members = members
        self._lockout = Lockout()
        self._log = log.get("tunnel")

    async def look(self, at: float) -> bool:
        """Look at every peer, and renew those that need it.

        Args:
            at: monotonic seconds.

        Returns:
            Whether gossip is to begin a new life, for the other ends to renew theirs.
        """
        applied = self._reconciler.applied
        if applied is None or not applied.peers:
            return False
        try:
            status = await self._reconciler.wireguard.read()
        except (LocalError, OSError):
            # That alarm is the reconciler's to raise, when it next has to change something.
            return False
        advice = self._lockout.look(at, sights(applied.peers, status, self._members()))
        self._tell(advice, applied.peers)
        if advice.renew:
            self._log.warning("peers renewed", peers=sorted(key.hex()[:8] for key in advice.renew))
            await self._reconciler.renew(advice.renew, self._mesh.clock.interval().hi)
            self._mesh.touch()
        return advice.new_life

    def _tell(self, advice: Advice, peers: Mapping[bytes, TunnelPeer]) -> None:
        devices = self._mesh.trust.devices(self._mesh.clock.interval())
        ids = (peers[key].device_id for key in advice.stuck)
        names = sorted(devices[each].name for each in ids if each in devices)
        shown = ", ".join(names[:NAMES_MAX]) + (" and others" if len(names) > NAMES_MAX else "")
        self._mesh.alarms.set(
            "tunnel-stuck",
            f"WireGuard gets no answer from {shown}, whom gossip reaches; it is set up anew",
            stands=bool(advice.stuck),
        )


def sights(
    peers: Mapping[bytes, TunnelPeer],
    status: Mapping[bytes, PeerStatus],
    members: Mapping[bytes, MemberView],
) -> dict[bytes, Sight]:
    """Return what is seen of each peer that is set up."""
    found = {}
    for key, peer in peers.items():
        tunnel, member = status.get(key), members.get(peer.device_id)
        if tunnel is None:
            continue
        record = member.record if member else None
        found[key] = Sight(
            reachable=member is not None and member.path is not None,
            boot_ms=record.epoch.boot_ms if record else None,
            handshake=tunnel.last_handshake,
            tx=tunnel.tx,
        )
    return found
