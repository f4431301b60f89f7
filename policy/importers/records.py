"""What was understood of a policy file, with the names that stand in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.importers.flows import Ports
from policy.importers.who import Name


@dataclass(frozen=True, slots=True)
class Listed:
    """A group with its users, or a tag with its owners."""

    line: int
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """An access rule: who may reach each tag on which ports."""

    id: str
    line: int
    sources: tuple[Name, ...]
    destinations: Mapping[Name, Ports]


@dataclass(frozen=True, slots=True)
class Check:
    """A test of one destination.

    Attributes:
        line: Where the destination stands.
        what: What to call it.
        source: Who asks.
        destination: The tag asked for.
        flows: Of `accept`, one has to pass; of `deny`, none may.
        allow: Which of the two it is.
    """

    line: int
    what: str
    source: Name
    destination: Name
    flows: tuple[str, ...]
    allow: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A policy file, as far as it can be expressed here.

    Attributes:
        names: All users, groups and tags, with the line that has each first.
        groups: By name.
        tags: By name.
        accesses: In the order of the file.
        checks: In the order of the file.
    """

    names: Mapping[Name, int]
    groups: Mapping[Name, Listed]
    tags: Mapping[Name, Listed]
    accesses: tuple[Access, ...]
    checks: tuple[Check, ...]
