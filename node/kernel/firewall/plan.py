"""The firewall's table without its elements, as text for `nft -f -`.

Pure: same input, same text. Why it is laid out so: docs/adr/0004.

    input, output     base chains; they touch nothing but packets of the tunnel
    in_tun, out_tun   one hash lookup in `live`, every packet, both directions; else slow path
    in_slow, out_slow look the grant up again, mark the connection, look in `live` again; else
                      end the flow so that its user notices
    guard             with rules in output and forward: the mesh is on the tunnel only
    demux_in, _out    one visible port for WireGuard and the control socket (docs/adr/0005)

The tunnel's peer is `ip saddr` on the way in and `ip daddr` on the way out, in both directions of
a connection, and WireGuard's allowed-ips vouch for it; so one lookup of (peer, connection mark)
serves flows that they opened and flows that we opened.

The grant is looked up into the packet's mark and copied to the connection's mark only when it is
live. So a connection's mark always names a grant that did allow it, a refused packet cannot
change it, and a flow whose grant ended goes on unbroken when another grant allows it, from
whichever side its next packet comes.
"""

import re

from node.engine.desired import GID_MASK, GID_PREFIX, FirewallPlan
from node.kernel.firewall.content import ICMP, ICMPV6
from node.kernel.firewall.errors import FirewallError

SETS = {
    "in_class4": "map {0} {{ type ipv4_addr : mark; }}",
    "in_class6": "map {0} {{ type ipv6_addr : mark; }}",
    "in_ports": "map {0} {{ typeof meta mark . meta l4proto . th dport : meta mark; "
    "flags interval; }}",
    "in_protos": "map {0} {{ typeof meta mark . meta l4proto : meta mark; }}",
    "in_any": "map {0} {{ typeof meta mark : meta mark; }}",
    "out_class4": "map {0} {{ type ipv4_addr : mark; }}",
    "out_class6": "map {0} {{ type ipv6_addr : mark; }}",
    "out_ports": "map {0} {{ typeof meta mark . meta l4proto . th dport : meta mark; "
    "flags interval; }}",
    "out_protos": "map {0} {{ typeof meta mark . meta l4proto : meta mark; }}",
    "out_any": "map {0} {{ typeof meta mark : meta mark; }}",
    "live4": "set {0} {{ typeof ip saddr . ct mark; flags timeout; }}",
    "live6": "set {0} {{ typeof ip6 saddr . ct mark; flags timeout; }}",
}

COUNTERS = (
    "granted_in",
    "granted_out",
    "denied_in",
    "denied_out",
    "ended",
    "forwarded",
    "invalid",
    "leaked",
    "spoofed",
)

# The numbers are the hooks' priorities. Connection tracking sits at -200: the output rewrite
# comes before it and the input rewrite after it, so that it sees one flow on the visible port.
CHAINS = {
    "guard": "type filter hook prerouting priority -300; policy accept;",
    "demux_out": "type filter hook output priority -310; policy accept;",
    "demux_in": "type filter hook prerouting priority -150; policy accept;",
    "input": "type filter hook input priority 0; policy accept;",
    "output": "type filter hook output priority 0; policy accept;",
    "forward": "type filter hook forward priority 0; policy accept;",
    "in_tun": "",
    "out_tun": "",
    "in_slow": "",
    "out_slow": "",
    "in_first": "",
    "in_reply": "",
    "out_first": "",
    "out_reply": "",
    "farewell": "",
}

_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_OURS = f"ct mark & {GID_MASK:#010x} == {GID_PREFIX:#010x} ct status confirmed"
_WIREGUARD_TYPES = "{ 0x01000000, 0x02000000, 0x03000000, 0x04000000 }"


def check_table(table: str) -> str:
    """Return `table` if it is a name nft takes unquoted.

    Raises:
        FirewallError: It is not. Nothing was changed.
    """
    if not _TABLE.fullmatch(table):
        raise FirewallError(f"{table!r} is not a usable table name", remedy="use letters and _")
    return table


def render_base(plan: FirewallPlan, *, table: str) -> str:
    """Return the commands that put the whole table without its elements in place.

    They change nothing that already stands as it should, and replace every chain's rules without
    touching the sets, so loading them again cuts no flow. On an empty kernel they deny everything
    on the tunnel.

    Raises:
        FirewallError: The plan's interface is not the name of one. Nothing was changed.
    """
    if not _INTERFACE.fullmatch(plan.interface):
        raise FirewallError(
            f"{plan.interface!r} is not an interface name",
            remedy="use up to 15 letters, digits, dots, dashes and underscores",
        )
    lines = [f"add table inet {table}"]
    lines += (f"add counter inet {table} {name}" for name in COUNTERS)
    for name, definition in SETS.items():
        kind, _, rest = definition.format(name).partition(" ")
        lines.append(f"add {kind} inet {table} {rest}")
    for name, hook in CHAINS.items():
        lines.append(f"add chain inet {table} {name}" + (f" {{ {hook} }}" if hook else ""))
    lines += (f"flush chain inet {table} {name}" for name in CHAINS)
    for name, rules in _rules(plan).items():
        lines += (f"add rule inet {table} {name} {rule}" for rule in rules)
    return "\n".join(lines) + "\n"


def render_remove(table: str) -> str:
    """Return the commands that remove the table, whether or not it is there."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _rules(plan: FirewallPlan) -> dict[str, tuple[str, ...]]:
    tunnel = f'"{plan.interface}"'
    return {
        "guard": _guard_rules(plan, tunnel),
        **_demux_rules(plan, tunnel),
        "input": (f"iifname {tunnel} goto in_tun",),
        "output": (f"oifname {tunnel} goto out_tun", *_leak_rules(plan), *_silence_rules(plan)),
        "forward": (
            f'iifname {tunnel} counter name "forwarded" drop',
            f'oifname {tunnel} counter name "forwarded" drop',
            *_leak_rules(plan),
        ),
        "in_tun": (*_live("saddr"), "goto in_slow"),
        "out_tun": (*_live("daddr"), "goto out_slow"),
        "in_slow": _in_slow(plan),
        "out_slow": _out_slow(plan),
        "in_first": _lookup("in", peer="saddr", port="dport"),
        "in_reply": _lookup("out", peer="saddr", port="sport"),
        "out_first": _lookup("out", peer="daddr", port="dport"),
        "out_reply": _lookup("in", peer="daddr", port="sport"),
        "farewell": _FAREWELL,
    }


# What tells an end that its flow is over: the resets and refusals that the kernels of both ends
# send when a grant ends. They open nothing; without them the other end would hang. They belong to
# a tracked connection, so nobody can send them out of the blue.
_FAREWELL = (
    "tcp flags & rst == rst accept",
    "icmp type destination-unreachable icmp code 13 accept",
    "icmpv6 type destination-unreachable icmpv6 code 1 accept",
)


def _live(peer: str) -> tuple[str, str]:
    return (
        f"ip {peer} . ct mark @live4 accept",
        f"ip6 {peer} . ct mark @live6 accept",
    )


def _lookup(direction: str, *, peer: str, port: str) -> tuple[str, ...]:
    """Return the rules that look a grant up: the specific port, its protocol, then any.

    A lookup that finds nothing ends its rule, so each rule is a whole attempt, and a port whose
    grant is over does not hide the protocol's grant that still holds.
    """
    keys = (
        f"meta mark . meta l4proto . th {port} map @{direction}_ports",
        f"meta mark . meta l4proto map @{direction}_protos",
        f"meta mark map @{direction}_any",
    )
    return tuple(
        f"meta mark set {family} {peer} map @{direction}_class{number} "
        f"meta mark set {key} {family} {peer} . meta mark @live{number} "
        f'ct mark set meta mark meta mark set 0 counter name "granted_{direction}" accept'
        for key in keys
        for family, number in (("ip", 4), ("ip6", 6))
    )


def _slow_head(side: str) -> tuple[str, ...]:
    # An ICMP error belongs to the connection it reports on. It must never reach the lookup below,
    # or a grant for ICMP would mark, and so revive, the dead flow that it reports on.
    return (
        'ct state invalid counter name "invalid" drop',
        "ct state established,related jump farewell",
        f'meta l4proto {{ {ICMP}, {ICMPV6} }} ct state related counter name "denied_{side}" drop',
    )


def _in_slow(plan: FirewallPlan) -> tuple[str, ...]:
    # A peer's packet to another of this machine's addresses would pass the port lookup and reach
    # what listens there only.
    return (
        *_slow_head("in"),
        f'ip daddr != {plan.address4} counter name "denied_in" drop',
        f'ip6 daddr != {plan.address6} counter name "denied_in" drop',
        "ct direction original jump in_first",
        "ct direction reply jump in_reply",
        'meta l4proto tcp ct state established counter name "ended" reject with tcp reset',
        f'{_OURS} meta l4proto tcp counter name "ended" reject with tcp reset',
        f'{_OURS} counter name "ended" reject with icmpx admin-prohibited',
        'counter name "denied_in" drop',
    )


def _out_slow(plan: FirewallPlan) -> tuple[str, ...]:
    # The kernel's own multicast (RFC 3810 reports and the like) is nobody's failed attempt.
    refuse = 'counter name "denied_out" reject with icmpx admin-prohibited'
    return (
        *_slow_head("out"),
        "ip daddr 224.0.0.0/4 drop",
        "ip6 daddr ff00::/8 drop",
        f"ip saddr != {plan.address4} {refuse}",
        f"ip6 saddr != {plan.address6} {refuse}",
        "ct direction original jump out_first",
        "ct direction reply jump out_reply",
        'meta l4proto tcp ct state established counter name "ended" reject with tcp reset',
        f'{_OURS} meta l4proto tcp counter name "ended" reject with tcp reset',
        f'{_OURS} counter name "ended" reject with icmpx admin-prohibited',
        # Linux lets an ICMPv6 error end a connect() only at its second try, a second later.
        'meta nfproto ipv6 meta l4proto tcp counter name "denied_out" reject with tcp reset',
        refuse,
    )


# These run on every packet of the machine, so what is seldom true and cheap to ask comes first.
def _guard_rules(plan: FirewallPlan, tunnel: str) -> tuple[str, ...]:
    spoofed = 'iifname != "lo" counter name "spoofed" drop'
    rules = (
        f"iifname {tunnel} accept",
        f"ip saddr {plan.pool4} {spoofed}",
        f"ip6 saddr {plan.pool6} {spoofed}",
        # Linux answers for any of its addresses on any interface; the grants stand on one.
        f"ip daddr {plan.address4} {spoofed}",
        f"ip6 daddr {plan.address6} {spoofed}",
    )
    if plan.control_port is None:
        return rules
    # Nothing outside is ever told the inner port, and the visible one is rewritten later.
    return (*rules, f"udp dport {plan.control_port} fib daddr type local {spoofed}")


def _leak_rules(plan: FirewallPlan) -> tuple[str, str]:
    """Return what stops a packet for the mesh that is leaving by another interface."""
    leaked = 'oifname != "lo" counter name "leaked" drop'
    return (f"ip daddr {plan.pool4} {leaked}", f"ip6 daddr {plan.pool6} {leaked}")


def _silence_rules(plan: FirewallPlan) -> tuple[str, ...]:
    """Return what keeps the machine from telling a scanner that no daemon runs.

    The kernel would report the port as unreachable, and name the inner one: in the quoted
    datagram, after 8 bytes of ICMP and an IP header.
    """
    if plan.control_port is None:
        return ()
    return (
        f"icmp type destination-unreachable @th,240,16 {plan.control_port} drop",
        f"icmpv6 type destination-unreachable @th,400,16 {plan.control_port} drop",
    )


def _demux_rules(plan: FirewallPlan, tunnel: str) -> dict[str, tuple[str, ...]]:
    control, visible = plan.control_port, plan.wireguard_port
    if control is None:
        return {"demux_out": (), "demux_in": ()}
    other = f"@th,64,32 != {_WIREGUARD_TYPES} iifname != {tunnel} fib daddr type local"
    return {
        "demux_out": (f"udp sport {control} oifname != {tunnel} udp sport set {visible}",),
        "demux_in": (f"udp dport {visible} {other} udp dport set {control}",),
    }
