"""wireguard-go as the daemon drives it: adopt, change the least, survive, end."""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from crypto.agreement import x25519_public
from node.engine.desired import TunnelPeer
from node.kernel import links
from node.kernel.wireguard import UserspaceWireGuard, WireGuardError
from tests.kernel.tunnel import IN, OUT, TCP, Machine, direction, named, tunnel
from tests.netns import command, namespaces, veth

pytestmark = pytest.mark.system

Pair = tuple[Machine, Machine]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two machines with a tunnel and one granted port."""
    with tunnel() as (a, b):
        b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
        a.grant(None, direction(b, [(TCP, 80, 80, OUT, None)]))
        yield a, b


@pytest.fixture
def alone() -> Iterator[Machine]:
    """One machine that has no tunnel yet."""
    with namespaces(1) as (namespace,):
        machine = Machine(namespace, 1, named(), "192.0.2.1")
        try:
            yield machine
        finally:
            namespace.wait(machine.wireguard.down)


def flow(a: Machine, b: Machine) -> tuple[socket.socket, socket.socket]:
    """Open a connection through the tunnel."""
    server = b.namespace.listen(str(b.address4), 80)
    client = a.namespace.connect(str(b.address4), 80)
    return client, b.namespace.accept(server)


def exchange(client: socket.socket, connection: socket.socket) -> None:
    """Send a byte there and back."""
    client.sendall(b"q")
    assert connection.recv(1) == b"q"
    connection.sendall(b"a")
    assert client.recv(1) == b"a"


def process(machine: Machine) -> list[int]:
    """Return the numbers of the processes that run the machine's tunnel."""
    pids = []
    for pid in command("ip", "netns", "pids", machine.namespace.name).split():
        with contextlib.suppress(FileNotFoundError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if machine.interface.encode() in words:
                pids.append(int(pid))
    return pids


def another(number: int, *, endpoint: tuple[str, int] | None = None) -> TunnelPeer:
    """Return a peer that does not exist."""
    return TunnelPeer(
        bytes([number]) * 32,
        x25519_public(bytes([number]) * 32),
        (ip_network(f"100.64.0.{number}/32"),),
        endpoint,
        0,
    )


def apply(machine: Machine, *peers: TunnelPeer) -> None:
    """Make the machine hold exactly these peers."""
    wanted = {peer.public_key: peer for peer in peers}
    machine.namespace.wait(lambda: machine.wireguard.apply(wanted))


def shown(machine: Machine, what: str) -> dict[str, str]:
    """Return what `wg show` says of each peer."""
    printed = machine.namespace.run("wg", "show", machine.interface, what)
    return dict(line.split("\t", 1) for line in printed.splitlines())


def test_a_restarted_daemon_adopts_the_running_tunnel(pair: Pair) -> None:
    """A new driver finds the process, restarts nothing, and the sessions go on."""
    a, b = pair
    client, connection = flow(a, b)
    before = process(a), shown(a, "latest-handshakes")
    a.wireguard = UserspaceWireGuard()
    a.up(b.peer())
    exchange(client, connection)
    assert (process(a), shown(a, "latest-handshakes")) == before
    assert a.wireguard.backend == "userspace"


def test_another_key_starts_another_process(pair: Pair) -> None:
    """A tunnel under our name with a different key is not ours: it is ended and replaced."""
    a, _ = pair
    before = process(a)
    a.number = 3
    a.wireguard = UserspaceWireGuard()
    a.up()
    assert process(a) != before
    assert len(process(a)) == 1
    assert shown(a, "endpoints") == {}


def test_another_port_is_set_without_a_restart(pair: Pair) -> None:
    """A changed port reaches the running process, which keeps its peers."""
    a, b = pair
    before = process(a)
    a.port = 51999
    a.wireguard = UserspaceWireGuard()
    a.up(b.peer())
    assert process(a) == before
    assert a.namespace.run("wg", "show", a.interface, "listen-port").strip() == "51999"


def test_the_tunnel_survives_kill_9(pair: Pair) -> None:
    """The daemon that started it is killed, with its whole process group; the tunnel goes on."""
    a, b = pair
    a.namespace.wait(a.wireguard.down)
    script = textwrap.dedent(
        f"""\
        import asyncio, os, signal
        from node.kernel.wireguard import UserspaceWireGuard
        wireguard = UserspaceWireGuard()
        asyncio.run(wireguard.up({a.interface!r}, {a.private_key!r}, {a.port}))
        os.killpg(0, signal.SIGKILL)
        """
    )
    daemon = subprocess.run(
        ["ip", "netns", "exec", a.namespace.name, sys.executable, "-c", script],
        start_new_session=True,
        timeout=30,
        check=False,
    )
    assert daemon.returncode == -signal.SIGKILL
    assert len(process(a)) == 1
    a.wireguard = UserspaceWireGuard()
    a.up(b.peer((b.underlay, b.port)))
    exchange(*flow(a, b))


def test_a_change_touches_one_peer_only(pair: Pair) -> None:
    """Peers come, change and go while another peer's session goes on."""
    a, b = pair
    client, connection = flow(a, b)
    keep = b.peer((b.underlay, b.port))
    shake = shown(a, "latest-handshakes")
    first = another(9, endpoint=("192.0.2.9", 9))
    apply(a, keep, first)
    moved = replace(
        first,
        allowed_ips=(ip_network("100.64.0.99/32"), ip_network("fd00::99/128")),
        endpoint=("2001:db8::9", 99),
        keepalive_seconds=25,
    )
    apply(a, keep, moved, another(10))
    key = next(key for key in shown(a, "endpoints") if "2001:db8::9" in shown(a, "endpoints")[key])
    assert shown(a, "endpoints")[key] == "[2001:db8::9]:99"
    assert shown(a, "allowed-ips")[key] == "100.64.0.99/32 fd00::99/128"
    assert shown(a, "persistent-keepalive")[key] == "25"
    assert len(shown(a, "endpoints")) == 3
    apply(a, keep)
    assert shown(a, "latest-handshakes") == shake
    exchange(client, connection)


def test_an_address_moves_from_one_peer_to_another(pair: Pair) -> None:
    """Two peers that swap their addresses end with each other's."""
    a, _ = pair
    one, two = another(9), another(10)
    apply(a, one, two)
    apply(
        a,
        replace(one, allowed_ips=two.allowed_ips),
        replace(two, allowed_ips=one.allowed_ips),
    )
    assert sorted(shown(a, "allowed-ips").values()) == ["100.64.0.10/32", "100.64.0.9/32"]
    status = a.namespace.run("wg", "show", a.interface, "dump")
    assert "100.64.0.10/32" in next(line for line in status.splitlines() if _b64(one) in line)


def _b64(peer: TunnelPeer) -> str:
    """Return a peer's key as `wg` prints it."""
    return base64.b64encode(peer.public_key).decode()


def test_no_endpoint_leaves_the_learned_one(pair: Pair) -> None:
    """What WireGuard has learned of a peer's place stays, also when the peer changes."""
    a, b = pair
    learned = "192.0.2.2:777"
    apply(a, b.peer((b.underlay, b.port)))
    a.namespace.run("wg", "set", a.interface, "peer", _b64(b.peer()), "endpoint", learned)
    apply(a, b.peer())
    apply(a, replace(b.peer(), keepalive_seconds=20))
    assert shown(a, "endpoints")[_b64(b.peer())] == learned
    # The same wish as before is no new wish: roaming is not undone by every update.
    apply(a, replace(b.peer((b.underlay, b.port)), keepalive_seconds=20))
    assert shown(a, "endpoints")[_b64(b.peer())] == learned
    apply(a, replace(b.peer((b.underlay, 888)), keepalive_seconds=20))
    assert shown(a, "endpoints")[_b64(b.peer())] == f"{b.underlay}:888"


def test_after_an_error_the_rest_is_worked_out_from_what_is_there(pair: Pair) -> None:
    """A refused operation raises; the next update finds out how far it had come."""
    a, b = pair
    keep = b.peer((b.underlay, b.port))
    broken = another(11, endpoint=("not an address", 1))
    with pytest.raises(WireGuardError, match="Invalid argument"):
        apply(a, keep, another(10), broken, another(12))
    apply(a, keep, another(12))
    assert set(shown(a, "endpoints")) == {_b64(keep), _b64(another(12))}


def test_a_tunnel_that_is_gone_is_an_error_and_comes_back(pair: Pair) -> None:
    """When the process has ended, changes and status say so, and `up` starts it again."""
    a, b = pair
    keep = b.peer((b.underlay, b.port))
    a.namespace.wait(lambda: links.remove(a.interface))
    _gone(a)
    with pytest.raises(WireGuardError, match="does not answer"):
        a.namespace.wait(a.wireguard.read)
    with pytest.raises(WireGuardError, match="does not answer") as caught:
        apply(a, keep, another(9))
    assert "restart" in caught.value.remedy
    a.up(keep)
    exchange(*flow(a, b))


def _gone(machine: Machine) -> None:
    end = time.monotonic() + 5
    while process(machine) and time.monotonic() < end:
        time.sleep(0.02)


def test_status_counts_and_dates(pair: Pair) -> None:
    """A peer's status has its place, the time of its handshake, and its bytes."""
    a, b = pair
    before = time.time()  # noqa: TID251 - compared with the handshake's wall time
    exchange(*flow(a, b))
    status = a.namespace.wait(a.wireguard.read)[b.peer().public_key]
    assert status.endpoint == (b.underlay, b.port)
    assert abs(status.last_handshake - before) < 30
    assert status.rx > 0
    assert status.tx > 0


def test_down_leaves_nothing(pair: Pair) -> None:
    """After the end there is no interface, no socket and no process; ending twice is fine."""
    a, _ = pair
    a.namespace.wait(a.wireguard.down)
    _gone(a)
    assert process(a) == []
    assert a.interface not in a.namespace.run("ip", "link")
    assert not Path(f"/var/run/wireguard/{a.interface}.sock").exists()
    a.namespace.wait(a.wireguard.down)


def test_many_peers_take_several_operations(alone: Machine) -> None:
    """A thousand peers are set in batches and read back complete."""
    alone.up()
    peers = [
        TunnelPeer(
            bytes(32),
            x25519_public(number.to_bytes(32, "big")),
            (ip_network((0x6440_0000 + number, 32)),),
            None,
            0,
        )
        for number in range(1, 1001)
    ]
    apply(alone, *peers)
    assert set(alone.namespace.wait(alone.wireguard.read)) == {p.public_key for p in peers}
    apply(alone, *peers[:3])
    assert set(alone.namespace.wait(alone.wireguard.read)) == {p.public_key for p in peers[:3]}


def test_a_taken_port_is_an_error_before_anything_starts(alone: Machine) -> None:
    """When another program has the port, the error says so and names the way out."""
    alone.namespace.udp("0.0.0.0", alone.port)
    with pytest.raises(WireGuardError, match="port 51820 is already in use") as caught:
        alone.up()
    assert "ss -lunp" in caught.value.remedy
    assert process(alone) == []


def test_a_taken_port_is_an_error_for_a_running_tunnel(alone: Machine) -> None:
    """The same when a running tunnel is asked to move there."""
    alone.up()
    alone.namespace.udp("0.0.0.0", 51999)
    alone.port = 51999
    with pytest.raises(WireGuardError, match="in use") as caught:
        alone.up()
    assert "choose another port" in caught.value.remedy


def test_a_tunnel_of_another_namespace_is_not_taken(alone: Machine) -> None:
    """The process of another network namespace under the same name is left alone."""
    alone.up()
    with namespaces(1) as (elsewhere,):
        stranger = Machine(elsewhere, 1, alone.interface, "192.0.2.1")
        with pytest.raises(WireGuardError, match="another network namespace"):
            stranger.up()
    assert len(process(alone)) == 1


def test_up_returns_with_the_port_open(alone: Machine) -> None:
    """When `up` is done a handshake is heard: the UDP port is not opened some time later."""
    for _ in range(5):
        alone.up()
        with pytest.raises(OSError, match="in use"):
            alone.namespace.udp("0.0.0.0", alone.port)
        alone.namespace.wait(alone.wireguard.down)


def test_a_port_that_never_opens_is_an_error(
    alone: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wireguard-go that cannot open its port is not taken for a tunnel."""
    monkeypatch.setattr("node.kernel.wireguard.userspace.START_SECONDS_MAX", 0.3)
    monkeypatch.setattr("node.kernel.wireguard.userspace._has_port", lambda _: False)
    with pytest.raises(WireGuardError, match="did not open UDP port 51820") as caught:
        alone.up()
    assert "ss -lunp" in caught.value.remedy


def test_a_stale_socket_does_not_matter(alone: Machine) -> None:
    """A socket file that nobody serves, as a crash leaves it, is replaced."""
    path = Path(f"/var/run/wireguard/{alone.interface}.sock")
    path.parent.mkdir(mode=0o755, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    alone.up()
    assert len(process(alone)) == 1


def test_another_kind_of_link_under_our_name_is_replaced(alone: Machine) -> None:
    """A link that is in the way, such as the remains of another tunnel, is removed."""
    alone.namespace.run("ip", "link", "add", alone.interface, "type", "veth")
    alone.up()
    assert len(process(alone)) == 1


def test_a_missing_program_is_named(alone: Machine) -> None:
    """Without wireguard-go the error says what to install."""
    alone.wireguard = UserspaceWireGuard(program="wireguard-go-that-is-not-there")
    with pytest.raises(WireGuardError, match="cannot be started") as caught:
        alone.up()
    assert "install wireguard-go-that-is-not-there" in caught.value.remedy
    alone.wireguard = UserspaceWireGuard()


def test_a_failing_program_is_quoted(alone: Machine, tmp_path: Path) -> None:
    """What wireguard-go says before it gives up is in the error."""
    program = tmp_path / "wireguard-go"
    program.write_text("#!/bin/sh\necho 'ERROR: no TUN device: no such file'\nexit 1\n")
    program.chmod(0o755)
    alone.wireguard = UserspaceWireGuard(program=str(program))
    with pytest.raises(WireGuardError, match="no such file") as caught:
        alone.up()
    assert "/dev/net/tun" in caught.value.remedy
    alone.wireguard = UserspaceWireGuard()


def test_the_key_is_on_no_command_line(alone: Machine) -> None:
    """The private key appears in no process's arguments or environment."""
    alone.up()
    (pid,) = process(alone)
    text = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    for form in (alone.private_key, alone.private_key.hex().encode()):
        assert form not in text
    assert os.getsid(pid) != os.getsid(0)


def test_ipv6_underlay_carries_the_tunnel() -> None:
    """The tunnel runs over IPv6 as over IPv4."""
    with namespaces(2) as (one, two):
        veth(one, two, "eth0", "eth0", addresses=("2001:db8::1/64", "2001:db8::2/64"))
        a = Machine(one, 1, named(), "2001:db8::1")
        b = Machine(two, 2, named(), "2001:db8::2")
        try:
            a.up(b.peer((b.underlay, b.port)))
            b.up(a.peer())
            exchange(*flow(a, b))
            status = b.namespace.wait(b.wireguard.read)
            assert status[a.peer().public_key].endpoint == (a.underlay, a.port)
        finally:
            for machine in (a, b):
                machine.namespace.wait(machine.wireguard.down)
