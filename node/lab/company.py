"""The network of an imaginary company, as namespaces: one internet, three NATs, six machines.

    gateway            203.0.113.10      public
    contractor-laptop  203.0.113.30      public, in a cafe without a router worth the name
    eng-laptop         192.168.1.2       behind home router nat-eng      (203.0.113.21)
    intern-laptop      192.168.2.2       behind home router nat-intern   (203.0.113.22)
    prod-db-1          10.3.0.11         behind the data centre's nat-dc (203.0.113.23)
    prod-web-1         10.3.0.12         behind the same nat-dc

The addresses are documentation ranges (RFC 5737); nothing leaves the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.lab.nat import masquerade
from node.lab.netns import Host, Lab, address

PUBLIC = {"gateway": "203.0.113.10", "contractor-laptop": "203.0.113.30"}
SITES = {
    "nat-eng": ("203.0.113.21", "192.168.1", {"eng-laptop": 2}),
    "nat-intern": ("203.0.113.22", "192.168.2", {"intern-laptop": 2}),
    "nat-dc": ("203.0.113.23", "10.3.0", {"prod-db-1": 11, "prod-web-1": 12}),
}
MACHINES = (
    "gateway",
    "eng-laptop",
    "intern-laptop",
    "prod-db-1",
    "prod-web-1",
    "contractor-laptop",
)


@dataclass(frozen=True, slots=True)
class Company:
    """The machines of the company, by name."""

    machines: dict[str, Host]
    gateway_address: str = PUBLIC["gateway"]


def build(lab: Lab) -> Company:
    """Make the whole network in `lab`. A second's work."""
    internet = lab.host("internet", forwards=True)
    internet.run("ip", "link", "add", "br0", "type", "bridge")
    internet.run("ip", "link", "set", "br0", "up")
    machines: dict[str, Host] = {}
    for name, public in PUBLIC.items():
        machines[name] = lab.host(name)
        _plug(lab, internet, machines[name], f"{public}/24")
    for router_name, (public, prefix, inhabitants) in SITES.items():
        router = lab.host(router_name, forwards=True)
        _plug(lab, internet, router, f"{public}/24")
        machines |= _inhabit(lab, router, prefix, inhabitants)
        masquerade(router, inside="lan", outside="eth0")
    return Company({name: machines[name] for name in MACHINES})


def _plug(lab: Lab, internet: Host, host: Host, cidr: str) -> None:
    port = f"p{len(internet.addresses)}"
    internet.addresses[port] = cidr
    lab.link(internet, host, names=(port, "eth0"))
    internet.run("ip", "link", "set", port, "master", "br0")
    address(host, "eth0", cidr)


def _inhabit(lab: Lab, router: Host, prefix: str, inhabitants: dict[str, int]) -> dict[str, Host]:
    router.run("ip", "link", "add", "lan", "type", "bridge")
    router.run("ip", "link", "set", "lan", "up")
    address(router, "lan", f"{prefix}.1/24")
    made = {}
    for name, last in inhabitants.items():
        host = made[name] = lab.host(name)
        lab.link(router, host, names=(f"v{last}", "eth0"))
        router.run("ip", "link", "set", f"v{last}", "master", "lan")
        address(host, "eth0", f"{prefix}.{last}/24", gateway=f"{prefix}.1")
    return made
