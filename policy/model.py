"""The compiled policy: what a node holds and what the head's hash covers.

There is one encoding of one meaning: everything is sorted and joined before it is written, and
`Policy.decode` refuses bytes that are not what `Policy.encode` writes.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeVar

from crypto import codec
from crypto.codec import Value
from crypto.errors import ObjectError
from crypto.objects import PART_BYTES_MAX
from policy import wire
from policy.facts import Facts
from policy.issuers import Claim, Issuer, issuer_value, read_issuer
from policy.places import PlaceSet, place_value, read_place
from policy.ports import ANY, PortRange
from policy.posture import Posture, posture_value, read_posture
from policy.records import (
    Audit,
    Block,
    Defaults,
    OnExpiry,
    Reason,
    Rule,
    Subject,
    Test,
    time_text,
)
from policy.selectors import Selector, SelectorKind, is_name
from policy.sites import Site, read_site, site_value

__all__ = [
    "ANY",
    "Audit",
    "Block",
    "Defaults",
    "Facts",
    "OnExpiry",
    "Policy",
    "PortRange",
    "Reason",
    "Rule",
    "Selector",
    "SelectorKind",
    "Subject",
    "Test",
    "time_text",
]

T = TypeVar("T")

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules, blocks, tests and defaults of one mesh.

    Attributes:
        mesh: Name of the mesh it is written for.
        rules: Sorted by id.
        blocks: Sorted by id.
        resources: Where a resource is: the name of a device, or `SITE/NETWORK`.
        services: Names for ports, for display; rules hold the ports themselves.
        tests: What it must decide, in the order of their encoding.
        defaults: What holds unless something says otherwise.
        issuers: Who vouches for people.
        claims: The claims by which somebody is in a group, beside those whom it lists.
        sites: Networks behind gateways.
        postures: What devices must say of themselves.
        windows: When each is open, as UTC intervals.
        calendar: The stretches of time for which that was worked out.
        places: Where sources may be.
    """

    mesh: str
    rules: tuple[Rule, ...] = ()
    blocks: tuple[Block, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, tuple[PortRange, ...]] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    postures: Mapping[str, Posture] = field(default_factory=dict)
    windows: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    calendar: tuple[tuple[int, int], ...] = ()
    places: Mapping[str, PlaceSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that can not be names, ids in disorder, and doubles.

        Raises:
            ValueError: The policy has no one meaning.
        """
        for ids in ([rule.id for rule in self.rules], [block.id for block in self.blocks]):
            if ids != sorted(set(ids)):
                raise ValueError("policy: its ids must be sorted and different")
        if len(set(self.tests)) != len(self.tests):
            raise ValueError("policy: its tests must be different")
        for name in chain(self.resources, self._declared()):
            _check_name(name)
        _check_name(self.mesh, SelectorKind.DEVICE)
        for host in self.resources.values():
            _check_name(host, SelectorKind.SITE if "/" in host else SelectorKind.DEVICE)
        self._check_references()

    def _check_references(self) -> None:
        """Refuse what names something that is not there: it could never be judged."""
        for rule in self.rules:
            for names, known in (
                (rule.posture, self.postures),
                (rule.when, self.windows),
                (rule.where, self.places),
            ):
                if names:
                    _check_known(f"rule {rule.id}", names, known)
            self._check_places(f"rule {rule.id}", (*rule.sources, *rule.destinations))
        for test in self.tests:
            _check_known("tests", test.supposed.postures, self.postures)
            self._check_places("tests", (test.source, test.destination))
        for block in self.blocks:
            self._check_places(f"block {block.id}", block.who)
        hosts = [host.partition("/")[0] for host in self.resources.values() if "/" in host]
        _check_known("resources", hosts, self.sites)
        for group, claims in self.claims.items():
            if list(claims) != sorted(set(claims)) or not claims:
                raise ValueError(f"group {group}: its claims must be some, sorted and different")
            _check_known(f"group {group}", (claim.issuer for claim in claims), self.issuers)

    def _check_places(self, what: str, selectors: Sequence[Selector]) -> None:
        """Refuse sites and resources that are not there."""
        _check_known(what, _named(selectors, SelectorKind.SITE), self.sites)
        _check_known(what, _named(selectors, SelectorKind.RESOURCE), self.resources)

    def encode(self) -> bytes:
        """Give the bytes that the head's hash covers."""
        return codec.dumps(self._value())

    def _value(self) -> dict[int, Value]:
        """Give what is encoded."""
        names = wire.NameTable(self._names())
        value: dict[int, Value] = {
            0: _FORMAT,
            1: self.mesh,
            2: wire.defaults_value(self.defaults),
            3: list(names.names),
            4: _pairs(self.services, names, wire.ports_value),
            5: _pairs(self.resources, names, names.number),
            6: [wire.rule_value(rule, names) for rule in self.rules],
            7: [wire.block_value(block, names) for block in self.blocks],
            8: sorted((wire.check_value(test, names) for test in self.tests), key=codec.dumps),
        }
        optional = {
            9: _pairs(self.issuers, names, issuer_value),
            10: _pairs(self.claims, names, _claims_value),
            11: _pairs(self.sites, names, site_value),
            12: _pairs(self.postures, names, posture_value),
            13: _pairs(self.windows, names, _spans_value),
            14: _spans_value(self.calendar),
            15: _pairs(self.places, names, place_value),
        }
        return value | {key: each for key, each in optional.items() if each}

    @classmethod
    def decode(cls, data: bytes) -> "Policy":
        """Read a policy part; its hash must have been checked before.

        Raises:
            CodecError: The bytes are no CBOR of our profile, or too many.
            ObjectError: They are not the encoding of a policy this version knows.
        """
        fields = wire.read_map(
            codec.loads(data, max_bytes=PART_BYTES_MAX), "policy", frozenset(range(16))
        )
        if fields.get(0) != _FORMAT:
            raise ObjectError(
                "policy: it is of a format this version does not know",
                remedy="install a newer hedgerow on this device",
            )
        try:
            policy = _build(fields)
        except ValueError as error:
            raise ObjectError(str(error)) from None
        # The codec has made sure that these are the bytes of this value; readers take no bool for
        # a number nor the other way round, so equal values have equal bytes.
        if policy._value() != fields:  # noqa: SLF001 - of the same class
            raise ObjectError("policy: its bytes are not in the one order the compiler writes")
        return policy

    def _declared(self) -> Iterator[str]:
        """Give what is declared beside resources."""
        yield from chain(self.services, self.issuers, self.claims, self.sites)
        yield from chain(self.postures, self.windows, self.places)

    def _names(self) -> Iterator[str]:
        """Give every name that stands somewhere."""
        yield from self._declared()
        for resource, device in self.resources.items():
            yield from (resource, device)
        for rule in self.rules:
            yield rule.id
            yield from (*rule.posture, *rule.when, *rule.where)
            yield from (each.name for each in (*rule.sources, *rule.destinations))
        for block in self.blocks:
            yield block.id
            yield from (each.name for each in block.who)
        for test in self.tests:
            yield from (test.source.name, test.destination.name)
            yield from () if test.rule is None else (test.rule,)
            yield from test.supposed.postures


def _check_name(name: str, kind: SelectorKind | None = None) -> None:
    """Refuse what can not be a name."""
    if not is_name(name, kind):
        raise ValueError(f"policy: {name!r} can not be a name")


def _check_known(what: str, names: Iterable[str], known: Container[str]) -> None:
    """Refuse names that are not there."""
    for name in names:
        if name not in known:
            raise ValueError(f"policy: {what}: {name} is not in it")


def _named(selectors: Iterable[Selector], kind: SelectorKind) -> Iterator[str]:
    """Give the names of one kind among some selectors."""
    return (each.base for each in selectors if each.kind is kind)


def _claims_value(claims: Iterable[Claim]) -> Value:
    """Write the claims of a group."""
    return [[claim.issuer, claim.value] for claim in claims]


def _read_claims(value: Value) -> tuple[Claim, ...]:
    """Read what `_claims_value` writes."""
    pairs = [wire.read_pair(each, "claim") for each in wire.read_list(value, "claims")]
    return tuple(
        Claim(wire.read_text(issuer, "issuer"), wire.read_text(text, "claim"))
        for issuer, text in pairs
    )


def _spans_value(spans: Iterable[tuple[int, int]]) -> Value:
    """Write stretches of time."""
    return [list(span) for span in spans]


def _read_spans(value: Value) -> tuple[tuple[int, int], ...]:
    """Read what `_spans_value` writes."""
    return wire.read_spans(value, "times")


def _pairs(items: Mapping[str, T], names: wire.NameTable, write: Callable[[T], Value]) -> Value:
    """Write a mapping by name as sorted pairs."""
    return [[names.number(name), write(items[name])] for name in sorted(items)]


def _build(fields: wire.Fields) -> Policy:
    """Make the policy of decoded fields."""
    names = wire.NameTable(
        wire.read_text(each, "name") for each in wire.read_list(fields.get(3), "names")
    )
    services = _read_pairs(fields.get(4), "services")
    resources = _read_pairs(fields.get(5), "resources")
    return Policy(
        mesh=wire.read_text(fields.get(1), "mesh"),
        defaults=wire.read_defaults(fields.get(2)),
        services={names.name(name): wire.read_ports(ports) for name, ports in services},
        resources={names.name(name): names.name(device) for name, device in resources},
        rules=tuple(
            wire.read_rule(each, names) for each in wire.read_list(fields.get(6), "rules")
        ),
        blocks=tuple(
            wire.read_block(each, names) for each in wire.read_list(fields.get(7), "blocks")
        ),
        tests=tuple(
            wire.read_check(each, names) for each in wire.read_list(fields.get(8), "tests")
        ),
        issuers=_read_named(fields, 9, names, read_issuer),
        claims=_read_named(fields, 10, names, _read_claims),
        sites=_read_named(fields, 11, names, read_site),
        postures=_read_named(fields, 12, names, read_posture),
        windows=_read_named(fields, 13, names, _read_spans),
        calendar=_read_spans(fields.get(14, [])),
        places=_read_named(fields, 15, names, read_place),
    )


def _read_named(
    fields: wire.Fields, key: int, names: wire.NameTable, read: Callable[[Value], T]
) -> dict[str, T]:
    """Read a mapping by name that may be missing."""
    pairs = _read_pairs(fields.get(key, []), "section")
    return {names.name(name): read(value) for name, value in pairs}


def _read_pairs(value: Value, what: str) -> list[tuple[Value, Value]]:
    """Read an array of pairs."""
    return [wire.read_pair(each, what) for each in wire.read_list(value, what)]
