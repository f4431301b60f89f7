"""What the one port tells those who may not know: nothing."""

import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from node.lab.mesh import Member, wait_until
from node.lab.netns import address
from tests.netns import Namespace
from tests.system.pair import GATE_PORT, Pair, pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

GATE_SIDE, STRANGER_SIDE = "198.18.1.1", "198.18.1.2"
ETHERNET_BYTES, IPV4_BYTES, UDP_BYTES = 14, 20, 8
WIREGUARD_INITIATION = 1
# More than any answer takes on one cable.
LISTEN_SECONDS = 1.0


@dataclass
class Street:
    """A mesh of two, and a third machine on a cable of its own to the gate."""

    mesh: Pair
    stranger: Namespace
    idle: Member


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """The gate, the laptop, and a machine that will be a stranger first and a member later."""
    with pair(tmp_path_factory.mktemp("silence")) as mesh:
        mesh.found()
        mesh.gate.serve([22])
        host = mesh.lab.host("stranger")
        mesh.lab.link(mesh.gate.host, host, names=("eth1", "eth0"))
        address(mesh.gate.host, "eth1", f"{GATE_SIDE}/24")
        address(host, "eth0", f"{STRANGER_SIDE}/24")
        yield Street(mesh, Namespace(host.namespace), Member(host, mesh.folder / "idle"))


def record(street: Street) -> list[bytes]:
    """Return what reaches the gate's port while the laptop joins: hellos and data, as sent.

    The last of the initiations among them is one that the gate has taken, so that none is news.
    """
    gate = Namespace(street.mesh.gate.host.namespace)
    raw = gate.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
    raw.settimeout(LISTEN_SECONDS)
    with raw:
        street.mesh.enrol()
        shake_hands(street.mesh)
        found = []
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                frame = raw.recv(4096)
            except TimeoutError:
                break
            head = ETHERNET_BYTES + IPV4_BYTES
            port = int.from_bytes(frame[head + 2 : head + 4], "big")
            if frame[ETHERNET_BYTES + 9] == socket.IPPROTO_UDP and port == GATE_PORT:
                length = int.from_bytes(frame[head + 4 : head + 6], "big")
                found.append(frame[head + UDP_BYTES : head + length])
    return found


def shake_hands(mesh: Pair) -> None:
    """Let the laptop begin a handshake with a gate that knows it.

    When it joined, the gate may have begun, or have known its key too late. An initiation that
    never arrived is no replay when it arrives: WireGuard answers it once, whoever carries it.
    """
    wait_until(lambda: mesh.can_reach(22), seconds=10, what="the first connection")
    link = _tunnel(mesh.laptop)
    run = mesh.laptop.host.run
    key, _, endpoint, allowed, *_ = run("wg", "show", link, "dump").splitlines()[1].split()
    run("wg", "set", link, "peer", key, "remove")
    run("wg", "set", link, "peer", key, "endpoint", endpoint, "allowed-ips", allowed,
        "persistent-keepalive", "1")  # fmt: skip
    wait_until(
        lambda: run("wg", "show", link, "latest-handshakes").split()[-1] != "0",
        seconds=10,
        what="a handshake that the laptop began",
    )


def answers(stranger: Namespace, datagrams: list[bytes]) -> int:
    """Send datagrams to the gate's port and return how many come back."""
    with stranger.udp(STRANGER_SIDE) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (GATE_SIDE, GATE_PORT))
        sender.settimeout(LISTEN_SECONDS)
        count = 0
        try:
            while sender.recv(4096):
                count += 1
        except TimeoutError:
            return count
    return count


def test_replays_fragments_and_noise_get_no_answer(street: Street) -> None:
    """T01, T05: datagrams replayed, cut off, bent or random are met with silence."""
    real = record(street)
    # A hello, its follow-up and data have been seen; WireGuard's own messages are among them.
    assert len({datagram[0] for datagram in real}) >= 3
    assert WIREGUARD_INITIATION in {datagram[0] for datagram in real}
    assert len(real) >= 5
    draw = random.Random(7)
    cut = [datagram[: draw.randrange(1, len(datagram))] for datagram in real]
    bent = []
    for datagram in real:
        place = draw.randrange(len(datagram))
        bent.append(datagram[:place] + bytes([datagram[place] ^ 1]) + datagram[place + 1 :])
    noise = [draw.randbytes(draw.randrange(1, 1_400)) for _ in range(200)]
    for kind, datagrams in {"replay": real, "cut": cut, "bent": bent, "noise": noise}.items():
        assert answers(street.stranger, datagrams) == 0, kind
    assert street.mesh.gate.status()["alarms"] == []


def test_the_listener_would_hear_an_answer(street: Street) -> None:
    """The test above can fail: an open port on the same machine is heard."""
    gate = Namespace(street.mesh.gate.host.namespace)
    with gate.udp(GATE_SIDE) as echo, street.stranger.udp(STRANGER_SIDE) as sender:
        sender.settimeout(LISTEN_SECONDS)
        sender.sendto(b"hello", echo.getsockname())
        data, source = echo.recvfrom(100)
        echo.sendto(data, source)
        assert sender.recv(100) == b"hello"


def test_a_member_that_no_rule_names_cannot_shake_hands(street: Street) -> None:
    """It is in force and the gate knows it, and WireGuard answers it as it answers a stranger."""
    mesh, idle = street.mesh, street.idle
    idle.join(mesh.admin.invite("--name", "idle", "--via", f"gate={GATE_SIDE}:{GATE_PORT}"))
    idle.up()
    mesh.wait_for(idle, mesh.version)
    (gate_link,) = (name for name in mesh.gate.host.interfaces() if name.startswith("hg"))
    (idle_link,) = (name for name in idle.host.interfaces() if name.startswith("hg"))
    wanted = mesh.laptop.host.run("wg", "show", _tunnel(mesh.laptop), "public-key").strip()
    wait_until(
        lambda: mesh.gate.host.run("wg", "show", gate_link, "peers").split() == [wanted],
        seconds=10,
        what="the laptop to be the gate's only peer",
    )
    gate_key = mesh.gate.host.run("wg", "show", gate_link, "public-key").strip()
    idle.host.run(
        *("wg", "set", idle_link, "peer", gate_key, "endpoint", f"{GATE_SIDE}:{GATE_PORT}"),
        *("allowed-ips", f"{mesh.gate.overlay4}/32", "persistent-keepalive", "1"),
    )
    sent = _transfer(idle, idle_link)
    wait_until(lambda: _transfer(idle, idle_link) > sent, seconds=10, what="an initiation")
    time.sleep(LISTEN_SECONDS)
    shaken = idle.host.run("wg", "show", idle_link, "latest-handshakes").split()
    assert shaken[-1] == "0"


def _tunnel(member: Member) -> str:
    return next(name for name in member.host.interfaces() if name.startswith("hg"))


def _transfer(member: Member, link: str) -> int:
    words = member.host.run("wg", "show", link, "transfer").split()
    return int(words[-1]) if words else 0
