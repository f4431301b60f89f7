"""The kernel's WireGuard, against messages made with pyroute2's own encoder.

This machine may have no WireGuard module, so a double stands for the kernel: it keeps what it is
told through the real encoder and answers through the real decoder. What only a kernel can show,
such as sessions that go on, is shown for wireguard-go in test_userspace.
"""

import contextlib
import errno
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.wireguard import AsyncWireGuard, wgmsg

from node.engine.desired import TunnelPeer
from node.kernel import links
from node.kernel.wireguard import (
    KernelWireGuard,
    PeerStatus,
    UserspaceWireGuard,
    WireGuardError,
    backend,
    choose,
)
from node.kernel.wireguard import kernel as kernel_module

PRIVATE = bytes([1]) * 32
KEY = bytes([2]) * 32
OTHER = bytes([3]) * 32
FOUR = ip_network("100.64.0.2/32")
SIX = ip_network("fd00::2/128")
PEER = TunnelPeer(bytes(32), KEY, (FOUR, SIX), ("2001:db8::1", 7), 25)


def b64(key: bytes) -> str:
    """Return a key in netlink's text form."""
    return b64encode(key).decode()


class Kernel:
    """Links and WireGuard devices, as far as the driver sees them."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.device: dict[str, Any] = {}
        self.peers: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.refuse: NetlinkError | None = None
        self.per_message = 100

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Kernel"]:
        """Stand for either netlink socket."""
        yield self

    async def link_lookup(self, ifname: str) -> list[int]:
        """Return the index of a link."""
        return [list(self.kinds).index(ifname) + 1] if ifname in self.kinds else []

    async def link(self, verb: str, **values: Any) -> Any:  # noqa: ANN401 - as pyroute2
        """Make, read or remove a link."""
        if self.refuse is not None:
            raise self.refuse
        if verb == "add":
            self.kinds[values["ifname"]] = values["kind"]
            return None
        name = list(self.kinds)[values["index"] - 1]
        if verb == "del":
            del self.kinds[name]
            return None
        return ({("linkinfo", "kind"): self.kinds[name]},)

    async def set(self, interface: str, **values: Any) -> None:  # noqa: ANN401 - as pyroute2
        """Take one request, through the real encoder."""
        if self.refuse is not None:
            raise self.refuse
        assert self.kinds[interface] == "wireguard"
        self.requests.append(dict(values))
        peer = values.pop("peer", None)
        self.device.update(values)
        if peer is None:
            return
        encoded = _encode([peer])
        assert encoded.get("WGDEVICE_A_PEERS")[0].get("WGPEER_A_PUBLIC_KEY")
        key = peer["public_key"]
        if peer.get("remove"):
            del self.peers[key]
            return
        assert peer["update_only"] is (key in self.peers)
        self.peers.setdefault(key, {}).update(peer)

    async def info(self, interface: str) -> AsyncIterator[Any]:
        """Answer a dump, split as the kernel splits a long one."""
        if interface not in self.kinds:
            raise NetlinkError(errno.ENODEV)
        peers = list(self.peers.values())
        messages = [
            _encode(peers[start : start + self.per_message], **self.device)
            for start in range(0, max(len(peers), 1), self.per_message)
        ]

        async def answer() -> AsyncIterator[Any]:
            for message in messages:
                yield message

        return answer()


def _encode(peers: list[dict[str, Any]], **device: Any) -> Any:  # noqa: ANN401 - as pyroute2
    """Return a message that has been through netlink's bytes."""
    message = wgmsg()
    if "private_key" in device:
        message["attrs"].append(["WGDEVICE_A_PRIVATE_KEY", device["private_key"]])
    if "listen_port" in device:
        message["attrs"].append(["WGDEVICE_A_LISTEN_PORT", device["listen_port"]])
    encoded: list[Any] = []
    for peer in peers:
        one: dict[str, Any] = {"attrs": []}
        AsyncWireGuard._wg_set_peer(AsyncWireGuard.__new__(AsyncWireGuard), one, dict(peer))
        encoded += one["attrs"][0][1]
        if not peer.get("remove"):
            shake = {"tv_sec": 1_700_000_000, "tv_nsec": 500_000_000}
            encoded[-1]["attrs"] += [
                ["WGPEER_A_LAST_HANDSHAKE_TIME", shake],
                ["WGPEER_A_RX_BYTES", 11],
                ["WGPEER_A_TX_BYTES", 22],
            ]
    if encoded:
        message["attrs"].append(["WGDEVICE_A_PEERS", encoded])
    message.encode()
    decoded = wgmsg(bytes(message.data))
    decoded.decode()
    return decoded


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel with WireGuard and no link."""
    double = Kernel()

    async def bring_up(interface: str) -> None:
        assert interface in double.kinds

    async def remove(interface: str) -> None:
        double.kinds.pop(interface, None)

    monkeypatch.setattr(kernel_module, "route_socket", double.open)
    monkeypatch.setattr(kernel_module, "wireguard_socket", double.open)
    monkeypatch.setattr(links, "bring_up", bring_up)
    monkeypatch.setattr(links, "remove", remove)
    return double


async def ready(kernel: Kernel, *peers: TunnelPeer) -> KernelWireGuard:
    """Return a driver whose tunnel is up with these peers."""
    wireguard = KernelWireGuard()
    await wireguard.up("hg0", PRIVATE, 51820)
    await wireguard.apply({peer.public_key: peer for peer in peers})
    kernel.requests.clear()
    return wireguard


async def test_a_tunnel_is_made_and_configured(kernel: Kernel) -> None:
    """The link gets its key and port, and each peer one request."""
    wireguard = KernelWireGuard()
    await wireguard.up("hg0", PRIVATE, 51820)
    assert kernel.kinds == {"hg0": "wireguard"}
    assert kernel.device == {"private_key": b64(PRIVATE), "listen_port": 51820}
    await wireguard.apply({KEY: PEER})
    assert kernel.peers[b64(KEY)] == {
        "public_key": b64(KEY),
        "update_only": False,
        "endpoint_addr": "2001:db8::1",
        "endpoint_port": 7,
        "persistent_keepalive": 25,
        "replace_allowed_ips": True,
        "allowed_ips": ["100.64.0.2/32", "fd00::2/128"],
    }
    assert wireguard.backend == "kernel"


async def test_a_restart_adopts_and_says_nothing(kernel: Kernel) -> None:
    """A new driver over the same tunnel sends no request at all, key bits clamped or not."""
    await ready(kernel, PEER)
    kernel.device["private_key"] = b64(bytes([0, *PRIVATE[1:31], PRIVATE[31] | 0x40]))
    wireguard = KernelWireGuard()
    await wireguard.up("hg0", PRIVATE, 51820)
    await wireguard.apply({KEY: PEER})
    assert kernel.requests == []


async def test_only_differences_are_requested(kernel: Kernel) -> None:
    """A changed peer is one request with what changed; an absent one is removed."""
    wireguard = await ready(kernel, PEER, replace(PEER, public_key=OTHER, allowed_ips=()))
    await wireguard.apply({KEY: replace(PEER, endpoint=("192.0.2.1", 9))})
    moved = {"endpoint_addr": "192.0.2.1", "endpoint_port": 9}
    assert kernel.requests == [
        {"peer": {"public_key": b64(OTHER), "remove": True}},
        {"peer": {"public_key": b64(KEY), "update_only": True, **moved}},
    ]
    assert set(kernel.peers) == {b64(KEY)}


async def test_status_is_read(kernel: Kernel) -> None:
    """Endpoint, handshake and bytes come out of the kernel's own encoding."""
    wireguard = await ready(kernel, PEER)
    assert await wireguard.read() == {KEY: PeerStatus(("2001:db8::1", 7), 1_700_000_000.5, 11, 22)}


async def test_a_peer_in_two_messages_is_one(kernel: Kernel) -> None:
    """A long list of addresses comes in parts, which are put together."""
    await ready(kernel)
    kernel.peers = {
        "first": {"public_key": b64(KEY), "allowed_ips": ["100.64.0.2/32"]},
        "second": {"public_key": b64(KEY), "allowed_ips": ["fd00::2/128"]},
    }
    kernel.per_message = 1
    wireguard = KernelWireGuard()
    await wireguard.up("hg0", PRIVATE, 51820)
    kernel.requests.clear()
    await wireguard.apply({KEY: replace(PEER, endpoint=None, keepalive_seconds=0)})
    assert kernel.requests == []


async def test_after_an_error_what_is_there_is_read_back(kernel: Kernel) -> None:
    """A request that the kernel refuses raises; the next update starts from what stands."""
    wireguard = await ready(kernel, PEER)
    kernel.refuse = NetlinkError(errno.ENOMEM, "Cannot allocate memory")
    with pytest.raises(WireGuardError, match="Cannot allocate memory"):
        await wireguard.apply({KEY: PEER, OTHER: replace(PEER, public_key=OTHER)})
    kernel.refuse = None
    kernel.peers.clear()
    await wireguard.apply({KEY: PEER})
    assert set(kernel.peers) == {b64(KEY)}


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EPERM, "CAP_NET_ADMIN"), (errno.EADDRINUSE, "another port"), (errno.EIO, "dmesg")],
)
async def test_a_refusal_says_what_to_do(kernel: Kernel, number: int, remedy: str) -> None:
    """Each kind of refusal comes with its own way out."""
    kernel.refuse = NetlinkError(number)
    with pytest.raises(WireGuardError, match="refused") as caught:
        await KernelWireGuard().up("hg0", PRIVATE, 51820)
    assert remedy in caught.value.remedy


async def test_another_kind_of_link_is_replaced(kernel: Kernel) -> None:
    """What a user-space tunnel left under our name gives way."""
    kernel.kinds["hg0"] = "tun"
    await KernelWireGuard().up("hg0", PRIVATE, 51820)
    assert kernel.kinds == {"hg0": "wireguard"}


async def test_down_removes_the_link(kernel: Kernel) -> None:
    """The end of the tunnel is the end of its link; without one it does nothing."""
    await KernelWireGuard().down()
    wireguard = await ready(kernel)
    await wireguard.down()
    assert kernel.kinds == {}
    with pytest.raises(WireGuardError, match="refused"):
        await wireguard.read()


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel that `choose` asks."""
    double = Kernel()
    monkeypatch.setattr(backend, "route_socket", double.open)
    return double


async def test_the_kernel_is_chosen_where_it_can(probed: Kernel) -> None:
    """A kernel that makes a WireGuard link is used, and the probe's link is gone."""
    assert (await choose()).backend == "kernel"
    assert probed.kinds == {}


async def test_user_space_is_chosen_otherwise(probed: Kernel, tmp_path: Path) -> None:
    """Without the module, wireguard-go is used where it and the TUN device are there."""
    probed.refuse = NetlinkError(errno.EOPNOTSUPP)
    tun = tmp_path / "tun"
    tun.touch()
    chosen = await choose(program="sh", tun=tun)
    assert isinstance(chosen, UserspaceWireGuard)


async def test_neither_is_an_error_with_a_way_out(probed: Kernel, tmp_path: Path) -> None:
    """Each missing piece is named, with the package or module that brings it."""
    probed.refuse = NetlinkError(errno.EOPNOTSUPP)
    with pytest.raises(WireGuardError, match="neither the kernel module nor no-such") as caught:
        await choose(program="no-such-program")
    assert "install the package wireguard-go" in caught.value.remedy
    with pytest.raises(WireGuardError, match="does not exist") as caught:
        await choose(program="sh", tun=tmp_path / "tun")
    assert "modprobe tun" in caught.value.remedy


async def test_without_the_right_nothing_is_chosen(probed: Kernel) -> None:
    """An unprivileged process is told so, instead of being given a tunnel that cannot start."""
    probed.refuse = NetlinkError(errno.EPERM)
    with pytest.raises(WireGuardError, match="cannot make network interfaces") as caught:
        await choose()
    assert "CAP_NET_ADMIN" in caught.value.remedy
