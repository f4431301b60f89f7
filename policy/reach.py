"""Who can reach one thing, and what one name can reach: a column or a row of the matrix."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crypto.clock import Interval
from crypto.errors import LocalError
from crypto.objects import Directory
from policy.explain import find_destination, find_source
from policy.matrix import Cell, Entry, default_columns, matrix
from policy.model import Policy, PortRange, Selector, time_text
from policy.ports import describe
from policy.selectors import site_selector


@dataclass(frozen=True, slots=True)
class Reach:
    """What one rule opens between two names.

    Attributes:
        source: Who.
        destination: What.
        entry: The rule, its ports, and on what it depends.
        block: The block that cuts either off.
    """

    source: Selector
    destination: Selector
    entry: Entry
    block: str | None

    @property
    def allow(self) -> bool:
        """Whether it is open at the moment asked about, with nothing known of the source."""
        return self.entry.allow and self.block is None

    @property
    def conditions(self) -> str:
        """On what it depends, in words; empty is on nothing."""
        words = [*self.entry.conditions]
        if self.block is not None:
            words.insert(0, f"never: blocked by {self.block}")
        return "; ".join(words)

    def as_json(self) -> Mapping[str, object]:
        """Give it as plain values with stable keys."""
        until = self.entry.until
        return {
            "from": str(self.source),
            "to": str(self.destination),
            "ports": describe(self.entry.ports),
            "rule": self.entry.rule,
            "conditions": list(self.entry.conditions),
            "block": self.block,
            "allow": self.allow,
            "reason": "block" if self.block is not None else self.entry.reason.value,
            "until": None if until is None else time_text(until),
        }


def who_can(
    policy: Policy,
    directory: Directory,
    what: str,
    now: Interval,
    *,
    ports: Sequence[PortRange] = (),
) -> Sequence[Reach]:
    """Say who can reach something, by some of the ports, or any if none are given.

    Raises:
        LocalError: The name means nothing here.
    """
    column = find_destination(policy, directory, by_address(policy, what))
    table = matrix(policy, directory, now, columns=[column])
    return list(_reach(table.cells, ports))


def what_can(policy: Policy, directory: Directory, who: str, now: Interval) -> Sequence[Reach]:
    """Say what a name can reach.

    Raises:
        LocalError: The name means nothing here.
    """
    row = find_source(policy, directory, who)
    table = matrix(policy, directory, now, rows=[row], columns=default_columns(policy))
    return list(_reach(table.cells, ()))


def _reach(
    cells: Mapping[tuple[Selector, Selector], Cell], ports: Iterable[PortRange]
) -> Iterator[Reach]:
    """Give what cells hold about some ports."""
    asked = tuple(ports)
    for (source, destination), cell in cells.items():
        for entry in cell.entries:
            if not asked or any(a.overlaps(b) for a in asked for b in entry.ports):
                yield Reach(source, destination, entry, cell.block)


def by_address(policy: Policy, text: str) -> str:
    """Give the part of a site that an address is in, as a selector; other text as it is.

    Raises:
        LocalError: It is an address, and no site has it.
    """
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return text
    network = ipaddress.ip_network(address)
    for name, site in policy.sites.items():
        if site.contains(network):
            return str(site_selector(name, network))
    raise LocalError(
        f"no site has the address {address}",
        remedy="a policy knows devices by name: ask about device:NAME",
    )
