"""Make the kernel hold what the engine wants: firewall first, then the tunnel.

Each driver applies the difference and leaves what stands. When one fails, what was in force
before still is; that is an alarm, and it is tried again.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

from crypto.errors import LocalError
from node import log
from node.alarms import Alarms
from node.engine.desired import Desired, FirewallPlan, TunnelPeer
from node.kernel import links
from node.kernel.wireguard import WireGuard

GREETING_SECONDS = 25
# Longer than two ends need to hear of each other and to set each other up.
GREETING_DELAY_SECONDS = 0.25


class Firewall(Protocol):
    """What is needed of the firewall's driver."""

    async def install(self, plan: FirewallPlan) -> None:
        """Put the table in place, denying what is not granted."""

    async def apply(self, plan: FirewallPlan, now: float) -> None:
        """Make the kernel hold the plan's grants."""

    async def verify(self, *, elements: bool = False) -> bool:
        """Say whether the kernel still holds what was applied; `elements`: every grant of it."""
        ...

    async def remove(self) -> None:
        """Delete the table."""


class Reconciler:
    """The drivers of one node.

    Args:
        firewall: its firewall.
        wireguard: its tunnel.
        alarms: where to say what failed.

    Attributes:
        applied: what the kernel was last told, or None before the first time.
    """

    def __init__(self, firewall: Firewall, wireguard: WireGuard, alarms: Alarms) -> None:
        self.wireguard = wireguard
        self.applied: Desired | None = None
        self._firewall = firewall
        self._alarms = alarms
        self._lock = asyncio.Lock()
        self._stopped = False
        self._held: frozenset[bytes] = frozenset()
        self._waiting: dict[bytes, float] = {}
        self._log = log.get("kernel")

    async def start(self, desired: Desired, private_key: bytes, now: float) -> None:
        """Bring firewall and tunnel up, or adopt those that a daemon before us has left.

        The firewall stands, denying, before there is an interface; grants come before peers.

        Raises:
            LocalError: something could not be had. What was up before is still up.
        """
        plan = desired.plan
        await self._firewall.install(plan)
        await self.wireguard.up(plan.interface, private_key, plan.wireguard_port)
        await links.set_addresses(plan.interface, (plan.address4, plan.address6))
        await links.sync_routes(plan.interface, desired.routes)
        await self._firewall.apply(plan, now)
        self._held = frozenset(await self.wireguard.read())
        await self._set_peers(desired.peers, now)
        self.applied = desired

    async def apply(self, desired: Desired, now: float) -> bool:
        """Apply what has changed; return whether all of it could be.

        The firewall is always told, because its deadlines follow the clock.
        """
        async with self._lock:
            return True if self._stopped else await self._apply(desired, now)

    async def _apply(self, desired: Desired, now: float) -> bool:
        before = self.applied
        self.applied = desired
        done = await self._try("firewall", self._firewall.apply(desired.plan, now))
        if before is None or before.peers != desired.peers or self._waiting:
            told = await self._try("wireguard", self._set_peers(desired.peers, now))
            done = done and told
        if before is None or _ends(before) != _ends(desired):
            told = await self._try("links", self._readdress(desired))
            done = done and told
        if not done:
            self.applied = None
        return done

    async def verify(self, *, elements: bool = False) -> bool:
        """Look whether another program has changed our table; the next `apply` repairs it.

        Args:
            elements: look at every grant, and not at the rules alone.

        Returns:
            Whether all is as it should be.
        """
        try:
            async with self._lock:
                intact = self._stopped or await self._firewall.verify(elements=elements)
        except LocalError as error:
            self._alarms.stand_error("firewall", error)
            return False
        except OSError as error:
            self._alarms.stand("firewall", str(error))
            return False
        if not intact:
            self._log.warning("the firewall's table was changed by another program")
            self._alarms.stand("firewall-changed", "another program has changed our table")
        else:
            self._alarms.clear("firewall-changed")
        return intact

    async def stop(self) -> None:
        """Remove tunnel, addresses, routes and table. The tunnel goes first: nothing opens.

        Raises:
            LocalError: the kernel refused.
        """
        async with self._lock:
            self._stopped = True
            await self.wireguard.down()
            await self._firewall.remove()

    async def renew(self, keys: AbstractSet[bytes], now: float) -> None:
        """Take peers out and add them again, which forgets all that WireGuard knew of them.

        What fails is an alarm, and the next `apply` puts it right.
        """
        async with self._lock:
            if self.applied is None or self._stopped:
                return
            held = {
                key: peer
                for key, peer in self.applied.peers.items()
                if key in self._held and key not in keys
            }
            peers = self.applied.peers
            done = await self._try("wireguard", self.wireguard.apply(held))
            self._held = frozenset(held)
            if not (done and await self._try("wireguard", self._set_peers(peers, now))):
                self.applied = None

    def greeting_in(self, now: float) -> float | None:
        """Return the seconds until a peer is to be set up, or None if none waits."""
        return min(self._waiting.values()) - now if self._waiting else None

    async def _set_peers(self, peers: Mapping[bytes, TunnelPeer], now: float) -> None:
        """Tell WireGuard its peers, new ones once it is known where they are, and greet those.

        WireGuard waits five seconds (REKEY_TIMEOUT, WireGuard paper section 6.1) after an
        initiation that came to nothing: nowhere to send it, nobody there yet, or crossed by the
        other end's. So a peer is set up when its place is known (one that is already there
        stays) and greeted at once, by one end right away and by the other a moment later: then
        one of them is there first, and the second one's greeting finds it.
        """
        placed = {
            key: peer
            for key, peer in peers.items()
            if peer.endpoint is not None or key in self._held
        }
        for key in placed.keys() - self._held - self._waiting.keys():
            self._waiting[key] = now if placed[key].begins else now + GREETING_DELAY_SECONDS
        self._waiting = {key: at for key, at in self._waiting.items() if key in placed}
        due = {key for key, at in self._waiting.items() if at <= now}
        told = {key: peer for key, peer in placed.items() if key in self._held or key in due}
        if due:
            await self.wireguard.apply(_greeting(told, due))
        await self.wireguard.apply(told)
        self._held = frozenset(told)
        for key in due:
            del self._waiting[key]

    async def _readdress(self, desired: Desired) -> None:
        plan = desired.plan
        await links.set_addresses(plan.interface, (plan.address4, plan.address6))
        await links.sync_routes(plan.interface, desired.routes)

    async def _try(self, code: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except LocalError as error:
            self._alarms.stand_error(code, error)
            return False
        except OSError as error:
            # No memory, no process, no descriptor left: none of them is forever.
            self._alarms.stand(code, str(error))
            return False
        self._alarms.clear(code)
        return True


def _greeting(
    peers: Mapping[bytes, TunnelPeer], due: AbstractSet[bytes]
) -> dict[bytes, TunnelPeer]:
    """Return the peers with a keepalive for those that are due.

    WireGuard has no command to shake hands; an interval that was zero before makes it do so.
    """
    told = dict(peers)
    for key in due:
        told[key] = replace(peers[key], keepalive_seconds=GREETING_SECONDS)
    return told


def _ends(desired: Desired) -> tuple[object, ...]:
    return desired.plan.address4, desired.plan.address6, desired.routes
