"""What the daemon answers on its socket: status, why, ping, publish, down."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from crypto.clock import Interval
from crypto.errors import LocalError
from crypto.invite import Bootstrap
from crypto.objects import Device
from crypto.signing import ObjectType, decode
from gossip.events import MemberState, MemberView
from gossip.machine import Machine
from node import publish
from node.bootstrap import format_bootstrap
from node.driver import Driver
from node.kernel.wireguard import PeerStatus, WireGuard
from node.mesh import Mesh
from policy.explain import why
from policy.model import Reason
from policy.ports import parse_ports

Reply = dict[str, Any]

PING_SECONDS_MAX = 10.0
BOOTSTRAP_LINES_MAX = 4


class NodeService:
    """The answers of one node.

    Args:
        mesh: its verified state.
        machine: its gossip core, until the daemon gives it another one.
        driver: what drives the core.
        wireguard: its tunnel.
        leave: leaves the mesh, removes everything and begins to stop.
    """

    def __init__(
        self,
        mesh: Mesh,
        machine: Machine,
        driver: Driver,
        wireguard: WireGuard,
        *,
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self.wanted: frozenset[bytes] = frozenset()
        self.machine = machine
        self._mesh = mesh
        self._driver = driver
        self._wireguard = wireguard
        self._leave = leave
        self._tokens = itertools.count(1)

    async def status(self) -> Reply:
        """Return the node, its bundle and its peers."""
        mesh, now = self._mesh, self._mesh.clock.interval()
        mesh.look_around(now)
        return {
            "mesh": mesh.trust.mesh_name,
            "self": {
                "name": mesh.me.name,
                "id": mesh.me.device_id.hex(),
                "overlay4": str(mesh.me.address4),
                "overlay6": str(mesh.me.address6),
            },
            "bundle": self._bundle(now),
            "wireguard": {"backend": self._wireguard.backend, "port": mesh.wireguard_port},
            "peers": await self._peers(now),
            "alarms": [{"code": code, "text": text} for code, text in mesh.alarms],
            "bootstrap": [format_bootstrap(each) for each in self._bootstrap()],
            "gossip": dict(self.machine.stats()),
            "faults": {**self._driver.failures, **self._driver.refused},
        }

    def _bundle(self, now: Interval) -> Reply:
        head = self._mesh.trust.head
        return {
            "epoch": head.epoch if head else None,
            "version": head.version if head else None,
            "age_seconds": max(0, int(self._mesh.clock.wall()) - head.issued) if head else None,
            "state": self._mesh.trust.freshness(now),
        }

    async def _peers(self, now: Interval) -> list[Reply]:
        """Return the devices that a rule lets us talk to, or lets talk to us, by name."""
        try:
            tunnels = await self._wireguard.read()
        except LocalError as error:
            self._mesh.alarms.stand_error("wireguard", error)
            tunnels = {}
        members = self.machine.members()
        devices = self._mesh.trust.devices(now)
        peers = [devices[each] for each in self.wanted if each in devices]
        return [
            peer_reply(each, members.get(each.device_id), tunnels.get(each.wireguard_public))
            for each in sorted(peers, key=lambda each: (each.name, each.device_id))
        ]

    def _bootstrap(self) -> list[Bootstrap]:
        """Return how a new device may reach us, as far as this machine knows its addresses."""
        me = self._mesh.me
        places = sorted(self._mesh.underlay, key=lambda each: (":" in each, each))
        return [
            Bootstrap(
                host=place,
                port=self._mesh.wireguard_port,
                device_id=me.device_id,
                gossip_public=me.gossip_public,
            )
            for place in places[:BOOTSTRAP_LINES_MAX]
        ]

    def why(self, source: str, destination: str, service: str) -> Reply:
        """Explain one decision as it would be taken now.

        Raises:
            LocalError: a name or the service means nothing here.
        """
        bundle, now = self._mesh.bundle, self._mesh.clock.interval()
        if bundle is None:
            return _denied(Reason.NO_RULE, "a bundle is in force", "wait for one, or publish it")
        proto, port = _flow(service)
        for name in (source, destination):
            gone = self._not_in_force(name, now)
            if gone is not None:
                return gone
        freshness = self._mesh.trust.freshness(now)
        subjects = self._mesh.view(now).subjects().values()
        decision = why(
            bundle.policy,
            bundle.directory,
            source,
            destination,
            proto=proto,
            port=port,
            now=now,
            # Of two devices of one name, the one that an admin named stands last and wins.
            subjects=sorted(subjects, key=lambda each: (each.name_trusted, each.device_id)),
            freshness="expired" if freshness == "none" else freshness,
            expires=bundle.expires,
        )
        return {
            "decision": "allow" if decision.allow else "deny",
            "rule": decision.rule,
            "reason": str(decision.reason),
            "valid_until": decision.valid_until,
            "condition": decision.condition,
            "remedy": decision.remedy,
        }

    def _not_in_force(self, name: str, now: Interval) -> Reply | None:
        """Return the denial for the name of a device that was one, and is not in force."""
        name = name.removeprefix("device:")
        known = [
            Device.from_payload(decode(raw).payload)
            for kind, _, raw in self._mesh.trust.objects()
            if kind is ObjectType.DEVICE
        ]
        states = [
            self._mesh.trust.device_state(each.device_id, now)
            for each in known
            if each.name == name
        ]
        if not states or any(in_force for in_force, _ in states):
            return None
        said = states[0][1]
        reason = {"revoked": Reason.REVOKED, "expired": Reason.EXPIRED}.get(said, Reason.UNKNOWN)
        return _denied(reason, f"device {name} is in force: {said}", "ask an admin")

    async def ping(self, name: str) -> Reply:
        """Measure the path to a device, by its name.

        Raises:
            LocalError: no device has that name.
        """
        device = self._device(name)
        token = next(self._tokens)
        answer: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self._mesh.pings[token] = answer
        self._driver.ask(lambda now: self.machine.ping(now, device.device_id, token))
        try:
            async with asyncio.timeout(PING_SECONDS_MAX):
                rtt_seconds = await answer
        except TimeoutError:
            rtt_seconds = None
        finally:
            self._mesh.pings.pop(token, None)
        path = self._mesh.paths.get(device.device_id)
        return {
            "name": device.name,
            "id": device.device_id.hex(),
            "path": place(path),
            "rtt_ms": None if rtt_seconds is None else rtt_seconds * 1_000,
        }

    def _device(self, name: str) -> Device:
        devices = self._mesh.trust.devices(self._mesh.clock.interval()).values()
        found = sorted(
            (each for each in devices if each.name == name),
            key=lambda each: not self._mesh.trust.name_is_authoritative(each.device_id),
        )
        if not found:
            raise LocalError(
                f"no device in force is named {name!r}",
                remedy="`hedgerow peers` lists those that a rule lets this node talk to",
            )
        return found[0]

    async def publish(self, data: bytes) -> Reply:
        """Take in a bundle or one signed object, and pass on what is new.

        Raises:
            HedgerowError: it is neither, or it does not hold.
        """
        admitted = self._driver.ask(
            lambda now: publish.publish(self.machine, self._mesh.trust, data, now)
        )
        self._mesh.touch(urgent=True)
        return {
            "admitted": [
                {"type": str(each.type), "id": each.id.hex(), "fresh": each.fresh}
                for each in admitted
            ]
        }

    async def down(self) -> Reply:
        """Leave the mesh, remove interface and rules, and begin to stop."""
        await self._leave()
        return {"left": True}


def peer_reply(device: Device, member: MemberView | None, tunnel: PeerStatus | None) -> Reply:
    """Return what is said about one peer."""
    path = member.path if member else None
    endpoint = tunnel.endpoint if tunnel and tunnel.endpoint else path
    rtt = member.rtt_seconds if member else None
    return {
        "name": device.name,
        "id": device.device_id.hex(),
        "state": str(member.state if member else MemberState.UNKNOWN),
        "path": "direct" if path else "none",
        "endpoint": place(endpoint),
        "rtt_ms": None if rtt is None else rtt * 1_000,
    }


def place(address: tuple[str, int] | None) -> str | None:
    """Write an address and port as one text."""
    if address is None:
        return None
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _flow(service: str) -> tuple[int | None, int | None]:
    """Return the protocol and port of a service written like tcp/22.

    Raises:
        LocalError: it is not one port.
    """
    try:
        ranges = parse_ports(service)
    except ValueError as error:
        raise LocalError(str(error), remedy="write it like tcp/22, udp/53 or icmp") from error
    first = ranges[0]
    if first.lo != first.hi:
        raise LocalError(f"{service} is more than one port", remedy="ask about one: tcp/22")
    return first.proto, first.lo


def _denied(reason: Reason, condition: str, remedy: str) -> Reply:
    return {
        "decision": "deny",
        "rule": None,
        "reason": str(reason),
        "valid_until": None,
        "condition": condition,
        "remedy": remedy,
    }
