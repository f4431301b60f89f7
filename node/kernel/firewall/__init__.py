"""The node's firewall: one nftables table that lets through what is granted, until it ends."""

from node.kernel.firewall.content import Content
from node.kernel.firewall.driver import Firewall, Health
from node.kernel.firewall.errors import FirewallError
from node.kernel.firewall.readback import Count, Readback

__all__ = ["Content", "Count", "Firewall", "FirewallError", "Health", "Readback"]
