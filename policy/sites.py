"""Sites: networks behind gateways, whose hosts run no daemon of their own.

A part of a site that a rule or resource names is decided about apart from the rest, so a site is
cut into regions: networks that do not overlap, within each of which every address is alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from crypto.codec import Value
from policy import wire
from policy.limits import SITE_GATEWAYS_MAX, SITE_SUBNETS_MAX
from policy.places import sorted_networks
from policy.selectors import Network, SelectorKind, is_name


@dataclass(frozen=True, slots=True)
class Site:
    """Some networks, and the devices that stand before them.

    Attributes:
        subnets: Sorted, and none overlaps another.
        gateways: Names of devices, sorted; any of them serves.
    """

    subnets: tuple[Network, ...]
    gateways: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse nothing, too much, disorder and overlaps.

        Raises:
            ValueError: It can not be meant.
        """
        if list(self.subnets) != sorted_networks(self.subnets) or list(self.gateways) != sorted(
            set(self.gateways)
        ):
            raise ValueError("its subnets and gateways must be sorted, each once")
        if not 0 < len(self.subnets) <= SITE_SUBNETS_MAX:
            raise ValueError(f"it must have 1 to {SITE_SUBNETS_MAX} subnets")
        if not 0 < len(self.gateways) <= SITE_GATEWAYS_MAX:
            raise ValueError(f"it must have 1 to {SITE_GATEWAYS_MAX} gateways")
        if not all(is_name(name, SelectorKind.DEVICE) for name in self.gateways):
            raise ValueError("its gateways must be names of devices")
        for one, other in overlaps(self.subnets):
            raise ValueError(f"its subnets {one} and {other} overlap")

    def contains(self, network: Network) -> bool:
        """Say whether a network lies in one of the subnets."""
        return any(within(network, subnet) for subnet in self.subnets)


def within(inner: Network, outer: Network) -> bool:
    """Say whether all of a network lies in another; networks of two families never do."""
    return inner.version == outer.version and (
        outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer  # networks are nested or apart
    )


def overlaps(networks: Iterable[Network]) -> Iterator[tuple[Network, Network]]:
    """Give pairs of networks of which the second lies in the first."""
    open_network: Network | None = None
    for network in sorted(networks, key=lambda each: (each.version, each)):
        if open_network is not None and within(network, open_network):
            yield open_network, network
        else:
            open_network = network


def regions(subnets: Iterable[Network], named: Iterable[Network]) -> Sequence[Network]:
    """Cut subnets along the networks named in them; what comes out does not overlap."""
    pieces: list[Network] = []
    inner = sorted_networks(list(named))
    for subnet in subnets:
        pieces += _cut(subnet, [each for each in inner if within(each, subnet)])
    return sorted_networks(pieces)


def _cut(outer: Network, named: Sequence[Network]) -> Iterator[Network]:
    """Halve a network until no named one lies in a piece without being all of it."""
    if all(each == outer for each in named):
        yield outer
        return
    for half in outer.subnets():
        yield from _cut(half, [each for each in named if within(each, half)])


def site_value(site: Site) -> Value:
    """Write a site."""
    return [[str(each) for each in site.subnets], list(site.gateways)]


def read_site(value: Value) -> Site:
    """Read what `site_value` writes."""
    subnets, gateways = wire.read_pair(value, "site")
    return Site(wire.read_networks(subnets), wire.read_texts(gateways, "gateways"))
