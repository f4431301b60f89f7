"""Drivers for what the kernel does: WireGuard, the firewall, links and routes."""
