"""The sections of a document that say what stands where: sites and resources."""

import ipaddress
from collections.abc import Iterable, Mapping

from policy.circumstances import read_networks
from policy.locate import Path
from policy.scope import Scope
from policy.selectors import Network, Selector, SelectorKind, is_name, name_form
from policy.sites import Site, overlaps, within
from policy.tables import Table

_NEVER = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/3",
    "::/127",
    "fe80::/10",
    "ff00::/8",
)
_NEVER_ROUTED = tuple(ipaddress.ip_network(each) for each in _NEVER)


def read_sites(root: Table, scope: Scope, pools: Iterable[Network]) -> Mapping[str, Site]:
    """Read `[sites]`; a subnet overlaps no other one, and no pool of the mesh."""
    sites = {}
    taken: dict[Network, str] = {}
    for name, table in root.named("sites"):
        if not is_name(name):
            table.problem(f"has no usable name; a site is called {name_form()}")
        subnets = read_networks(table, "subnets", required=True)
        _check_subnets(table, name, subnets, taken, pools)
        gateways = []
        for path, gateway in table.texts("gateways", required=True):
            if is_name(gateway, SelectorKind.DEVICE):
                scope.check(path, Selector(SelectorKind.DEVICE, gateway))
                gateways.append(gateway)
            else:
                form = name_form(SelectorKind.DEVICE)
                table.report.add(path, f'{table.what} has gateway "{gateway}"; a device is {form}')
        table.finish()
        if subnets and gateways:
            try:
                sites[name] = Site(subnets, tuple(sorted(gateways)))
            except ValueError as error:
                table.problem(f"can not be used: {error}")
    return sites


def _check_subnets(
    table: Table,
    name: str,
    subnets: Iterable[Network],
    taken: dict[Network, str],
    pools: Iterable[Network],
) -> None:
    """Report subnets that something else has."""
    for subnet in subnets:
        for pool in pools:
            if subnet.overlaps(pool) if subnet.version == pool.version else False:
                table.problem(f"has {subnet}, which overlaps {pool}, the mesh's own", "subnets")
        if any(within(subnet, each) or within(each, subnet) for each in _NEVER_ROUTED):
            table.problem(f"has {subnet}, which no gateway can stand before", "subnets")
    for one, other in overlaps([*taken, *subnets]):
        if one in taken or other in taken:
            site = taken.get(one) or taken[other]
            table.problem(
                f"has one of {one} and {other}, which overlap; site {site} has the other",
                "subnets",
            )
    for subnet in subnets:
        taken.setdefault(subnet, name)


def read_resources(root: Table, scope: Scope, sites: Mapping[str, Site]) -> Mapping[str, str]:
    """Read `[resources.NAME]`: the device that hosts it, or its address at a site."""
    resources = {}
    for name, table in root.named("resources"):
        if not is_name(name, SelectorKind.RESOURCE):
            table.problem(
                f"has no usable name; a resource is called {name_form(SelectorKind.RESOURCE)}"
            )
        in_site = isinstance(table.get("host", required=True), dict)
        host = _at_site(table, scope, sites) if in_site else _device(table, scope)
        table.finish()
        if host is not None:
            resources[name] = host
    return resources


def _device(table: Table, scope: Scope) -> str | None:
    """Read `host = "db1"`."""
    host = table.text("host")
    if host is None:
        return None
    if not is_name(host, SelectorKind.DEVICE):
        form = name_form(SelectorKind.DEVICE)
        table.problem(f': "{host}" is no name of a device; use {form}', "host")
        return None
    scope.check((*table.path, "host"), Selector(SelectorKind.DEVICE, host))
    return host


def _at_site(table: Table, scope: Scope, sites: Mapping[str, Site]) -> str | None:
    """Read `host = { site = "hq", address = "10.10.4.5" }`."""
    inner = table.inner("host")
    site, address = inner.text("site", required=True), inner.text("address", required=True)
    inner.finish()
    if site is None or address is None:
        return None
    try:
        network = ipaddress.ip_network(ipaddress.ip_address(address))
    except ValueError as error:
        inner.problem(f"can not be used: {error}", "address")
        return None
    selector = Selector(SelectorKind.SITE, f"{site}/{network}")
    if not is_name(selector.name, SelectorKind.SITE):
        inner.problem(f'has site "{site}"; a site is called {name_form()}', "site")
        return None
    path: Path = (*inner.path, "address")
    scope.check((*inner.path, "site"), selector)
    check_within(inner, path, selector, sites)
    return selector.name


def check_within(table: Table, path: Path, selector: Selector, sites: Mapping[str, Site]) -> None:
    """Report a part of a site that is not in it."""
    site, network = sites.get(selector.base), selector.network
    if site is not None and network is not None and not site.contains(network):
        table.report.add(
            path, f"{table.what}: {network} is not in a subnet of site {selector.base}"
        )
