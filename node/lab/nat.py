"""Routers with NAT, as found in homes and offices, made of nftables in a namespace."""

from __future__ import annotations

from node.lab.netns import Host

# What a plain home router does (RFC 4787: endpoint-independent mapping while the port is free,
# address-and-port-dependent filtering). The input chain drops what nobody asked for: a box that
# accepts it confirms the stray packet into conntrack, and the inside host's own packet then gets
# another port. Where br_netfilter is loaded, frames between two hosts inside pass forward too.
_MASQUERADE = """
table ip lab-nat {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{outside}" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "{inside}" accept
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{outside}" ct state new drop
  }}
}}
"""


def masquerade(router: Host, *, inside: str, outside: str) -> None:
    """Make `router` hide what is behind `inside` under its address on `outside`."""
    router.run("nft", "-f", "-", stdin=_MASQUERADE.format(inside=inside, outside=outside))
