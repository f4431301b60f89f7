"""WireGuard: the kernel's where there is one, wireguard-go elsewhere."""

from node.kernel.wireguard.backend import WireGuard, choose
from node.kernel.wireguard.kernel import KernelWireGuard
from node.kernel.wireguard.peers import PeerStatus, WireGuardError
from node.kernel.wireguard.userspace import UserspaceWireGuard

__all__ = [
    "KernelWireGuard",
    "PeerStatus",
    "UserspaceWireGuard",
    "WireGuard",
    "WireGuardError",
    "choose",
]
