"""What the daemon answers: status, why, ping, publish, down."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random

import pytest

from crypto.errors import LocalError, PeerError
from crypto.objects import Device
from gossip import events
from gossip.config import Config
from gossip.machine import Machine
from node import keystore, service
from node.bootstrap import parse_bootstrap
from node.driver import Driver
from node.engine.compute import compute
from node.engine.desired import TunnelPeer
from node.kernel.wireguard import PeerStatus
from node.service import NodeService
from node.udp import ControlSocket
from tests.forge import Forged, Mesh
from tests.node.test_mesh import Rig


class Tunnel:
    """A tunnel with the peers a test gives it."""

    backend = "kernel"

    def __init__(self) -> None:
        self.peers: dict[bytes, PeerStatus] = {}
        self.broken = False

    async def up(self, interface: str, private_key: bytes, listen_port: int) -> None:
        """Do nothing."""

    async def apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        """Do nothing."""

    async def read(self) -> Mapping[bytes, PeerStatus]:
        """Return the peers."""
        if self.broken:
            raise LocalError("the tunnel is gone", remedy="restart")
        return self.peers

    async def down(self) -> None:
        """Do nothing."""


class Node:
    """A node in force with a bundle, and the machine `laptop` that may reach it by ssh."""

    def __init__(self, rig: Rig, control: ControlSocket) -> None:
        self.rig = rig
        self.mesh = rig.mesh
        self.tunnel = Tunnel()
        self.left = False
        self.driver = Driver(control, self.mesh.clock, self.mesh.take)
        keys = keystore.load(rig.places.state)
        assert keys is not None
        self.machine = Machine(
            keys=keys,
            trust=self.mesh.trust,
            config=Config(),
            random=Random(1),
            entropy=os.urandom,
            sink=self.driver,
            now=self.mesh.clock.monotonic(),
            boot_ms=int(self.mesh.clock.wall() * 1_000),
        )
        self.driver.attach(self.machine)
        self.service = NodeService(
            self.mesh, self.machine, self.driver, self.tunnel, leave=self._leave
        )

    async def _leave(self) -> None:
        self.left = True


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """The node db1, sponsored by a founder, with a laptop in the mesh."""
    rig = Rig(tmp_path / "n")
    control = await ControlSocket.open(0)
    made = Node(rig, control)
    yield made
    made.driver.stop()
    control.close()
    await asyncio.sleep(0)


async def settle(node: Node) -> Forged[Device]:
    """Put db1 in force with the bundle, and a laptop beside it; return the laptop."""
    forge = node.rig.forge
    founder, laptop = forge.device("founder"), forge.device("laptop")
    node.rig.admit(founder)
    node.rig.admit(laptop)
    node.rig.admit(forge.sponsor(node.rig.forged, founder))
    node.rig.bundle(1)
    await node.mesh.consider()
    now = node.mesh.clock.interval()
    desired = compute(node.mesh.view(now), now).desired
    node.service.wanted = frozenset(peer.device_id for peer in desired.peers.values())
    return laptop


async def test_the_status_of_a_fresh_node(node: Node) -> None:
    """Who it is, that there is no bundle yet, and why it is not in force."""
    status = await node.service.status()
    assert status["mesh"] == "hedge"
    assert status["self"] == {
        "name": "db1",
        "id": node.rig.device.device_id.hex(),
        "overlay4": str(node.rig.device.address4),
        "overlay6": str(node.rig.device.address6),
    }
    assert status["bundle"] == {
        "epoch": None,
        "version": None,
        "age_seconds": None,
        "state": "none",
    }
    assert status["wireguard"] == {"backend": "kernel", "port": 1}
    assert status["peers"] == []
    (alarm,) = status["alarms"]
    assert alarm["code"] == "not-in-force"
    assert "no member has sponsored it" in alarm["text"]


async def test_the_status_of_a_node_in_force(node: Node) -> None:
    """Bundle and peers, each with what gossip and the tunnel know."""
    laptop = await settle(node)
    status = await node.service.status()
    assert status["alarms"] == []
    assert status["bundle"]["state"] == "fresh"
    assert (status["bundle"]["epoch"], status["bundle"]["version"]) == (1, 1)
    assert status["bundle"]["age_seconds"] == 100
    assert status["peers"] == [
        {
            "name": "laptop",
            "id": laptop.device_id.hex(),
            "state": "unknown",
            "path": "none",
            "endpoint": None,
            "rtt_ms": None,
        }
    ]
    node.tunnel.peers[laptop.body.wireguard_public] = PeerStatus(("2001:db8::7", 9), 0.0, 0, 0)
    status = await node.service.status()
    assert status["peers"][0]["endpoint"] == "[2001:db8::7]:9"


async def test_a_tunnel_that_does_not_answer_is_an_alarm(node: Node) -> None:
    """Status still answers."""
    await settle(node)
    node.tunnel.broken = True
    status = await node.service.status()
    assert [alarm["code"] for alarm in status["alarms"]] == ["wireguard"]
    assert len(status["peers"]) == 1


async def test_bootstrap_lines_are_what_an_invite_takes(node: Node) -> None:
    """IPv4 first, bounded, and readable by the admin's tool."""
    node.mesh.underlay = frozenset(
        {"2001:db8::1", "192.0.2.1", *(f"10.0.0.{n}" for n in range(5))}
    )
    lines = (await node.service.status())["bootstrap"]
    assert len(lines) == service.BOOTSTRAP_LINES_MAX
    first = parse_bootstrap(lines[0])
    assert (first.host, first.port) == ("10.0.0.0", 1)
    assert first.device_id == node.rig.device.device_id
    assert first.gossip_public == node.rig.device.gossip_public


async def test_why_names_the_rule_or_what_is_missing(node: Node) -> None:
    """The same evaluator as everywhere, over the devices in force."""
    assert node.service.why("laptop", "db1", "tcp/22")["reason"] == "no-rule"
    await settle(node)
    allowed = node.service.why("laptop", "db1", "tcp/22")
    assert (allowed["decision"], allowed["rule"], allowed["reason"]) == ("allow", "ssh", "allowed")
    denied = node.service.why("laptop", "db1", "tcp/23")
    assert (denied["decision"], denied["rule"], denied["reason"]) == ("deny", None, "no-rule")
    assert denied["remedy"]


async def test_why_knows_a_revoked_device(node: Node) -> None:
    """Rules still name it; it is denied because it is revoked."""
    laptop = await settle(node)
    node.rig.admit(node.rig.forge.revoke("device", laptop.device_id))
    said = node.service.why("laptop", "db1", "tcp/22")
    assert (said["decision"], said["reason"]) == ("deny", "revoked")


@pytest.mark.parametrize("text", ["ssh", "tcp", "tcp/1-9", "tcp/0", ""])
async def test_why_about_no_single_flow_is_an_error(
    node: Node,
    text: str,
) -> None:
    """One asks about one port."""
    await settle(node)
    with pytest.raises(LocalError):
        node.service.why("laptop", "db1", text)


async def test_why_about_an_unknown_name_is_an_error(node: Node) -> None:
    """A slip of the pen is not a denial."""
    await settle(node)
    with pytest.raises(LocalError, match="nobody"):
        node.service.why("nobody", "db1", "tcp/22")


async def test_ping_of_an_unknown_name_is_an_error(node: Node) -> None:
    """The remedy lists the names."""
    with pytest.raises(LocalError, match="no device in force is named 'x'") as caught:
        await node.service.ping("x")
    assert "hedgerow peers" in caught.value.remedy


async def test_ping_returns_what_the_core_measured(
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer belongs to the question by its token; silence is no time."""
    laptop = await settle(node)

    def answer(now: float, device_id: bytes, token: int) -> None:
        node.mesh.take(events.PingResult(token, device_id, 0.0125))

    monkeypatch.setattr(node.machine, "ping", answer)
    assert await node.service.ping("laptop") == {
        "name": "laptop",
        "id": laptop.device_id.hex(),
        "path": None,
        "rtt_ms": 12.5,
    }
    monkeypatch.setattr(service, "PING_SECONDS_MAX", 0.001)
    monkeypatch.setattr(node.machine, "ping", lambda now, device_id, token: None)
    assert (await node.service.ping("laptop"))["rtt_ms"] is None
    assert node.mesh.pings == {}


async def test_publish_takes_in_and_tells(node: Node) -> None:
    """What was new is said; what does not hold is an error that changes nothing."""
    founder = node.rig.forge.device("founder")
    reply = await node.service.publish(founder.raw)
    assert reply == {"admitted": [{"type": "device", "id": founder.id.hex(), "fresh": True}]}
    assert founder.device_id in node.mesh.trust.devices(node.mesh.clock.interval())
    with pytest.raises(PeerError):
        await node.service.publish(Mesh("other").ticket().raw)


async def test_down_leaves(node: Node) -> None:
    """The daemon is told, and says when it is done."""
    assert await node.service.down() == {"left": True}
    assert node.left
